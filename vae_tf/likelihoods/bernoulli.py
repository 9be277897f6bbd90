"""Bernoulli: binary data, the distribution behind binary cross-entropy."""

from __future__ import annotations

import warnings

import numpy as np
import tensorflow as tf
import tf_keras as keras
from tensorflow_probability import distributions as tfd

from vae_tf import _checks
from vae_tf.equivalence import PointwiseLoss
from vae_tf.likelihoods import _links
from vae_tf.likelihoods.base import Likelihood, check_unit_interval

_OUTSIDE = _checks.problem(
    "Data for Bernoulli",
    expected="values in [0, 1]",
    received="values outside it",
    remedy="Scale the data to [0, 1], or use Gaussian.",
)


class _CheckedBernoulli(tfd.Bernoulli):
    """A Bernoulli that refuses to score what lies outside [0, 1], NaN included; its one logarithm never cancels."""

    def _log_prob(self, event: tf.Tensor) -> tf.Tensor:
        inside = (event >= 0) & (event <= 1)
        with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(inside), [_OUTSIDE])]):
            event = tf.where(inside, event, float("nan"))  # XLA drops assertions
        size = tf.abs(self.logits)
        return (event - 0.5) * self.logits - 0.5 * size - tf.math.log1p(tf.exp(-size))


@keras.saving.register_keras_serializable("vae_tf")
class Bernoulli(Likelihood):
    """Each dimension is 1 with probability sigmoid(logit(z)), else 0.

    `-log p(x|z) = sum(softplus(l) - x l)`: binary cross-entropy from logits, summed, factor 1, no constant.
    On grey levels strictly between 0 and 1 this is no likelihood (it does not integrate to one over them):
    `fit` warns once and names `ContinuousBernoulli`.

    Args:
        event_shape: Shape of one example, without the batch axis; a number d is `(d,)`.
        decay: Memory of the running average; see Likelihood.
        **kwargs: As for every Keras layer.

    Raises:
        ValueError: When data outside [0, 1] are given to `fit`.
        tf.errors.InvalidArgumentError: When they reach `log_prob` inside a compiled function.
    """

    measure = "mass"
    support = "0 and 1"
    _warned = False

    @property
    def parameter_shape(self) -> tuple[int, ...]:
        """See DistributionLayer.parameter_shape."""
        return self.event_shape

    def parameters(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """See DistributionLayer.parameters."""
        return {"mean": tf.sigmoid(inputs), "logits": inputs}

    def outputs_at(self, mean: np.ndarray, std: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See Likelihood.outputs_at; the logits of means in [0.001, 0.999]."""
        return _links.logit(np.clip(mean, 1e-3, 1 - 1e-3)), np.ones(self.parameter_shape)

    def distribution(self, parameters: dict[str, tf.Tensor]) -> tfd.Distribution:
        """See DistributionLayer.distribution."""
        logits = parameters["logits"]
        return tfd.Independent(_CheckedBernoulli(logits=logits, dtype=logits.dtype), len(self.event_shape))

    def equivalence(self) -> PointwiseLoss:
        """See Likelihood.equivalence."""
        return PointwiseLoss("bce", scale_factor=1.0, constant=0.0)

    def noise(self, rng: np.random.Generator, num_samples: int) -> np.ndarray:
        """Uniform on [0, 1); see Likelihood.noise."""
        return rng.random((num_samples, *self.event_shape), dtype=np.float32)

    def observe(self, noise: tf.Tensor, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """See Likelihood.observe."""
        return tf.cast(noise < parameters["mean"], parameters["mean"].dtype)

    def check_data(self, x: np.ndarray) -> None:
        """See Likelihood.check_data; warns on grey levels."""
        super().check_data(x)
        check_unit_interval(x, "Bernoulli")
        if not self._warned and np.any((x > 0) & (x < 1)):
            warnings.warn(
                "Bernoulli is a distribution on {0, 1} and the data have grey levels between them: their "
                "cross-entropy is no likelihood, and its value cannot be compared with one. Use "
                "ContinuousBernoulli or Gaussian for grey levels, or binarise the data.",
                UserWarning,
                stacklevel=3,
            )
            self._warned = True  # after it: a warning that was made an error did not tell the user
