"""FlowPrior: a standard normal that a trained flow transforms."""

from __future__ import annotations

import functools
from typing import Any

import tensorflow as tf
import tf_keras as keras
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from vae_tf import _checks
from vae_tf.priors.base import Prior


@keras.saving.register_keras_serializable("vae_tf")
class FlowPrior(Prior):
    """p(z): a standard normal, sent through `flows` affine coupling steps (RealNVP); the KL is estimated.

    Each step scales and shifts one half of the latents by functions of the other half. The order of the latents is
    reversed between steps. The log-scales lie in (-1, 1). Before training the prior is the standard normal.

    Args:
        latent_dim: Number of latents D, at least 2.
        flows: Number of steps.
        units: Width of each step's two hidden layers.
        **kwargs: Arguments of every Keras layer.

    Raises:
        ValueError: For a latent_dim below 2, or other counts below 1.

    References:
        Dinh, Sohl-Dickstein, Bengio 2017, arXiv 1605.08803.
    """

    def __init__(self, latent_dim: int, flows: int = 4, units: int = 64, **kwargs: Any) -> None:
        super().__init__(latent_dim, **kwargs)
        if self.latent_dim < 2:
            raise ValueError(
                _checks.problem(
                    "latent_dim of FlowPrior", expected="at least 2", received="1", remedy="Use MixtureOfNormals."
                )
            )
        self.flows = _checks.positive_int("flows", flows)
        self.units = _checks.positive_int("units", units)
        kept = self.latent_dim // 2
        self.networks = [self._network(kept) for _ in range(self.flows)]

    def _network(self, kept: int) -> keras.Model:
        dense = functools.partial(keras.layers.Dense, dtype="float32")  # whatever the global policy
        return keras.Sequential(
            [
                keras.layers.InputLayer((kept,), dtype="float32"),
                dense(self.units, "relu"),
                dense(self.units, "relu"),
                dense(2 * (self.latent_dim - kept), kernel_initializer="zeros"),
            ]
        )

    def distribution(self) -> tfd.Distribution:
        """See Prior.distribution."""
        return tfd.TransformedDistribution(tfd.MultivariateNormalDiag(tf.zeros(self.latent_dim)), self._bijector())

    def _bijector(self) -> tfb.Bijector:
        kept = self.latent_dim // 2
        backwards = list(reversed(range(self.latent_dim)))

        def step(network: keras.Model) -> tfb.Bijector:
            def shift_and_log_scale(z: tf.Tensor, units: int, **condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
                shift, raw = tf.split(network(tf.reshape(z, (-1, kept))), 2, axis=-1)
                shape = tf.concat([tf.shape(z)[:-1], [units]], axis=0)
                return tf.reshape(shift, shape), tf.tanh(tf.reshape(raw, shape))

            return tfb.RealNVP(num_masked=kept, shift_and_log_scale_fn=shift_and_log_scale)

        steps = [bijector for network in self.networks for bijector in (tfb.Permute(backwards), step(network))]
        return tfb.Chain(steps)

    def from_noise(self, noise: tf.Tensor) -> tf.Tensor:
        """See Prior.from_noise."""
        return self._bijector().forward(tf.convert_to_tensor(noise))

    def get_config(self) -> dict[str, Any]:
        """See Prior.get_config."""
        return super().get_config() | {"flows": self.flows, "units": self.units}
