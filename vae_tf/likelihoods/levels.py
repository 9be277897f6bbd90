"""The levels of quantised data, the bins around them, and the masses that distributions give to the bins."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from vae_tf import _checks

TOLERANCE = 1e-2
"""How far a value may lie off its level, in units of the distance between levels: float32 rounds k / 65535 by less."""

_MARGIN = 1e-3
"""Distance of a mean from the outer levels, as a share of their range, where a distribution is to start from it."""


class Reals:
    """The values that x can take where nothing is quantised: all real numbers. See Levels."""

    levels = None
    peak = 1.0
    text = "real numbers"

    def nearest(self, x: tf.Tensor) -> tf.Tensor:
        """x itself."""
        return x

    def clip(self, x: tf.Tensor) -> tf.Tensor:
        """x itself."""
        return x

    def check(self, x: np.ndarray, family: str) -> None:
        """Accepts all numbers."""

    def get_config(self) -> dict[str, Any]:
        """No argument of a likelihood says that nothing is quantised."""
        return {}


class Levels:
    """Equally spaced values from 0 to `peak`, as many as `count`, each in a bin of `width`; the outer bins are open.

    Args:
        levels: None for 8-bit images as they are stored, the whole numbers 0 to 255; a number L for L levels scaled
            to [0, 1], k / (L - 1).

    Raises:
        ValueError: For fewer than 2 levels.
    """

    def __init__(self, levels: int | None) -> None:
        self.levels = levels
        self.count = 256 if levels is None else _checks.positive_int("levels", levels)
        if self.count < 2:
            raise ValueError(
                _checks.problem("levels", expected="at least 2", received="1", remedy="8-bit images have 256.")
            )
        self.peak = 255.0 if levels is None else 1.0
        self.width = self.peak / (self.count - 1)
        self.text = "0..255" if levels is None else f"{self.count} levels in [0, 1]"

    def index(self, x: tf.Tensor) -> tf.Tensor:
        """The number of the level nearest to x, from 0 to count - 1, as a float."""
        return tf.clip_by_value(tf.round(x / self.width), 0.0, self.count - 1.0)

    def nearest(self, x: tf.Tensor) -> tf.Tensor:
        """The level nearest to x."""
        return self.index(x) * self.width

    def clip(self, x: tf.Tensor) -> tf.Tensor:
        """x, moved into the range of the levels."""
        return tf.clip_by_value(x, 0.0, self.peak)

    def log_prob(self, x: tf.Tensor, log_mass: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        """log of the mass of x in nats: `log_mass` of its level's number, and -inf where x is no level."""
        index = self.index(x)
        holds = tf.abs(x / self.width - index) < TOLERANCE
        return tf.where(holds, tf.cast(log_mass(tf.where(holds, index, 0.0)), x.dtype), -math.inf)

    def log_bin_mass(
        self, index: tf.Tensor, loc: tf.Tensor, scale: tf.Tensor, log_tail: Callable[[tf.Tensor], tf.Tensor]
    ) -> tf.Tensor:
        """log of the mass that loc + scale * eps, eps of a symmetric distribution, has in the bin of a level, in nats.

        `log(F((x + w/2 - loc) / scale) - F((x - w/2 - loc) / scale))`, F the distribution function of eps and w the
        width of a bin. It is `log P(near < eps < far)` with the bin mirrored into the upper tail, and
        `log P(near < eps)` for the open bins, in float64.

        Args:
            index: Numbers of the levels, `[*K, B, *E]`.
            loc: Locations, which broadcast against `index`.
            scale: Scales, which broadcast against `index`.
            log_tail: Function of t >= 0, log P(eps > t), in the precision of t.
        """
        index, loc, scale = (tf.cast(value, tf.float64) for value in (index, loc, scale))

        def log_survival(t: tf.Tensor) -> tf.Tensor:
            tail = log_tail(tf.where(t < 0, -t, t))
            return tf.where(t < 0, tf.math.log1p(-tf.exp(tail)), tail)

        lower = ((index - 0.5) * self.width - loc) / scale
        upper = ((index + 0.5) * self.width - loc) / scale
        lowest, highest = index < 0.5, index > self.count - 1.5
        mirrored = lowest | (~highest & (lower + upper < 0))
        near, far = tf.where(mirrored, -upper, lower), tf.where(mirrored, -lower, upper)
        log_above = log_survival(near)
        drop = tf.where(lowest | highest, tf.ones_like(near), log_above - log_survival(far))
        return log_above + tf.where(lowest | highest, tf.zeros_like(near), tfp.math.log1mexp(drop))

    def mean(self, survival: Callable[[tf.Tensor], tf.Tensor], dtype: Any = tf.float32) -> tf.Tensor:
        """The mean of a distribution on the levels, `width * sum_j P(X > edge_j)` over the edges between them.

        One edge at a time, so that the memory is that of one edge; in a loop that ONNX has too; from the highest
        down, so that small terms meet small sums.

        Args:
            survival: Function of an edge, a scalar in the data's units: the probability of lying above it, a tensor of
                the mean's shape. In plain operations where the mean is to be exported.
            dtype: Type of the edges.
        """
        width = tf.constant(self.width, dtype)

        def add(j: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return j - 1, total + survival((tf.cast(j, dtype) + 0.5) * width)

        _, total = tf.while_loop(
            lambda j, total: j >= 0,
            add,
            (tf.constant(self.count - 3), survival((self.count - 1.5) * width)),
            maximum_iterations=self.count - 2,
        )
        return width * total

    @property
    def wide(self) -> tuple[float, float]:
        """The range in which the location of a distribution on the levels may lie, their own and as much about it."""
        return -self.peak, 2 * self.peak

    def inside(self, mean: np.ndarray) -> np.ndarray:
        """Means `[*E]`, moved off the outer levels, where no distribution of some width has its mean."""
        return np.clip(mean, _MARGIN * self.peak, (1 - _MARGIN) * self.peak)

    def check(self, x: np.ndarray, family: str) -> None:
        """Raises ValueError where `x` holds other values, or values on another scale."""
        index = np.asarray(x, np.float64) / self.width
        off = ~((np.abs(index - np.rint(index)) < TOLERANCE) & (index > -0.5) & (index < self.count - 0.5))
        low, high = float(np.min(x)), float(np.max(x))
        unit = np.issubdtype(np.asarray(x).dtype, np.floating) and self.peak > 1 and low >= 0 and 0 < high <= 1
        if not (off.any() or unit):
            return
        if self.peak > 1:
            expected = "whole numbers from 0 to 255, as 8-bit images are stored"
            remedy = "For images scaled to [0, 1] say how many levels they have, levels=256, or multiply them by 255."
        else:
            expected = f"{self.count} levels in [0, 1], multiples of 1/{self.count - 1}"
            remedy = "Pass as `levels` the number that the data have, or round the data to levels."
        odd = f", {float(np.asarray(x)[off][0]):g} among them" if off.any() else ""
        received = f"values in [{low:g}, {high:g}]{odd}"
        raise ValueError(_checks.problem(f"Data for {family}", expected=expected, received=received, remedy=remedy))

    def get_config(self) -> dict[str, Any]:
        """The arguments of a likelihood's constructor that make this grid."""
        return {"levels": self.levels}


def mean_of_levels(
    above: Callable[[tf.Tensor], tf.Tensor],
    loc: tf.Tensor,
    scale: tf.Tensor,
    levels: int | None,
    weights: tf.Tensor | None = None,
) -> tf.Tensor:
    """The mean of the level nearest to loc + scale * eps; given weights, that of a mixture over the last axis.

    It is compiled where it is called eagerly, as its loop is ten times slower there; inside a graph it is part of
    that, whose shapes a function shared between layers would lose.

    Args:
        above: Function of t in plain operations, P(eps > t).
        loc: Locations, `[B, *E]`, or `[B, *E, K]` with weights.
        scale: Scales, which broadcast against `loc`.
        levels: As for Levels.
        weights: Weights of K components, which broadcast against `loc`.
    """
    compute = _compiled_mean if tf.executing_eagerly() else _mean
    return compute(above, loc, scale, levels, weights)


def _mean(
    above: Callable[[tf.Tensor], tf.Tensor],
    loc: tf.Tensor,
    scale: tf.Tensor,
    levels: int | None,
    weights: tf.Tensor | None,
) -> tf.Tensor:
    def survival(edge: tf.Tensor) -> tf.Tensor:
        mass = above((edge - loc) / scale)
        return mass if weights is None else tf.reduce_sum(weights * mass, axis=-1)

    return Levels(levels).mean(survival, loc.dtype)


_compiled_mean = tf.function(_mean, reduce_retracing=True, autograph=False)
