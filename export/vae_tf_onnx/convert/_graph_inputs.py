"""Random inputs of the graphs, for the comparison with the Keras model and for the golden set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import vae_tf

_TRIES = 100
_SHIFT = 3e-6
"""A shift of the parameters, relative to the largest of them: more than a network's rounding."""
_WIDTH = 255.0
"""The widest range that random inputs of an encoder cover, because the range of counts has no end."""

Arrays = dict[str, np.ndarray]
MakeInputs = Callable[[int, int], Arrays]
"""A function of batch size and seed that makes the inputs of a graph, by name."""


class GraphInputs:
    """Random inputs for the graphs of one model.

    Args:
        vae: The model.
        functions: TensorFlow functions of the graphs by name, see _functions.functions.
        data_range: Smallest and largest value of the data.
    """

    def __init__(self, vae: vae_tf.VAE, functions: dict[str, Any], data_range: Sequence[float]) -> None:
        self.vae = vae
        self.functions = functions
        self.data_range = data_range

    def maker(self, name: str) -> MakeInputs:
        """A function of batch size and seed that makes the inputs of one graph."""
        return lambda batch, seed: self.sample(name, batch, seed)

    def sample(self, name: str, batch: int, seed: int, **given: np.ndarray) -> Arrays:
        """Inputs of one graph by name, in the order of its signature.

        Args:
            name: Name of the graph.
            batch: Number of rows.
            seed: Seed of the inputs that are not given.
            **given: Values of x or z.
        """
        rng = np.random.default_rng(seed)
        specs = self.functions[name].input_signature
        arrays = {spec.name: given.get(spec.name, self._sample_input(name, spec, rng, batch)) for spec in specs}
        if "observation_noise" not in arrays:
            return arrays
        if name == "observation":
            z = given.get("z", rng.standard_normal((batch, self.vae.latent_dim), np.float32))
        else:
            z = self.vae.prior.from_noise(arrays["prior_noise"])
        parameters = {key: value.numpy() for key, value in self.functions["decoder"](z).items()}
        noise = self._settled(arrays["observation_noise"], parameters, rng)
        return {key: parameters.get(key, value) for key, value in arrays.items()} | {"observation_noise": noise}

    def x(self, batch: int, seed: int) -> np.ndarray:
        """Samples of the model, clipped to the range of the data, so that its likelihood can score them."""
        low, high = self.data_range
        return np.clip(self.vae.sample(batch, seed=seed), low, high).astype(np.float32)

    def _sample_input(self, name: str, spec: Any, rng: np.random.Generator, batch: int) -> np.ndarray:
        shape = (batch, *spec.shape[1:])
        if spec.name == "x" and name == "scorer":
            return self.x(batch, seed=int(rng.integers(2**31)))
        if spec.name == "x":
            low, high = self.data_range
            return (low + min(high - low, _WIDTH) * rng.random(shape)).astype(np.float32)
        if spec.name == "prior_noise" or name == "prior":
            return self.vae.prior.noise(rng, batch)
        if spec.name == "observation_noise":
            return self.vae.likelihood.noise(rng, batch)
        return rng.standard_normal(shape, np.float32)

    def _settled(self, noise: np.ndarray, parameters: Arrays, rng: np.random.Generator) -> np.ndarray:
        """The noise, sampled anew where rounding of the parameters could move x from one level to the next."""
        likelihood = self.vae.likelihood
        if likelihood.measure == "density":
            return noise
        for _ in range(_TRIES):
            moves = self._moves(noise, parameters, rng)
            if not moves.any():
                break
            moves = moves.reshape(moves.shape + (1,) * (noise.ndim - moves.ndim))
            noise = np.where(moves, likelihood.noise(rng, len(noise)), noise)
        return noise

    def _moves(self, noise: np.ndarray, parameters: Arrays, rng: np.random.Generator) -> np.ndarray:
        """A mask, `[B, *E]`, of the x that change if the parameters are shifted a little."""
        observe = self.vae.likelihood.observe
        x = observe(noise, parameters).numpy()
        moves = np.zeros(x.shape, bool)
        for low, high in ((-1, -1), (1, 1), (-1, 1), (-1, 1)):
            shifted = {
                name: value + np.float32(_SHIFT * np.abs(value).max()) * rng.uniform(low, high, value.shape)
                for name, value in parameters.items()
            }
            shifted = {name: value.astype(np.float32) for name, value in shifted.items()}
            moves |= observe(noise, shifted).numpy() != x
        return moves
