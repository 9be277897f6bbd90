"""The decoder: p(x|z) and the prior p(z) of an exported model."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from vae_tf_onnx._chunks import in_chunks
from vae_tf_onnx.families import Family
from vae_tf_onnx.runtime._graph import Head, as_rows
from vae_tf_onnx.runtime._parts import likelihood_of, prior_noise_of
from vae_tf_onnx.runtime._sampling import checked_count, generator

_MEAN = ["mean"]


class Decoder(Head):
    """p(x|z) of an exported model, and its prior. The arguments and errors are those of Head.

    `providers=["CUDAExecutionProvider"]` decodes on the GPU, or raises ProviderError.
    """

    graph = "decoder"

    def _prepare(self) -> None:
        family = self.bundle.manifest["likelihood"].get("family")
        axes = {"mean": ()} if family is None else likelihood_of(self.bundle).parameters
        expected = {parameter: (*self.bundle.event_shape, *more) for parameter, more in sorted(axes.items())}
        received = {output.name: tuple(output.shape[1:]) for output in self.session.get_outputs()}
        if received != expected:
            raise self._error(f"the outputs {expected}", str(received))
        prior = self.bundle.manifest["prior"].get("family")
        if prior is not None:
            prior_noise_of(self.bundle)
        has_graph = prior not in (None, "StandardNormal")
        self._prior_graph = self.beside("prior") if has_graph else None

    @cached_property
    def likelihood(self) -> Family:
        """The numpy half of p(x|z).

        Raises:
            BundleError: If the likelihood is unstated, as after `export_keras`.
        """
        return likelihood_of(self.bundle)

    def parameters(self, z: Any) -> dict[str, np.ndarray]:
        """The likelihood's parameters, each `[B, *E]` (and a further axis for mixtures), for z `[B, D]`."""
        return self.run(z)

    def decode(self, z: Any) -> np.ndarray:
        """The mean E[x|z], `[B, *E]`, for z `[B, D]`."""
        if self.bundle.batch is not None:
            return self.run(z, names=_MEAN)["mean"]
        # the detour through `run` would cost microseconds
        return self.session.run(_MEAN, {"z": as_rows("z", z, self.input_shapes["z"])})[0]

    def prior_sample(self, rng: np.random.Generator, num_samples: int) -> np.ndarray:
        """Samples z ~ p(z), `[num_samples, D]`.

        Raises:
            BundleError: If the prior is unstated, as after `export_keras`.
        """
        noise = prior_noise_of(self.bundle)(rng, num_samples, self.bundle.latent_dim)
        prior = self._prior_graph
        return noise if prior is None else in_chunks(lambda rows: prior.run(rows)["z"], noise)

    def sample(self, num_samples: int, seed: int | None = None, *, observation_noise: bool = True) -> np.ndarray:
        """Samples x ~ p(x|z), z ~ p(z), `[num_samples, *E]`, the same as those of `VAE.sample` for the same seed.

        Counts have the same law but other values.

        Args:
            num_samples: Number of samples.
            seed: Seed of `numpy.random.default_rng`; None takes a new one.
            observation_noise: Whether to sample x; False returns the mean E[x|z] at each sample of z.

        Raises:
            ValueError: For a count below 1 or a negative seed.
            BundleError: If the prior or the likelihood is unstated, as after `export_keras`.
        """
        num_samples, rng = checked_count(num_samples), generator(seed)
        z = self.prior_sample(rng, num_samples)
        if not observation_noise:
            return in_chunks(self.decode, z)
        noise = self.likelihood.noise(rng, num_samples, self.bundle.event_shape)
        return in_chunks(lambda noise, z: self.likelihood.observe(noise, self.run(z)), noise, z)

    def log_prob(self, x: Any, z: Any) -> np.ndarray:
        """log p(x|z) in nats per example, `[B]`, for x `[B, *E]` and z `[B, D]`.

        Raises:
            ValueError: For shapes that do not fit, or data outside the likelihood's support.
            BundleError: If the likelihood is unstated, as after `export_keras`.
        """
        likelihood = self.likelihood
        x = np.asarray(x, dtype=np.float32)
        parameters = self.run(z)
        if x.shape != parameters["mean"].shape:
            expected = list(parameters["mean"].shape)
            raise ValueError(f"x: expected shape {expected}, received {list(x.shape)}. Pass one x for each z.")
        return likelihood.log_prob(x, parameters).sum(axis=tuple(range(1, x.ndim)))
