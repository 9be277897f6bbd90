"""Priors p(z)."""

from __future__ import annotations

import abc
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras
from tensorflow_probability import distributions as tfd

from vae_tf import _checks

__all__ = ["Prior", "StandardNormal"]


class Prior(keras.layers.Layer, abc.ABC):
    """p(z), a distribution over `latent_dim` latents; a layer, so that its weights train and save.

    Args:
        latent_dim: number of latents D.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Raises:
        ValueError: for a latent_dim below 1.
    """

    def __init__(self, latent_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.latent_dim = _checks.positive_int("latent_dim", latent_dim)

    @abc.abstractmethod
    def distribution(self) -> tfd.Distribution:
        """p(z): batch shape [], event shape [D]."""

    @abc.abstractmethod
    def rate(self, q: tfd.Distribution, z: tf.Tensor) -> tf.Tensor:
        """KL(q || p) in nats per example, `[B]`, not averaged.

        Args:
            q: posterior, batch shape [B], event shape [D].
            z: the draw from q that the decoder sees, `[B, D]`, for priors that have no closed form.
        """

    @abc.abstractmethod
    def from_noise(self, noise: tf.Tensor) -> tf.Tensor:
        """A draw `[n, D]` of z as a function of standard normal noise `[n, D]`."""

    def noise(self, rng: np.random.Generator, num_samples: int) -> np.ndarray:
        """Standard normal noise `[num_samples, D]` for `from_noise`."""
        return rng.standard_normal((num_samples, self.latent_dim), dtype=np.float32)

    def get_config(self) -> dict[str, Any]:
        """Plain JSON: the arguments of the constructor."""
        return super().get_config() | {"latent_dim": self.latent_dim}


@keras.saving.register_keras_serializable("vae_tf")
class StandardNormal(Prior):
    """p(z) = N(0, I)."""

    def distribution(self) -> tfd.Distribution:
        """See Prior.distribution."""
        return tfd.Independent(tfd.Normal(tf.zeros(self.latent_dim), 1.0), 1)

    def rate(self, q: tfd.Distribution, z: tf.Tensor) -> tf.Tensor:
        """See Prior.rate; in closed form, `z` is not used."""
        return tfd.kl_divergence(q, self.distribution())

    def from_noise(self, noise: tf.Tensor) -> tf.Tensor:
        """See Prior.from_noise; the noise itself."""
        return tf.convert_to_tensor(noise)
