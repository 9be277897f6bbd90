"""Training: how a model is compiled, fitted and evaluated, and what one step does."""
