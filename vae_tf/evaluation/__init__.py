"""Comparable numbers about a trained VAE: ELBO, log-likelihood and bits per dimension, with standard errors.

The noise of example i comes from `numpy.random.default_rng([seed, i])`, a stream of its own. So the value of an example
depends neither on the chunk size nor on the examples beside it.
"""

from vae_tf.evaluation._estimates import Comparison, Estimate, tabulate
from vae_tf.evaluation._quantities import bits_per_dim, compare, elbo, log_likelihood

__all__ = ["Comparison", "Estimate", "bits_per_dim", "compare", "elbo", "log_likelihood", "tabulate"]
