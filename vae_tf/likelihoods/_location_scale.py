"""Families with a location and a scale: the five ways to choose the scale, written once."""

from __future__ import annotations

import abc
import math
from typing import Any

import tensorflow as tf
import tf_keras as keras
from tensorflow_probability import distributions as tfd

from vae_tf import _checks
from vae_tf._means import batch_mean
from vae_tf.likelihoods._pointwise import PointwiseLikelihood

SCALES = ("learned", "optimal", "per_dimension", "per_pixel")


class _AtLeast(keras.constraints.Constraint):
    """Projects a weight to at least `minimum`, so that a scale at its floor can leave it again."""

    def __init__(self, minimum: float) -> None:
        self.minimum = minimum

    def __call__(self, w: tf.Tensor) -> tf.Tensor:
        return tf.maximum(w, tf.cast(self.minimum, w.dtype))


class LocationScale(PointwiseLikelihood):
    """x = location + scale * eps, the location from the network and the scale chosen by `scale`; see Gaussian.

    A subclass says what eps is (`standard`, `noise`), what its density is (`distribution`, or
    `pointwise_log_prob`), and what "optimal" means (`_optimal_scale`, and `_fit_scale` where it needs more
    than `running_mse`).
    """

    location: str = "mean"
    """Name of the location among the parameters."""

    def __init__(
        self,
        event_shape: tuple[int, ...],
        scale: float | str = "optimal",
        *,
        min_scale: float = 1e-3,
        **kwargs: Any,
    ) -> None:
        super().__init__(event_shape, **kwargs)
        self.min_scale = _checks.positive_float("min_scale", min_scale)
        remedies = "Pass sigma > 0 in the data's units, or scale='optimal'.", "scale='optimal' suits most data."
        self.scale_mode = scale = _checks.positive_float_or_word("scale", scale, SCALES, remedies=remedies)
        if scale == "per_pixel":
            self.running_scale = self._statistic("running_scale", 1.0, self.event_shape)
            self.running_precision = self._statistic("running_precision", 1.0, self.event_shape)
        if scale in ("learned", "per_dimension"):
            self.log_scale = self.add_weight(
                "log_scale",
                shape=() if scale == "learned" else self.event_shape,
                initializer=keras.initializers.Constant(max(0.0, math.log(self.min_scale))),
                constraint=_AtLeast(math.log(self.min_scale)),
            )

    @property
    def scale(self) -> tf.Tensor:
        """The current scale: a scalar, or `event_shape` for "per_dimension" and "per_pixel".

        The scale of "per_pixel" is the network's; what stands here is its average over the last batches.
        """
        if self.scale_mode == "per_pixel":
            return self.running_scale
        if self.scale_mode == "optimal":
            return tf.maximum(self._optimal_scale(), self.min_scale)
        if self.scale_mode in ("learned", "per_dimension"):
            return tf.exp(self.log_scale)
        return tf.constant(self.scale_mode, self.compute_dtype)

    @property
    def precision(self) -> tf.Tensor:
        """1/scale^2, of the shape of `scale`; for "per_pixel" its average over the last batches."""
        return self.running_precision if self.scale_mode == "per_pixel" else 1 / tf.square(self.scale)

    @abc.abstractmethod
    def standard(self) -> tfd.Distribution:
        """The distribution of eps, a scalar."""

    @abc.abstractmethod
    def _optimal_scale(self) -> tf.Tensor:
        """The scale that maximises the likelihood of the data behind the running statistics."""

    def _fit_scale(self, residual: tf.Tensor, weight: tf.Tensor | None) -> None:
        """Takes the residuals of a batch, `[B, *E]`, into the statistics behind `_optimal_scale`."""

    @property
    def parameter_shape(self) -> tuple[int, ...]:
        """See DistributionLayer.parameter_shape."""
        *outer, last = self.event_shape
        return (*outer, 2 * last if self.scale_mode == "per_pixel" else last)

    def parameters(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """See DistributionLayer.parameters."""
        if self.scale_mode != "per_pixel":
            return {self.location: inputs, "scale": self.scale}
        location, raw = tf.split(inputs, 2, axis=-1)
        return {self.location: location, "scale": self.min_scale + tf.math.softplus(raw)}

    def observe(self, noise: tf.Tensor, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """See Likelihood.observe."""
        return parameters[self.location] + parameters["scale"] * noise

    def draw(self, num_samples: tf.Tensor, seed: Any, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """See PointwiseLikelihood.draw."""
        shape = tf.concat([[num_samples], tf.shape(parameters[self.location])], axis=0)
        return self.observe(self.standard().sample(shape, seed=seed), parameters)

    def update(self, p: tfd.Distribution, x: tf.Tensor, weight: tf.Tensor | None = None) -> tfd.Distribution:
        """See Likelihood.update; with "optimal" this is the M-step, and p comes back at the new scale."""
        super().update(p, x, weight)
        parameters = self.parameters_of(p)
        if self.scale_mode == "per_pixel":
            scale = tf.stop_gradient(parameters["scale"])
            self._average(self.running_scale, batch_mean(scale, weight, self.running_scale))
            precision = batch_mean(1 / tf.square(scale), weight, self.running_precision)
            self._average(self.running_precision, precision)
        if self.scale_mode != "optimal":
            return p
        self._fit_scale(x - tf.stop_gradient(self._center(p)), weight)
        parameters["scale"] = self.scale
        updated = self.distribution(parameters)
        updated.layer_parameters = parameters
        return updated

    def _center(self, p: tfd.Distribution) -> tf.Tensor:
        """See Likelihood._center."""
        return self.parameters_of(p)[self.location]

    def get_config(self) -> dict[str, Any]:
        """See DistributionLayer.get_config."""
        return super().get_config() | {"scale": self.scale_mode, "min_scale": self.min_scale}
