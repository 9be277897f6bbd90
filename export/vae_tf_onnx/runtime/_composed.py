"""Graphs of the whole model: sampler, reconstructor and scorer. Their noise is an input."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from vae_tf_onnx.families import Family
from vae_tf_onnx.runtime._graph import Head, likelihood_of, prior_noise
from vae_tf_onnx.runtime._noise import count, for_each, generator, in_chunks, normal


class Sampler(Head):
    """x ~ p(x|z), z ~ p(z), in one graph: prior_noise, observation_noise -> x.

    For counts, whose noise no graph turns into draws, the graph gives the parameters and numpy draws.

    Arguments and errors are those of Head.
    """

    graph = "sampler"

    @cached_property
    def _likelihood(self) -> Family:
        return likelihood_of(self.bundle)

    def sample(self, num_samples: int, seed: int | None = None) -> np.ndarray:
        """Draws of x, `[num_samples, *E]`: those of `Decoder.sample` for the same seed.

        Raises:
            ValueError: for a count below 1 or a negative seed.
        """
        num_samples, rng = count(num_samples), generator(seed)
        z_noise = prior_noise(self.bundle)(rng, num_samples, self.bundle.latent_dim)
        x_noise = self._likelihood.noise(rng, num_samples, self.bundle.event_shape)
        return in_chunks(self._draw, z_noise, x_noise)

    def _draw(self, z_noise: np.ndarray, x_noise: np.ndarray) -> np.ndarray:
        if "x" in self.output_names:
            return self.run(z_noise, x_noise)["x"]
        return self._likelihood.observe(x_noise, self.run(z_noise))


class _OfData(Head):
    """A graph of x and noise."""

    def _rows(self, x: Any, noise: Any, seed: int | None) -> tuple[Any, np.ndarray]:
        if noise is None:
            noise = normal(generator(seed), len(x), self.bundle.latent_dim)
        return x, for_each(x, noise, self.bundle.latent_dim)


class Reconstructor(_OfData):
    """E[x'|z] at a draw z ~ q(z|x), in one graph: x, noise -> mean.

    Arguments and errors are those of Head.
    """

    graph = "reconstructor"

    def reconstruct(self, x: Any, noise: Any = None, *, seed: int | None = None) -> np.ndarray:
        """The reconstruction `[B, *E]` of x `[B, *E]`.

        Args:
            x: data.
            noise: standard normal, `[B, D]`; zeros give the reconstruction at the posterior mean. None draws it.
            seed: of that draw.

        Raises:
            ValueError: for shapes that do not fit, or a negative seed.
        """
        return self.run(*self._rows(x, noise, seed))["mean"]


class Scores(NamedTuple):
    """`elbo == -distortion - rate`, in nats per example, `[B]` each."""

    elbo: np.ndarray
    """The evidence lower bound, at one draw of z."""
    distortion: np.ndarray
    """-log p(x|z)."""
    rate: np.ndarray
    """KL(q(z|x) || p(z)), or log q(z|x) - log p(z) at the draw where the KL has no closed form."""


class Scorer(_OfData):
    """The ELBO of each example, in one graph: x, noise -> elbo, distortion, rate.

    Arguments and errors are those of Head.
    """

    graph = "scorer"

    def score(self, x: Any, noise: Any = None, *, seed: int | None = None) -> Scores:
        """ELBO, distortion and rate of x `[B, *E]`, from one draw of z for each.

        Args:
            x: data; the ELBO of values outside the likelihood's support is -inf.
            noise: standard normal, `[B, D]`. None draws it.
            seed: of that draw.

        Raises:
            ValueError: for shapes that do not fit, or a negative seed.
        """
        return Scores(**self.run(*self._rows(x, noise, seed)))
