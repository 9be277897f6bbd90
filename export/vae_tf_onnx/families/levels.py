"""The levels of quantised data, and the masses that symmetric distributions give to their bins, in numpy."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vae_tf_onnx.families._base import Array, Config, outside

TOLERANCE = 1e-2
"""How far a value may lie off its level, in units of the distance between levels; that of vae_tf.likelihoods.levels."""


@dataclass(frozen=True)
class Levels:
    """The levels of a family's data; see vae_tf.likelihoods.levels.Levels.

    Attributes:
        family: Name of the likelihood, for errors.
        count: Number of levels.
        peak: The highest level; the lowest is 0.
    """

    family: str
    count: int
    peak: float

    @classmethod
    def of(cls, family: str, config: Config) -> Levels:
        """The levels in the configuration of a likelihood."""
        levels = config["levels"]
        return cls(family, 256, 255.0) if levels is None else cls(family, int(levels), 1.0)

    @property
    def width(self) -> float:
        """The distance between two levels."""
        return self.peak / (self.count - 1)

    def index(self, x: Array) -> Array:
        """The numbers of the levels that x are, float64.

        Raises:
            ValueError: For values that are no levels.
        """
        position = x.astype(np.float64) / self.width
        index = np.rint(position)
        if not np.all((np.abs(position - index) < TOLERANCE) & (index >= 0) & (index < self.count)):
            raise outside(self.family, f"{self.count} levels from 0 to {self.peak:g}", x)
        return index

    def nearest(self, x: Array) -> Array:
        """The level nearest to x, float32."""
        return (np.clip(np.rint(x / np.float32(self.width)), 0, self.count - 1) * self.width).astype(np.float32)

    def log_bin_mass(self, index: Array, loc: Array, scale: Array, log_tail: Callable[[Array], Array]) -> Array:
        """log of the mass that a symmetric distribution gives to a bin; see vae_tf.likelihoods.levels.Levels."""
        loc, scale = loc.astype(np.float64), scale.astype(np.float64)

        def log_survival(t: Array) -> Array:
            tail = log_tail(np.abs(t))
            with np.errstate(divide="ignore"):  # log(1 - 1) in the branch not taken
                return np.where(t < 0, np.log1p(-np.exp(tail)), tail)

        lower, upper = ((index - 0.5) * self.width - loc) / scale, ((index + 0.5) * self.width - loc) / scale
        lowest, highest = index == 0, index == self.count - 1
        mirrored = lowest | (~highest & (lower + upper < 0))
        near, far = np.where(mirrored, -upper, lower), np.where(mirrored, -lower, upper)
        log_above = log_survival(near)
        return log_above + np.where(lowest | highest, 0.0, _log_one_minus_exp(log_survival(far) - log_above))


def _log_one_minus_exp(a: Array) -> Array:
    """log(1 - exp(a)) for a < 0."""
    with np.errstate(divide="ignore"):
        return np.where(a > -math.log(2), np.log(-np.expm1(a)), np.log1p(-np.exp(a)))
