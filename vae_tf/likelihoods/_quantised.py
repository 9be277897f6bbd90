"""Densities with a symmetric standard form, and the mass that they give to the bin of a grey level."""

from __future__ import annotations

import abc
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd

from vae_tf.likelihoods._location_scale import LocationScale
from vae_tf.likelihoods.levels import Levels


class Quantisable(LocationScale):
    """A LocationScale with a symmetric density that TensorFlow Probability has, for real or for quantised data.

    With `quantised` the data are grey levels, and log p(x|z) is the log of the mass that the density gives to the
    level's bin: `log(F((x + w/2 - loc) / scale) - F((x - w/2 - loc) / scale))`, F the distribution function of eps
    and w the distance between levels; the outer bins are open. It is computed in float64, from the tail that
    the bin lies in.

    Args:
        event_shape: shape of one example, without the batch axis.
        scale: see Gaussian.
        quantised: whether the data are grey levels.
        levels: how many, k / (levels - 1) in [0, 1]; None for the whole numbers 0 to 255.
        **kwargs: see Gaussian.
    """

    def __init__(
        self,
        event_shape: tuple[int, ...],
        scale: float | str = "optimal",
        *,
        quantised: bool = False,
        levels: int | None = 256,
        **kwargs: Any,
    ) -> None:
        super().__init__(event_shape, scale, **kwargs)
        self.quantised = bool(quantised)
        self.levels = levels
        self.grid = Levels(levels)
        if quantised:
            self.location = "loc"
            spec = tf.TensorSpec((None, *self.event_shape), self.compute_dtype)
            self._compiled_mean = tf.function(self._level_mean, input_signature=(spec, spec))  # eager loops are slow
            self.measure = "mass"
            self.support = self.grid.text

    @property
    def data_range(self) -> tuple[float, float]:
        """See Likelihood.data_range."""
        return (0.0, self.grid.peak) if self.quantised else super().data_range

    @abc.abstractmethod
    def density(self, parameters: dict[str, tf.Tensor]) -> tfd.Distribution:
        """The density of each dimension, `[B, *E]`."""

    @abc.abstractmethod
    def log_tail(self, t: tf.Tensor) -> tf.Tensor:
        """log P(eps > t) for t >= 0, in the precision of t."""

    @abc.abstractmethod
    def survival(self, t: tf.Tensor) -> tf.Tensor:
        """P(eps > t) for every t, in plain TensorFlow operations."""

    def distribution(self, parameters: dict[str, tf.Tensor]) -> tfd.Distribution:
        """See DistributionLayer.distribution."""
        if self.quantised:
            return super().distribution(parameters)
        return tfd.Independent(self.density(parameters), len(self.event_shape))

    def mean(self, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """See Likelihood.mean; of the grey level where the data are quantised, a sum over the levels."""
        if not self.quantised:
            return super().mean(parameters)
        loc = parameters["loc"]
        return self._compiled_mean(loc, tf.broadcast_to(parameters["scale"], tf.shape(loc)))

    def _level_mean(self, loc: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
        return self.grid.mean(lambda edge: self.survival((edge - loc) / scale), loc.dtype)

    def observe(self, noise: tf.Tensor, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """See Likelihood.observe; the level whose bin the draw falls into where the data are quantised."""
        x = super().observe(noise, parameters)
        return self.grid.nearest(x) if self.quantised else x

    def pointwise_log_prob(self, x: tf.Tensor, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """See PointwiseLikelihood.pointwise_log_prob."""
        if not self.quantised:
            return self.density(parameters).log_prob(x)
        index = tf.cast(self.grid.index(x), tf.float64)
        log_mass = self._log_mass(index, *(tf.cast(parameters[name], tf.float64) for name in ("loc", "scale")))
        return tf.where(self.grid.holds(x), tf.cast(log_mass, self.compute_dtype), -np.inf)

    def _log_mass(self, index: tf.Tensor, loc: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
        """log P(near < eps < far), the bin mirrored into the upper tail; P(near < eps) for the open bins."""
        lower = ((index - 0.5) * self.grid.width - loc) / scale
        upper = ((index + 0.5) * self.grid.width - loc) / scale
        lowest, highest = index < 0.5, index > self.grid.count - 1.5
        mirrored = lowest | (~highest & (lower + upper < 0))
        near, far = tf.where(mirrored, -upper, lower), tf.where(mirrored, -lower, upper)
        log_above = self._log_survival(near)
        drop = tf.where(lowest | highest, tf.ones_like(near), log_above - self._log_survival(far))
        return log_above + tf.where(lowest | highest, tf.zeros_like(near), tfp.math.log1mexp(drop))

    def _log_survival(self, t: tf.Tensor) -> tf.Tensor:
        tail = self.log_tail(tf.where(t < 0, -t, t))
        return tf.where(t < 0, tf.math.log1p(-tf.exp(tail)), tail)

    def _center(self, p: tfd.Distribution) -> tf.Tensor:
        """See Likelihood._center; within the grey levels where the data are quantised.

        A location may lie far outside, where the outer bin is open: the distance from there to the level is no noise.
        Taken for noise it would let location and an optimal scale grow together without end.
        """
        location = super()._center(p)
        return tf.clip_by_value(location, 0.0, self.grid.peak) if self.quantised else location

    def check_data(self, x: np.ndarray) -> None:
        """See Likelihood.check_data."""
        super().check_data(x)
        if self.quantised:
            self.grid.check(x, type(self).__name__)

    def get_config(self) -> dict[str, Any]:
        """See DistributionLayer.get_config."""
        return super().get_config() | {"quantised": self.quantised, "levels": self.levels}
