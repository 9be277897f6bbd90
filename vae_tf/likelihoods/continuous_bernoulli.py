"""Continuous Bernoulli: grey levels in [0, 1], the distribution that binary cross-entropy lacks a constant to be."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf
import tf_keras as keras

from vae_tf.likelihoods import _links
from vae_tf.likelihoods._pointwise import PointwiseLikelihood
from vae_tf.likelihoods.base import check_unit_interval


@keras.saving.register_keras_serializable("vae_tf")
class ContinuousBernoulli(PointwiseLikelihood):
    """x ~ C(lambda) lambda^x (1 - lambda)^(1 - x) on [0, 1], lambda = sigmoid(l(z)), independently for each dimension.

    `-log p(x|z) = sum(softplus(l) - x l - log C)`: binary cross-entropy from logits less
    `log C = log(l / tanh(l/2))`, which is log 2 at l = 0 and tends to log |l| away from it. Without that term the
    cross-entropy integrates to no constant over [0, 1]: its value is no likelihood, and training on it keeps the
    logits smaller than the data call for.

    The support is [0, 1]. Use it for grey levels with many values near 0 or 1, such as MNIST before rounding. Not
    for binary data (Bernoulli), nor for values that crowd about a middle grey: this density is monotone in x.

    The parameters are `logits`, l, and `mean`, `1/2 + coth(l/2)/2 - 1/l`, which is not lambda.

    Args:
        event_shape: Shape of one example, without the batch axis; a number d is `(d,)`.
        decay: Memory of the running average; see Likelihood.
        **kwargs: As for every Keras layer.

    Raises:
        ValueError: When data outside [0, 1] are given to `fit`.

    References:
        Loaiza-Ganem, Cunningham 2019, "The continuous Bernoulli: fixing a pervasive error in variational
        autoencoders", arXiv 1907.06845.
    """

    support = "[0, 1]"

    @property
    def parameter_shape(self) -> tuple[int, ...]:
        """See DistributionLayer.parameter_shape."""
        return self.event_shape

    def parameters(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """See DistributionLayer.parameters."""
        return {"mean": _mean(inputs), "logits": inputs}

    def outputs_at(self, mean: np.ndarray, std: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See Likelihood.outputs_at; the logits of means in [0.01, 0.99], which lie in [-100, 100]."""
        target = np.clip(mean, 1e-2, 1 - 1e-2)
        return _links.inverse(lambda logits: _mean(tf.constant(logits)).numpy(), target, -110, 110), np.ones(mean.shape)

    def pointwise_log_prob(self, x: tf.Tensor, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """See PointwiseLikelihood.pointwise_log_prob; in float64, for the terms may cancel."""
        logits, value = tf.cast(parameters["logits"], tf.float64), tf.cast(x, tf.float64)
        log_prob = tf.cast((value - 0.5) * logits - _log_sinhc(logits / 2), self.compute_dtype)
        return tf.where((x >= 0) & (x <= 1), log_prob, -np.inf)

    def observe(self, noise: tf.Tensor, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """See Likelihood.observe; the inverse distribution function, in float64."""
        logits, u = tf.cast(parameters["logits"], tf.float64), tf.cast(noise, tf.float64)
        size = tf.maximum(tf.abs(logits), 1e-6)  # at 0 it is x = u
        u = tf.where(logits > 0, 1 - u, u)
        x = tf.minimum(-tf.math.log1p(u * tf.math.expm1(-size)) / size, 1.0)
        return tf.cast(tf.where(logits > 0, 1 - x, x), parameters["logits"].dtype)

    def equivalence(self) -> None:
        """See Likelihood.equivalence; None, for log C depends on the logits."""
        return None

    def check_data(self, x: np.ndarray) -> None:
        """See Likelihood.check_data."""
        super().check_data(x)
        check_unit_interval(x, "ContinuousBernoulli")


def _mean(logits: tf.Tensor) -> tf.Tensor:
    """E[x], with its Taylor series where the closed form cancels."""
    near = tf.abs(logits) < 1
    size = tf.where(near, tf.ones_like(logits), tf.abs(logits))
    decay = tf.exp(-size)
    low = 1 / size - decay / (1 - decay)  # E[x] at logits of -size
    square = tf.where(near, tf.square(logits), tf.zeros_like(logits))
    series = 1 / 12 + square * (-1 / 720 + square * (1 / 30240 - square / 1209600))
    return tf.where(near, 0.5 + logits * series, tf.where(logits < 0, low, 1 - low))


def _log_sinhc(t: tf.Tensor) -> tf.Tensor:
    """log(sinh(t) / t), with its Taylor series where the closed form cancels; for float64."""
    near = tf.abs(t) < 0.25
    size = tf.where(near, tf.ones_like(t), tf.abs(t))
    far = size + tf.math.log1p(-tf.exp(-2 * size)) - math.log(2) - tf.math.log(size)
    square = tf.where(near, tf.square(t), tf.zeros_like(t))
    series = square * (1 / 6 + square * (-1 / 180 + square * (1 / 2835 - square / 37800)))
    return tf.where(near, series, far)
