"""Laplace: real-valued data with a few large residuals, the distribution behind the mean absolute error."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf
import tf_keras as keras
from tensorflow_probability import distributions as tfd

from vae_tf.equivalence import PointwiseLoss
from vae_tf.likelihoods._location_scale import Quantisable


@keras.saving.register_keras_serializable("vae_tf")
class Laplace(Quantisable):
    """x = mu(z) + b * eps, eps standard Laplace with density exp(-|eps|) / 2, independently for each of D dimensions.

    `-log p(x|z) = sum(|x - mu|) / b + D log(2 b)`: the summed absolute error times 1/b, plus a constant. The
    support is the reals. Use it where most residuals are small and a few are large, as at the edges in an image:
    mu is then a median, and one outlier pulls it no more than any other value. Not for residuals of one size, where
    the Gaussian fits better, nor where the few are very large: StudentT has heavier tails.

    With `quantised=True` x is that value rounded to the nearest grey level; see Gaussian.

    Args:
        event_shape: Shape of one example, without the batch axis; a number d is `(d,)`.
        scale: Choice of b, in the units of the data; the standard deviation is sqrt(2) b.
            A positive number, "learned", "per_dimension" or "per_pixel": as for Gaussian.
            "optimal" (default): b = the mean absolute residual, its closed-form maximum-likelihood value, as a
            running average over batches; the first batch initialises it (b = 1 before that). Quantised data take
            the same formula.
        quantised: Whether the data are grey levels.
        levels: Number L of the levels k / (L - 1) in [0, 1]; None (default) for images as stored, whole numbers 0 to
            255. Only with `quantised=True`.
        min_scale: Floor of every b that is not fixed; see Gaussian.
        learning_rate_multiplier: Factor by which a trained b learns faster; see Gaussian.
        decay: Memory of the running average; see Likelihood.
        **kwargs: As for every Keras layer.

    Raises:
        ValueError: As for Gaussian.
    """

    spread_name = "running_mae"
    spread_power = 1

    def spread(self, residual: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
        """See LocationScale.spread: the absolute value, whose mean is b."""
        return tf.abs(residual)

    def density(self, parameters: dict[str, tf.Tensor]) -> tfd.Distribution:
        """See Quantisable.density."""
        return tfd.Laplace(parameters[self.location], parameters["scale"])

    def standard(self) -> tfd.Distribution:
        """See LocationScale.standard."""
        return tfd.Laplace(tf.zeros((), self.compute_dtype), 1.0)

    def noise(self, rng: np.random.Generator, num_samples: int) -> np.ndarray:
        """Standard Laplace; see Likelihood.noise."""
        return rng.laplace(size=(num_samples, *self.event_shape)).astype(np.float32)

    def log_tail(self, t: tf.Tensor) -> tf.Tensor:
        """See Quantisable.log_tail."""
        return -t - math.log(2)

    @staticmethod
    def above(t: tf.Tensor) -> tf.Tensor:
        """See Quantisable.above."""
        tail = 0.5 * tf.exp(-tf.abs(t))
        return tf.where(t < 0, 1 - tail, tail)

    def equivalence(self) -> PointwiseLoss | None:
        """See Likelihood.equivalence; None for quantised data and for a b that differs between dimensions."""
        if self.quantised or not self.scaling.is_one_number:
            return None
        scale = float(self.scale)
        return PointwiseLoss("mae", scale_factor=1 / scale, constant=self.dims * math.log(2 * scale))
