"""The graphs of the whole model, sampler, reconstructor and scorer, whose noise is an input."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from vae_tf_onnx._chunks import in_chunks
from vae_tf_onnx.families import Family
from vae_tf_onnx.runtime._graph import Head
from vae_tf_onnx.runtime._parts import likelihood_of, prior_noise_of
from vae_tf_onnx.runtime._sampling import checked_count, generator, noise_for_each, normal_noise


class Sampler(Head):
    """x ~ p(x|z), z ~ p(z), in one graph: prior_noise, observation_noise -> x.

    No graph can turn noise into counts. For counts the graph gives the parameters, and numpy makes x.

    The arguments and errors are those of Head.
    """

    graph = "sampler"

    @cached_property
    def _likelihood(self) -> Family:
        return likelihood_of(self.bundle)

    def sample(self, num_samples: int, seed: int | None = None) -> np.ndarray:
        """Samples of x, `[num_samples, *E]`, the same as those of `Decoder.sample` for the same seed.

        Raises:
            ValueError: For a count below 1 or a negative seed.
        """
        num_samples, rng = checked_count(num_samples), generator(seed)
        z_noise = prior_noise_of(self.bundle)(rng, num_samples, self.bundle.latent_dim)
        x_noise = self._likelihood.noise(rng, num_samples, self.bundle.event_shape)
        return in_chunks(self._observe, z_noise, x_noise)

    def _observe(self, z_noise: np.ndarray, x_noise: np.ndarray) -> np.ndarray:
        if "x" in self.output_names:
            return self.run(z_noise, x_noise)["x"]
        return self._likelihood.observe(x_noise, self.run(z_noise))


class _HeadOfData(Head):
    """A graph whose inputs are x and noise."""

    def _inputs(self, x: Any, noise: Any, seed: int | None) -> tuple[Any, np.ndarray]:
        if noise is None:
            noise = normal_noise(generator(seed), len(x), self.bundle.latent_dim)
        return x, noise_for_each(x, noise, self.bundle.latent_dim)


class Reconstructor(_HeadOfData):
    """E[x'|z] at a sample z ~ q(z|x), in one graph: x, noise -> mean.

    The arguments and errors are those of Head.
    """

    graph = "reconstructor"

    def reconstruct(self, x: Any, noise: Any = None, *, seed: int | None = None) -> np.ndarray:
        """The reconstruction of x, `[B, *E]`.

        Args:
            x: Data, `[B, *E]`.
            noise: Standard normal noise, `[B, D]`; zeros stand for the posterior mean. None samples it.
            seed: Seed of the noise, if it is sampled.

        Raises:
            ValueError: For shapes that do not fit, or a negative seed.
        """
        return self.run(*self._inputs(x, noise, seed))["mean"]


class Scores(NamedTuple):
    """The scores of examples, in nats per example, `[B]` each: `elbo == -distortion - rate`."""

    elbo: np.ndarray
    """The evidence lower bound, at one sample of z."""
    distortion: np.ndarray
    """-log p(x|z)."""
    rate: np.ndarray
    """KL(q(z|x) || p(z)), or log q(z|x) - log p(z) at the sample of z if the KL has no closed form."""


class Scorer(_HeadOfData):
    """The ELBO of each example, in one graph: x, noise -> elbo, distortion, rate.

    The arguments and errors are those of Head.
    """

    graph = "scorer"

    def score(self, x: Any, noise: Any = None, *, seed: int | None = None) -> Scores:
        """ELBO, distortion and rate of x `[B, *E]`, at one sample of z for each.

        Args:
            x: Data, `[B, *E]`. The ELBO of values outside the likelihood's support is -inf.
            noise: Standard normal noise, `[B, D]`. None samples it.
            seed: Seed of the noise, if it is sampled.

        Raises:
            ValueError: For shapes that do not fit, or a negative seed.
        """
        return Scores(**self.run(*self._inputs(x, noise, seed)))
