"""Normal posteriors, with independent latents or with any covariance."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras
from tensorflow_probability import distributions as tfd

from vae_tf import _checks
from vae_tf.posteriors.base import Posterior


class NormalBase(Posterior):
    """The part that posteriors with a normal base share: a floor of the scale."""

    def __init__(self, latent_dim: int, *, min_scale: float = 1e-5, **kwargs: Any) -> None:
        super().__init__(latent_dim, **kwargs)
        self.min_scale = _checks.positive_float("min_scale", min_scale)

    def _scale(self, raw: tf.Tensor) -> tf.Tensor:
        return self.min_scale + tf.math.softplus(raw)

    def get_config(self) -> dict[str, Any]:
        """See DistributionLayer.get_config."""
        return super().get_config() | {"min_scale": self.min_scale}


@keras.saving.register_keras_serializable("vae_tf")
class DiagonalNormal(NormalBase):
    """q(z|x) = N(loc(x), diag(scale(x)^2)), from 2 D network outputs: loc, then raw scale.

    `scale = min_scale + softplus(raw)`: the floor keeps KL and gradients finite.

    Args:
        latent_dim: Number of latents D.
        min_scale: Floor of the standard deviation.
        **kwargs: Arguments of every Keras layer.

    Raises:
        ValueError: For a latent_dim below 1 or a floor that is not positive.
    """

    factorises = True
    is_normal = True

    @property
    def parameter_shape(self) -> tuple[int, ...]:
        """See DistributionLayer.parameter_shape."""
        return (2 * self.latent_dim,)

    def parameters(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """See DistributionLayer.parameters."""
        loc, raw = tf.split(inputs, 2, axis=-1)
        return {"loc": loc, "scale": self._scale(raw)}

    def distribution(self, parameters: dict[str, tf.Tensor]) -> tfd.Distribution:
        """See DistributionLayer.distribution."""
        return tfd.Independent(tfd.Normal(parameters["loc"], parameters["scale"]), 1)

    def draw(self, noise: tf.Tensor, parameters: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """See Posterior.draw."""
        scale = parameters["scale"]
        log_prob = standard_log_prob(noise) - tf.reduce_sum(tf.math.log(scale), axis=-1)
        return noise * scale + parameters["loc"], log_prob


@keras.saving.register_keras_serializable("vae_tf")
class FullCovarianceNormal(NormalBase):
    """q(z|x) = N(loc(x), L(x) L(x)^T), from D + D (D + 1) / 2 network outputs: loc, then the rows of L.

    L is lower triangular; its diagonal is `min_scale + softplus(raw)`. Its KL to the standard normal prior is
    in closed form.

    Args:
        latent_dim: Number of latents D.
        min_scale: Floor of the diagonal of L.
        **kwargs: Arguments of every Keras layer.

    Raises:
        ValueError: For a latent_dim below 1 or a floor that is not positive.
    """

    is_normal = True

    @property
    def parameter_shape(self) -> tuple[int, ...]:
        """See DistributionLayer.parameter_shape."""
        return (self.latent_dim + self.latent_dim * (self.latent_dim + 1) // 2,)

    def parameters(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """See DistributionLayer.parameters; `scale_tril` is L, `[B, D, D]`."""
        loc, raw = inputs[:, : self.latent_dim], inputs[:, self.latent_dim :]
        below = np.tril(np.ones((self.latent_dim, self.latent_dim), bool))
        index = np.where(below, np.cumsum(below.ravel()).reshape(below.shape) - 1, raw.shape[-1])
        square = tf.gather(tf.concat([raw, tf.zeros_like(raw[:, :1])], axis=-1), index, axis=-1)
        eye = tf.eye(self.latent_dim, dtype=raw.dtype)
        return {"loc": loc, "scale_tril": (1 - eye) * square + eye * self._scale(square)}

    def distribution(self, parameters: dict[str, tf.Tensor]) -> tfd.Distribution:
        """See DistributionLayer.distribution."""
        return tfd.MultivariateNormalTriL(parameters["loc"], parameters["scale_tril"])

    def draw(self, noise: tf.Tensor, parameters: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """See Posterior.draw."""
        tril = parameters["scale_tril"]
        log_prob = standard_log_prob(noise) - tf.reduce_sum(tf.math.log(tf.linalg.diag_part(tril)), axis=-1)
        return tf.linalg.matvec(tril, noise) + parameters["loc"], log_prob


def standard_log_prob(noise: tf.Tensor) -> tf.Tensor:
    """log N(noise; 0, I) in nats, summed over the last axis."""
    return -0.5 * tf.reduce_sum(tf.square(noise) + float(np.log(2 * np.pi)), axis=-1)
