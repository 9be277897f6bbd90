"""Poisson: counts whose variance is their mean."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras
from tensorflow_probability import distributions as tfd

from vae_tf.likelihoods._counts import Counts, positive, raw_of

_BEND = math.log(1e6)
_MIN_MEAN = 1e-6


@keras.saving.register_keras_serializable("vae_tf")
class Poisson(Counts):
    """x is a count with mean rate(z) and variance rate(z), Poisson, independently for each of the D dimensions.

    `-log p(x|z) = sum(rate - x log(rate) + log x!)`, computed in float64, as its terms reach 1e7 where it is 10.
    `rate = 1e-6 + exp(raw)` for one network output per dimension, and beyond a million on along the tangent,
    `1e6 (1 + raw - log 1e6)`: nothing overflows, no gradient is cut, and rates of a million are near at hand.
    The floor keeps the mass of a count above 0 positive. Support: whole numbers from 0; -inf elsewhere.

    Use it for counts of independent events: photons, clicks, spikes. Where counts vary more than their mean,
    as those of genes and words do, NegativeBinomial. 8-bit images are no counts: DiscretizedLogistic.

    Args:
        event_shape: Shape of one example, without the batch axis; a number d is `(d,)`.
        decay: Memory of the running average; see Likelihood.
        **kwargs: As for every Keras layer.

    Raises:
        ValueError: When negative or fractional numbers are given to `fit`.
    """

    @property
    def parameter_shape(self) -> tuple[int, ...]:
        """See DistributionLayer.parameter_shape."""
        return self.event_shape

    def parameters(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """See DistributionLayer.parameters."""
        return {"mean": _MIN_MEAN + positive(inputs, _BEND)}

    def outputs_at(self, mean: np.ndarray, std: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See Likelihood.outputs_at; the logarithms of the means."""
        return raw_of(mean, _BEND), np.ones(self.parameter_shape)

    def variance(self, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """See PointwiseLikelihood.variance."""
        return parameters["mean"]

    def log_mass(self, x: tf.Tensor, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """See Counts.log_mass."""
        mean = parameters["mean"]
        return tf.math.xlogy(x, mean) - mean - tf.math.lgamma(x + 1.0)

    @staticmethod
    def draw_counts(rng: np.random.Generator, *parameters: np.ndarray) -> np.ndarray:
        """See Counts.draw_counts."""
        return rng.poisson(parameters[0])

    def draw(self, num_samples: tf.Tensor, seed: Any, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """See PointwiseLikelihood.draw."""
        mean = parameters["mean"]
        return tf.cast(tfd.Poisson(tf.cast(mean, tf.float64)).sample(num_samples, seed=seed), mean.dtype)
