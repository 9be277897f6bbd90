"""What every prior has."""

from __future__ import annotations

import abc
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
import tf_keras as keras
from tensorflow_probability import distributions as tfd

from vae_tf import _checks


class Prior(keras.layers.Layer, abc.ABC):
    """p(z), a distribution over `latent_dim` latents; a layer, so that its weights train and save.

    Args:
        latent_dim: number of latents D.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Raises:
        ValueError: for a latent_dim below 1.
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
        """A draw `[n, D]` of z as a function of noise `[n, ...]` from `noise`."""

    def noise(self, rng: np.random.Generator, num_samples: int) -> np.ndarray:
        """Standard normal noise `[num_samples, D]` for `from_noise`."""
        return rng.standard_normal((num_samples, self.latent_dim), dtype=np.float32)

    def log_prob(self, z: tf.Tensor) -> tf.Tensor:
        """log p(z) in nats, `[*K, B]` for z `[*K, B, D]`."""
        return self.distribution().log_prob(z)

    def closed_form(self, q: tfd.Distribution) -> tf.Tensor | None:
        """KL(q || p) in nats per example, `[B]`, where it has a closed form; else None."""
        return None

    def rate_per_latent(self, q: tfd.Distribution) -> tf.Tensor | None:
        """KL of the marginals, KL(q_j || p_j), in nats per example and latent, `[B, D]`; None without closed form.

        They add up to the KL where both posterior and prior factorise.
        """
        return None

    def attach(self, encoder: keras.Model, posterior: Any) -> None:
        """Called once by the VAE, for priors that are made of its encoder.

        Args:
            encoder: `[B, *E]` -> q(z|x).
            posterior: its last layer.
        """

    def get_config(self) -> dict[str, Any]:
        """Plain JSON: the arguments of the constructor."""
        return super().get_config() | {"latent_dim": self.latent_dim}
