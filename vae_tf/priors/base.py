"""The base class of all priors."""

from __future__ import annotations

import abc
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
import tf_keras as keras
from tensorflow_probability import distributions as tfd

from vae_tf import _checks


class Prior(keras.layers.Layer, abc.ABC):
    """p(z), a distribution over `latent_dim` latents. It is a layer, so that its weights are trained and saved.

    Args:
        latent_dim: Number of latents D.
        **kwargs: `name`, `dtype` and `trainable`, as of every Keras layer.

    Raises:
        ValueError: For a latent_dim below 1.
    """

    factorises: ClassVar[bool] = False
    """Whether the latents are independent."""

    def __init__(self, latent_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.latent_dim = _checks.positive_int("latent_dim", latent_dim)

    @abc.abstractmethod
    def distribution(self) -> tfd.Distribution:
        """p(z): batch shape [], event shape [D]."""

    @abc.abstractmethod
    def from_noise(self, noise: tf.Tensor) -> tf.Tensor:
        """Draws of z, `[n, D]`, as a function of noise `[n, ...]` such as `noise` returns."""

    def noise(self, rng: np.random.Generator, num_samples: int) -> np.ndarray:
        """Standard normal noise `[num_samples, D]` for `from_noise`."""
        return rng.standard_normal((num_samples, self.latent_dim), dtype=np.float32)

    def log_prob(self, z: tf.Tensor) -> tf.Tensor:
        """log p(z) in nats, `[*K, B]` for z `[*K, B, D]`."""
        return self.distribution().log_prob(z)

    def closed_form(self, q: tfd.Distribution) -> tf.Tensor | None:
        """KL(q || p) in nats per example, `[B]`, if it has a closed form; else None."""
        return None

    def rate_per_latent(self, q: tfd.Distribution) -> tf.Tensor | None:
        """KL(q_j || p_j) of the marginals in nats per example and latent, `[B, D]`; None without a closed form.

        The KLs of the marginals add up to the KL if both posterior and prior factorise.
        """
        return None

    def attach(self, encoder: keras.Model, posterior: Any) -> None:
        """Gives the prior the encoder of its VAE, which calls this once. Only a prior made of the encoder uses it.

        Args:
            encoder: The encoder, `[B, *E]` -> q(z|x).
            posterior: The encoder's last layer.
        """

    def get_config(self) -> dict[str, Any]:
        """Plain JSON: the arguments of the constructor."""
        return super().get_config() | {"latent_dim": self.latent_dim}
