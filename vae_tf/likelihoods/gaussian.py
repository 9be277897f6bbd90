"""Gaussian: real-valued data, the distribution behind the mean squared error."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf
import tf_keras as keras
from tensorflow_probability import distributions as tfd

from vae_tf.equivalence import PointwiseLoss
from vae_tf.likelihoods._location_scale import Quantisable

_LOG_NORM = 0.5 * math.log(2 * math.pi)


class _Normal(tfd.Normal):
    """A normal that subtracts before it divides: TFP's x/scale - loc/scale cancels where the scale is small."""

    def _log_prob(self, x: tf.Tensor) -> tf.Tensor:
        return -0.5 * tf.square((x - self.loc) / self.scale) - tf.math.log(self.scale) - _LOG_NORM


@keras.saving.register_keras_serializable("vae_tf")
class Gaussian(Quantisable):
    """x = mu(z) + sigma * eps, eps standard normal, independent for each of the D dimensions.

    `-log p(x|z) = sum(((x - mu) / sigma)^2) / 2 + D log(sigma) + (D/2) log(2 pi)`: the summed squared error
    times 1/(2 sigma^2), plus a constant. The support is the reals. Use it for real-valued data, and for images where
    the residual has one size; for a residual of many zeros and a few large values take Laplace or StudentT.

    With `quantised=True` x is that value rounded to the nearest grey level: log p(x|z) is the log of the bin's mass,
    which sums to one over the levels, and can be compared with other likelihoods of 8-bit images. The parameters
    are then `loc` and `scale`, and E[x|z] is the mean of the rounded value. `scale="optimal"` is then the residual of
    `loc`, cut to the range of the levels. That is not the most likely sigma where many values are the lowest or
    highest level: "learned" and "per_pixel" maximise the likelihood.

    Args:
        event_shape: Shape of one example, without the batch axis; a number d is `(d,)`.
        scale: Choice of sigma, in the units of the data.
            A positive number: fixed.
            "learned": one trainable log sigma, from sigma = 1.
            "optimal" (default): sigma^2 = the mean squared residual, its closed-form maximum-likelihood
            value, as a running average over batches; the first batch initialises it (sigma = 1 before that).
            Quantised data take the same formula, which then counts the rounding as noise.
            "per_dimension": a trainable log sigma for each dimension, from sigma = 1.
            "per_pixel": the network puts out sigma as well, twice the channels:
            `min_scale + softplus(raw)`.
            `assign_scale` sets the sigma of "optimal", "learned" and "per_dimension", `calibrate` finds the best one.
        quantised: Whether the data are grey levels.
        levels: Number L of the levels k / (L - 1) in [0, 1]; None (default) for images as stored, whole numbers 0 to
            255. Only with `quantised=True`.
        min_scale: Floor of every sigma that is not fixed. By default 0.001, about the rounding noise of 8-bit images in
            [0, 1], or less where networks with `standardise` meet data of smaller units. A trained sigma is
            projected onto it, so that it can grow again.
        learning_rate_multiplier: Factor m by which a trained sigma learns faster than the other weights; only with
            "learned" and "per_dimension". The trained weight is `log(sigma) / m`. Adam moves every weight by about its
            learning rate, so that log sigma moves m times as fast; plain gradient descent moves it m^2 times as fast.
            With Adam at 1e-3 and m = 1, log sigma takes a thousand steps from 0 to -1; 10 to 50 suit it.
        decay: Memory of the running average; see Likelihood.
        **kwargs: As for every Keras layer.

    Raises:
        ValueError: For a scale that is neither a positive number nor one of the four words, a multiplier beside a scale
            that is not trained, levels without `quantised=True`, fewer than 2 levels, and quantised data that are no
            grey levels.

    References:
        Optimal sigma: Rybkin, Daniilidis, Levine 2021, "Simple and Effective VAE Training with Calibrated
        Decoders", eq. 5, arXiv 2006.13202.
    """

    def spread(self, residual: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
        """See LocationScale.spread: the square, whose mean is sigma^2."""
        return tf.square(residual)

    def density(self, parameters: dict[str, tf.Tensor]) -> tfd.Distribution:
        """See Quantisable.density."""
        return _Normal(parameters[self.location], parameters["scale"])

    def standard(self) -> tfd.Distribution:
        """See LocationScale.standard."""
        return tfd.Normal(tf.zeros((), self.compute_dtype), 1.0)

    def noise(self, rng: np.random.Generator, num_samples: int) -> np.ndarray:
        """Standard normal; see Likelihood.noise."""
        return rng.standard_normal((num_samples, *self.event_shape), dtype=np.float32)

    def log_tail(self, t: tf.Tensor) -> tf.Tensor:
        """See Quantisable.log_tail."""
        return tfd.Normal(tf.zeros((), t.dtype), 1.0).log_survival_function(t)

    @staticmethod
    def above(t: tf.Tensor) -> tf.Tensor:
        """See Quantisable.above; ONNX has erf but not erfc."""
        return 0.5 - 0.5 * tf.math.erf(t * math.sqrt(0.5))

    def equivalence(self) -> PointwiseLoss | None:
        """See Likelihood.equivalence; None for quantised data and for a sigma that differs between dimensions."""
        if self.quantised or not self.scaling.is_one_number:
            return None
        sigma = float(self.scale)
        constant = self.dims * (math.log(sigma) + _LOG_NORM)
        return PointwiseLoss("mse", scale_factor=1 / (2 * sigma**2), constant=constant)
