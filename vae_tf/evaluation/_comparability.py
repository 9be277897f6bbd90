"""The scale that a log-probability refers to, and the rule for which of them may stand beside each other."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vae_tf import _checks
from vae_tf.likelihoods import Bernoulli, Likelihood
from vae_tf.likelihoods.levels import Levels

Quantity = Literal["elbo", "log_likelihood", "bits_per_dim"]
Measure = Literal["density", "mass"]
QUANTITIES = ("elbo", "log_likelihood", "bits_per_dim")

_OFF_LEVEL = 1e-2  # of the distance between levels: more than the rounding of k / 65535 to float32
_BLOCK = 1024  # number of examples whose levels are checked at a time
_BITS = 'Compare quantity="bits_per_dim", which adds the scale of the data to each.'
_LEVELS = "Compare models of data with the same number of levels."


@dataclass(frozen=True)
class Scale:
    """The data and units that a number refers to.

    Attributes:
        measure: Whether the model gives the data a density or a mass.
        text: The values that the data take, in words.
        levels: Number of values that a dimension takes, where they are levels; None for densities and counts.
        fingerprint: Checksum of the data themselves.
    """

    measure: Measure
    text: str
    levels: int | None = None
    fingerprint: int = 0


def check_comparable(quantity: Quantity, scales: Mapping[str, Scale]) -> None:
    """Raises a ValueError that names two models if their numbers do not belong in one column."""
    bits = quantity == "bits_per_dim"
    (first, expected), *others = scales.items()
    for name, scale in others:
        comparable = (scale.levels or scale.text) == (expected.levels or expected.text) if bits else scale == expected
        same = scale.measure == expected.measure and scale.text == expected.text
        if not comparable:
            raise ValueError(
                _checks.problem(
                    f"Column {quantity}, {name} beside {first}",
                    expected=f"a {expected.measure} ({expected.text}), as {first} has",
                    received="the same of other data, or of data scaled otherwise"
                    if same
                    else f"a {scale.measure} ({scale.text})",
                    remedy=_LEVELS if bits else _BITS,
                )
            )


@dataclass(frozen=True)
class Dequantised:
    """The map of levels `low + (high - low) k / (L - 1)` to numbers `low + (high - low) (k + u) / L`, u in [0, 1).

    Attributes:
        levels: Number of levels L.
        low: The lowest level.
        high: The highest level.
    """

    levels: int
    low: float
    high: float

    @property
    def bits(self) -> float:
        """The number that is added to the bits per dimension of the density: -log2 of the width of a bin."""
        return math.log2(self.levels / (self.high - self.low))

    @property
    def text(self) -> str:
        """A description of the number that is added."""
        if (self.low, self.high) == (0, 1):
            return f"log2({self.levels}) bits, for x = (k + u)/{self.levels}"
        width = f"{self.high - self.low:g}"
        return f"log2({self.levels}/{width}) bits, for x = {self.low:g} + {width} (k + u)/{self.levels}"

    def check(self, x: np.ndarray) -> None:
        """Raises a ValueError if `x` holds anything but these levels."""
        for start in range(0, len(x), _BLOCK):
            self._index(x[start : start + _BLOCK])

    def spread(self, x: np.ndarray, u: np.ndarray) -> np.ndarray:
        """The dequantised data, float64, for noise u in [0, 1)."""
        return self.low + (self.high - self.low) * (self._index(x) + u) / self.levels

    def _index(self, x: np.ndarray) -> np.ndarray:
        index = (np.asarray(x, np.float64) - self.low) * ((self.levels - 1) / (self.high - self.low))
        nearest = np.clip(np.rint(index), 0, self.levels - 1)
        off = np.abs(index - nearest) > _OFF_LEVEL
        if off.any():
            raise ValueError(
                _checks.problem(
                    "Data for bits per dimension",
                    expected=f"{self.levels} levels in [{self.low:g}, {self.high:g}], evenly spaced",
                    received=f"values in [{np.min(x):g}, {np.max(x):g}], {np.asarray(x)[off][0]:g} among them",
                    remedy="Pass as `levels` the number that the data have, as `data_range` the lowest and highest.",
                )
            )
        return nearest


def scale_of(likelihood: Likelihood, x: np.ndarray, bins: Dequantised | None = None) -> Scale:
    """The scale that log p(x|z) of these data refers to.

    Args:
        likelihood: Likelihood of the model.
        x: Data `[n, *E]`.
        bins: For numbers in bits, the levels that will be dequantised for a density; None for numbers in nats.

    Raises:
        ValueError: For a Bernoulli in bits, if the data are not all 0 and 1.
    """
    fingerprint = zlib.crc32(np.ascontiguousarray(x, np.float32).data)
    if likelihood.measure == "density":
        if bins is None:
            return Scale("density", f"{_range(x)}, density", None, fingerprint)
        return Scale("density", f"{bins.levels} levels in [{bins.low:g}, {bins.high:g}]", bins.levels, fingerprint)
    if isinstance(likelihood, Bernoulli):
        return _binary_scale(x, fingerprint, required=bins is not None)
    count = Levels(likelihood.levels).count if hasattr(likelihood, "levels") else None
    return Scale("mass", likelihood.support, count, fingerprint)


def _binary_scale(x: np.ndarray, fingerprint: int, *, required: bool) -> Scale:
    if np.isin(x, (0, 1)).all():
        return Scale("mass", "{0, 1}", 2, fingerprint)
    if required:
        raise ValueError(
            _checks.problem(
                "Data for bits per dimension of a Bernoulli",
                expected="0 and 1",
                received=f"grey levels in [{x.min():g}, {x.max():g}], to which it gives no mass",
                remedy="Binarise the data, or use a likelihood of grey levels.",
            )
        )
    return Scale("mass", "grey levels, of which Bernoulli is no distribution", None, fingerprint)


def _range(x: np.ndarray) -> str:
    """The usual interval that contains the data, such as [0, 1], or else the range of the data itself."""
    low, high = float(np.min(x)), float(np.max(x))
    for a, b in ((0, 1), (-1, 1), (0, 255)):
        if a <= low and high <= b:
            return f"[{a}, {b}]"
    return f"[{low:.4g}, {high:.4g}]"
