"""The TensorFlow functions that become graphs: their tensors are float32, and noise is one of their inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

import vae_tf
from vae_tf.bound import bound
from vae_tf_onnx.families import POSTERIORS

ON_REQUEST = ("decoder", "encoder", "sampler", "reconstructor", "scorer")
"""The graphs that a caller may ask for. The other graphs are made if a decoder or an encoder needs them."""
_WITHOUT_INVERSE = (
    vae_tf.likelihoods.Poisson,
    vae_tf.likelihoods.NegativeBinomial,
    vae_tf.likelihoods.ZeroInflatedNegativeBinomial,
)
"""The likelihoods whose x only numpy can sample."""


def functions(vae: vae_tf.VAE, names: tuple[str, ...], batch: int | None = None) -> dict[str, Any]:
    """A `tf.function` of named inputs for each graph, the decoder first.

    Three graphs are made beside those of these names: `prior` for priors other than the standard normal, `posterior`
    for posteriors that have no twin in numpy, and `observation` for likelihoods with an inverse distribution function.

    Args:
        vae: The model.
        names: Names of graphs, some of `ON_REQUEST`.
        batch: Size of the batch axis; None leaves it open.
    """
    make = _Functions(vae, batch)
    made = {name: getattr(make, name)() for name in ON_REQUEST if name in names}
    if not isinstance(vae.prior, vae_tf.priors.StandardNormal):
        made["prior"] = make.prior()
    if "encoder" in names and type(vae.posterior).__name__ not in POSTERIORS:
        made["posterior"] = make.posterior()
    if make.has_inverse:
        made["observation"] = make.observation(made["decoder"])
    return made


class _Functions:
    """The functions of one model. Each returns its outputs by name, and the first axis is the batch."""

    def __init__(self, vae: vae_tf.VAE, batch: int | None) -> None:
        self.vae = vae
        self.batch = batch
        self.has_inverse = not isinstance(vae.likelihood, _WITHOUT_INVERSE)

    def _spec(self, name: str, *shape: int) -> tf.TensorSpec:
        return tf.TensorSpec((self.batch, *shape), tf.float32, name=name)

    def _latents(self, name: str) -> tf.TensorSpec:
        return self._spec(name, self.vae.latent_dim)

    def _prior_noise(self, name: str) -> tf.TensorSpec:
        return self._spec(name, *self.vae.prior.noise(np.random.default_rng(0), 1).shape[1:])

    def _observation_noise(self) -> tf.TensorSpec:
        return self._spec("observation_noise", *self.vae.likelihood.noise(np.random.default_rng(0), 1).shape[1:])

    def _parameters(self, z: tf.Tensor) -> dict[str, tf.Tensor]:
        """The mean and the likelihood's parameters, each broadcast to all axes."""
        likelihood = self.vae.likelihood
        parameters = likelihood.parameters_of(self.vae.decoder(z, training=False))
        mean = likelihood.mean(parameters)
        full, rank = tf.shape(mean), mean.shape.rank
        return {"mean": mean} | {
            name: value if value.shape.rank > rank else tf.broadcast_to(value, full)
            for name, value in parameters.items()
        }

    def _draw(self, x: tf.Tensor, noise: tf.Tensor) -> tuple[Any, tf.Tensor, tf.Tensor]:
        """q(z|x), the z that the noise makes of it, and log q(z|x)."""
        q = self.vae.encoder(x, training=False)
        return q, *self.vae.posterior.draw(noise, self.vae.posterior.parameters_of(q))

    def decoder(self) -> Any:
        """The function z -> mean and parameters of p(x|z)."""

        @tf.function(input_signature=[self._latents("z")])
        def decoder(z: tf.Tensor) -> dict[str, tf.Tensor]:
            return _named(self._parameters(z))

        return decoder

    def encoder(self) -> Any:
        """The function x -> parameters of q(z|x)."""

        @tf.function(input_signature=[self._spec("x", *self.vae.event_shape)])
        def encoder(x: tf.Tensor) -> dict[str, tf.Tensor]:
            return _named(self.vae.posterior.parameters_of(self.vae.encoder(x, training=False)))

        return encoder

    def prior(self) -> Any:
        """The function noise -> z."""

        @tf.function(input_signature=[self._prior_noise("noise")])
        def prior(noise: tf.Tensor) -> dict[str, tf.Tensor]:
            return _named({"z": self.vae.prior.from_noise(noise)})

        return prior

    def posterior(self) -> Any:
        """The function x, noise -> z, log q(z|x)."""

        @tf.function(input_signature=[self._spec("x", *self.vae.event_shape), self._latents("noise")])
        def posterior(x: tf.Tensor, noise: tf.Tensor) -> dict[str, tf.Tensor]:
            _, z, log_prob = self._draw(x, noise)
            return _named({"z": z, "log_prob": log_prob})

        return posterior

    def observation(self, decoder: Any) -> Any:
        """The function of the parameters that x depends on, and of observation noise, -> x."""
        noise = self._observation_noise()
        outputs = decoder.get_concrete_function().structured_outputs
        specs = [self._spec(name, *value.shape[1:]) for name, value in outputs.items()]
        likelihood = self.vae.likelihood

        def observe(*inputs: tf.Tensor) -> dict[str, tf.Tensor]:
            *values, observation_noise = inputs
            given = dict(zip(names, values, strict=True))
            return _named({"x": likelihood.observe(observation_noise, given)})

        names = [spec.name for spec in specs]
        traced = tf.function(observe, input_signature=[*specs, noise]).get_concrete_function()
        used = [spec for spec, source in zip(specs, traced.inputs, strict=False) if source.consumers()]
        names = [spec.name for spec in used]
        return tf.function(observe, input_signature=[*used, noise])

    def sampler(self) -> Any:
        """The function prior noise, observation noise -> x; prior noise -> parameters if only numpy can sample x."""
        prior_noise, observation_noise = self._prior_noise("prior_noise"), self._observation_noise()
        vae = self.vae

        @tf.function(input_signature=[prior_noise])
        def parameters(prior_noise: tf.Tensor) -> dict[str, tf.Tensor]:
            return _named(self._parameters(vae.prior.from_noise(prior_noise)))

        @tf.function(input_signature=[prior_noise, observation_noise])
        def sampler(prior_noise: tf.Tensor, observation_noise: tf.Tensor) -> dict[str, tf.Tensor]:
            p = vae.decoder(vae.prior.from_noise(prior_noise), training=False)
            return _named({"x": vae.likelihood.observe(observation_noise, vae.likelihood.parameters_of(p))})

        return sampler if self.has_inverse else parameters

    def reconstructor(self) -> Any:
        """The function x, noise -> E[x|z] at the z that the noise makes."""

        @tf.function(input_signature=[self._spec("x", *self.vae.event_shape), self._latents("noise")])
        def reconstructor(x: tf.Tensor, noise: tf.Tensor) -> dict[str, tf.Tensor]:
            return _named({"mean": self._parameters(self._draw(x, noise)[1])["mean"]})

        return reconstructor

    def scorer(self) -> Any:
        """The function x, noise -> ELBO, distortion and rate, in nats per example, at the z that the noise makes."""
        vae = self.vae

        @tf.function(input_signature=[self._spec("x", *vae.event_shape), self._latents("noise")])
        def scorer(x: tf.Tensor, noise: tf.Tensor) -> dict[str, tf.Tensor]:
            terms, _ = bound(vae, x, noise[None])
            return _named({"elbo": terms.elbo, "distortion": terms.distortion, "rate": terms.rate})

        return scorer


def _named(outputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """The outputs, each as a node of its own, so that two of them may be the same tensor."""
    return {name: tf.identity(value, name=name) for name, value in outputs.items()}
