"""The grey levels of quantised data, and the bins around them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from vae_tf import _checks

_TOLERANCE = 1e-2  # of a level: above what float32 rounds k / 65535 by


class Levels:
    """`count` equally spaced values from 0 to `peak`, each in a bin of `width`; the outer bins are open.

    Args:
        levels: None for 8-bit images as they are stored, the whole numbers 0 to 255; a number L for L levels
            scaled to [0, 1]: k / (L - 1).

    Raises:
        ValueError: for fewer than 2 levels.
    """

    def __init__(self, levels: int | None) -> None:
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

    def holds(self, x: tf.Tensor) -> tf.Tensor:
        """Whether x is one of the levels."""
        return tf.abs(x / self.width - self.index(x)) < _TOLERANCE

    def nearest(self, x: tf.Tensor) -> tf.Tensor:
        """The level nearest to x."""
        return self.index(x) * self.width

    def mean(self, survival: Callable[[tf.Tensor], tf.Tensor], dtype: Any = tf.float32) -> tf.Tensor:
        """The mean of a distribution on the levels, `width * sum_j P(X > edge_j)` over the edges between them.

        One edge at a time, so that the memory is that of one edge; in a loop that ONNX has too; from the highest
        down, so that small terms meet small sums.

        Args:
            survival: the probability of lying above an edge, a scalar in the data's units: a tensor of the
                mean's shape. In plain operations where the mean is to be exported.
            dtype: of the edges.
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

    def check(self, x: np.ndarray, family: str) -> None:
        """Raises ValueError where `x` holds other values, or values on another scale."""
        index = np.asarray(x, np.float64) / self.width
        off = ~((np.abs(index - np.rint(index)) < _TOLERANCE) & (index > -0.5) & (index < self.count - 0.5))
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
