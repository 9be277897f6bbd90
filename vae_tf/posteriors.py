"""Approximate posteriors q(z|x): the last layer of an encoder."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras as keras
from tensorflow_probability import distributions as tfd

from vae_tf import _checks
from vae_tf._distribution_layer import DistributionLayer

__all__ = ["DiagonalNormal", "Posterior"]


class Posterior(DistributionLayer):
    """q(z|x), a distribution over `latent_dim` latents.

    Args:
        latent_dim: number of latents D.
        **kwargs: as for every Keras layer.

    Raises:
        ValueError: for a latent_dim below 1.
    """

    def __init__(self, latent_dim: int, **kwargs: Any) -> None:
        super().__init__((_checks.positive_int("latent_dim", latent_dim),), **kwargs)

    @property
    def latent_dim(self) -> int:
        """Number of latents D."""
        return self.event_shape[0]

    def get_config(self) -> dict[str, Any]:
        """See DistributionLayer.get_config."""
        return super().get_config() | {"latent_dim": self.latent_dim}


@keras.saving.register_keras_serializable("vae_tf")
class DiagonalNormal(Posterior):
    """q(z|x) = N(loc(x), diag(scale(x)^2)), from 2 D network outputs: loc, then raw scale.

    `scale = min_scale + softplus(raw)`: the floor keeps KL and gradients finite.

    Args:
        latent_dim: number of latents D.
        min_scale: floor of the standard deviation.
        **kwargs: as for every Keras layer.

    Raises:
        ValueError: for a latent_dim below 1 or a floor that is not positive.
    """

    def __init__(self, latent_dim: int, *, min_scale: float = 1e-5, **kwargs: Any) -> None:
        super().__init__(latent_dim, **kwargs)
        self.min_scale = _checks.positive_float("min_scale", min_scale)

    @property
    def parameter_shape(self) -> tuple[int, ...]:
        """See DistributionLayer.parameter_shape."""
        return (2 * self.latent_dim,)

    def parameters(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """See DistributionLayer.parameters."""
        loc, raw = tf.split(inputs, 2, axis=-1)
        return {"loc": loc, "scale": self.min_scale + tf.math.softplus(raw)}

    def distribution(self, parameters: dict[str, tf.Tensor]) -> tfd.Distribution:
        """See DistributionLayer.distribution."""
        return tfd.Independent(tfd.Normal(parameters["loc"], parameters["scale"]), 1)

    def get_config(self) -> dict[str, Any]:
        """See DistributionLayer.get_config."""
        return super().get_config() | {"min_scale": self.min_scale}
