"""Likelihoods with independent dimensions that TensorFlow Probability lacks, or computes less accurately."""

from __future__ import annotations

import abc
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf import _checks
from vae_tf.likelihoods.base import Likelihood


class PointwiseLikelihood(Likelihood):
    """A likelihood given by functions of one dimension's value and parameters.

    Its noise is uniform on [0, 1), which `observe` sends through the inverse of the distribution function,
    unless a subclass says otherwise.
    """

    @abc.abstractmethod
    def pointwise_log_prob(self, x: tf.Tensor, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """log p(x|z) in nats for each dimension, `[*K, B, *E]`; -inf outside the support."""

    def variance(self, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """Var[x|z] of each dimension, `[B, *E]`, where the family has it in closed form.

        Raises:
            NotImplementedError: For a family that does not state it.
        """
        raise NotImplementedError(
            _checks.problem(
                f"Variance of {type(self).__name__}",
                expected="a family that states it",
                received="one that does not",
                remedy="Take it from draws: p.sample(1000).",
            )
        )

    def distribution(self, parameters: dict[str, tf.Tensor]) -> tfd.Distribution:
        """See DistributionLayer.distribution."""
        return Pointwise(self, parameters)

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """Shape of the noise for one example."""
        return self.event_shape

    def noise(self, rng: np.random.Generator, num_samples: int) -> np.ndarray:
        """Uniform on [0, 1), `[num_samples, *noise_shape]`; see Likelihood.noise."""
        return rng.random((num_samples, *self.noise_shape), dtype=np.float32)

    def draw(self, num_samples: tf.Tensor, seed: Any, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """Draws `[num_samples, B, *E]` of x, with TensorFlow's random numbers."""
        shape = tf.concat([[num_samples], _batch_shape(parameters), self.noise_shape], axis=0)
        dtype = self.compute_dtype
        return self.observe(tfd.Uniform(tf.zeros((), dtype), tf.ones((), dtype)).sample(shape, seed=seed), parameters)


class Pointwise(tfd.Distribution):
    """The distribution that a PointwiseLikelihood returns: batch shape [B], event shape `E`.

    Args:
        layer: The likelihood.
        parameters: Result of its `parameters`.
    """

    def __init__(self, layer: PointwiseLikelihood, parameters: dict[str, tf.Tensor]) -> None:
        self.layer = layer
        self.layer_parameters = parameters
        dtype = tf.as_dtype(layer.compute_dtype)
        super().__init__(dtype, tfd.NOT_REPARAMETERIZED, validate_args=False, allow_nan_stats=False)

    def _batch_shape(self) -> tf.TensorShape:
        return _largest(self.layer_parameters).shape[:1]

    def _batch_shape_tensor(self, **kwargs: Any) -> tf.Tensor:
        return _batch_shape(self.layer_parameters)

    def _event_shape(self) -> tf.TensorShape:
        return tf.TensorShape(self.layer.event_shape)

    def _event_shape_tensor(self, **kwargs: Any) -> tf.Tensor:
        return tf.constant(self.layer.event_shape)

    def _log_prob(self, x: tf.Tensor, **kwargs: Any) -> tf.Tensor:
        terms = self.layer.pointwise_log_prob(tf.cast(x, self.dtype), self.layer_parameters)
        return tf.reduce_sum(terms, axis=list(range(-len(self.layer.event_shape), 0)))

    def _mean(self, **kwargs: Any) -> tf.Tensor:
        return self.layer.mean(self.layer_parameters)

    def _variance(self, **kwargs: Any) -> tf.Tensor:
        return self.layer.variance(self.layer_parameters)

    def _sample_n(self, n: Any, seed: Any = None, **kwargs: Any) -> tf.Tensor:
        return self.layer.draw(n, seed, self.layer_parameters)


def _largest(parameters: dict[str, tf.Tensor]) -> tf.Tensor:
    """A parameter with all axes: the others may broadcast against it."""
    return max(map(tf.convert_to_tensor, parameters.values()), key=lambda value: value.shape.rank)


def _batch_shape(parameters: dict[str, tf.Tensor]) -> tf.Tensor:
    return tf.shape(_largest(parameters))[:1]
