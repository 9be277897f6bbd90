"""The base class of all posteriors."""

from __future__ import annotations

import abc
from typing import Any, ClassVar

import tensorflow as tf

from vae_tf import _checks
from vae_tf._distribution_layer import DistributionLayer


class Posterior(DistributionLayer):
    """q(z|x), a distribution over `latent_dim` latents.

    Args:
        latent_dim: Number of latents D.
        **kwargs: Arguments of every Keras layer.

    Raises:
        ValueError: For a latent_dim below 1.
    """

    factorises: ClassVar[bool] = False
    """Whether the latents are independent given x."""
    is_normal: ClassVar[bool] = False
    """Whether it is a normal distribution."""

    def __init__(self, latent_dim: int, **kwargs: Any) -> None:
        super().__init__((_checks.positive_int("latent_dim", latent_dim),), **kwargs)

    @property
    def latent_dim(self) -> int:
        """Number of latents D."""
        return self.event_shape[0]

    @abc.abstractmethod
    def draw(self, noise: tf.Tensor, parameters: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """Draws of z, and log q(z|x) at them in nats, as functions of standard normal noise.

        Args:
            noise: `[*K, B, D]`, any number of leading sample axes.
            parameters: Parameters of B posteriors.

        Returns:
            z `[*K, B, D]` and log q(z|x) `[*K, B]`.
        """

    def get_config(self) -> dict[str, Any]:
        """See DistributionLayer.get_config."""
        return super().get_config() | {"latent_dim": self.latent_dim}
