"""The scale that a log-probability refers to, and the rule for which of them may stand beside each other."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vae_tf import _checks
from vae_tf.likelihoods import Bernoulli, Likelihood
from vae_tf.likelihoods.levels import TOLERANCE, Levels

Quantity = Literal["elbo", "log_likelihood", "bits_per_dim"]
Measure = Literal["density", "mass", "score"]
QUANTITIES = ("elbo", "log_likelihood", "bits_per_dim")

_BLOCK = 1024  # examples that are looked at at a time
_BITS = 'Compare quantity="bits_per_dim", which adds the scale of the data to each.'
_LEVELS = "Compare models of data with the same number of levels."
_SAME = "Compare models on the same examples, in the same order."
_SCORES = "A plug-in score stands beside others of its kind only, of the same data."


@dataclass(frozen=True)
class Reference:
    """The data and units that a log-probability refers to.

    Attributes:
        measure: Whether the model gives the data a density, a mass, or a score that is neither.
        text: The values that the data take, in words.
        levels: How many values a dimension has, where they are levels; None for densities and counts.
        fingerprint: A checksum of the data: of the numbers of their levels where they have levels, so that the same
            images have the same one in [0, 1] and in 0..255; else of the values.
    """

    measure: Measure
    text: str
    levels: int | None = None
    fingerprint: int = 0


def check_comparable(quantity: Quantity, references: Mapping[str, Reference]) -> None:
    """Raises a ValueError that names two models if their numbers do not belong in one column."""
    bits = quantity == "bits_per_dim"
    (first, expected), *others = references.items()
    for name, received in others:
        if _kind(received, bits) != _kind(expected, bits):
            problem = f"a {received.measure} ({received.text})"
            remedy = _SCORES if "score" in (received.measure, expected.measure) else _LEVELS if bits else _BITS
        elif received.fingerprint != expected.fingerprint:
            problem = "the same of other data" if bits else "the same of other data, or of data scaled otherwise"
            remedy = _SAME if bits or expected.measure == "score" else f"{_SAME} {_BITS}"
        else:
            continue
        raise ValueError(
            _checks.problem(
                f"Column {quantity}, {name} beside {first}",
                expected=f"a {expected.measure} ({expected.text}), as {first} has",
                received=problem,
                remedy=remedy,
            )
        )


def _kind(reference: Reference, bits: bool) -> tuple[object, ...]:
    """The part that two references must have in common for their numbers to be comparable on the same data."""
    if bits:
        return reference.measure == "score", reference.levels or reference.text
    return reference.measure, reference.text, reference.levels


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

    def spread(self, x: np.ndarray, u: np.ndarray) -> np.ndarray:
        """The dequantised data, float64, for noise u in [0, 1)."""
        return self.low + (self.high - self.low) * (self.index(x) + u) / self.levels

    def index(self, x: np.ndarray) -> np.ndarray:
        """The number of each level, float64; a ValueError where `x` holds anything but these levels."""
        index = (np.asarray(x, np.float64) - self.low) * ((self.levels - 1) / (self.high - self.low))
        nearest = np.clip(np.rint(index), 0, self.levels - 1)
        off = np.abs(index - nearest) > TOLERANCE
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


def reference_of(likelihood: Likelihood, x: np.ndarray, bins: Dequantised | None = None) -> Reference:
    """The data and units that log p(x|z) of these data refers to.

    Args:
        likelihood: The likelihood of the model.
        x: Data `[n, *E]`.
        bins: In bits: the levels from which a density is going to be dequantised; None in nats.

    Raises:
        ValueError: In bits, for a Bernoulli of other data than 0 and 1, for a density of other data than levels, and
            for a likelihood that is a score.
    """
    if likelihood.measure == "score":
        if bins is not None:
            raise no_bits(likelihood.support)
        return Reference("score", f"plug-in score, {likelihood.support}", None, _checksum(x, np.float32))
    if likelihood.measure == "density":
        if bins is None:
            return Reference("density", f"{_range(x)}, density", None, _checksum(x, np.float32))
        text = f"{bins.levels} levels in [{bins.low:g}, {bins.high:g}]"
        return Reference("density", text, bins.levels, _checksum(x, np.int64, bins.index))
    if isinstance(likelihood, Bernoulli):
        return _binary_reference(x, required=bins is not None)
    if not hasattr(likelihood, "levels"):
        return Reference("mass", likelihood.support, None, _checksum(x, np.int64, np.rint))
    levels = Levels(likelihood.levels)
    return Reference(
        "mass", likelihood.support, levels.count, _checksum(x, np.int64, lambda part: np.rint(part / levels.width))
    )


def no_bits(text: str) -> ValueError:
    """The refusal of bits per dimension of a score, described by `text`."""
    return ValueError(
        _checks.problem(
            "Bits per dimension",
            expected="a density or a mass, which sums to 1 over x",
            received=f"a score, which sums to more ({text})",
            remedy="Compare such models by the ELBO or the log-likelihood, on the same data.",
        )
    )


def _binary_reference(x: np.ndarray, *, required: bool) -> Reference:
    if all(np.isin(x[start : start + _BLOCK], (0, 1)).all() for start in range(0, len(x), _BLOCK)):
        return Reference("mass", "{0, 1}", 2, _checksum(x, np.int64))
    if required:
        raise ValueError(
            _checks.problem(
                "Data for bits per dimension of a Bernoulli",
                expected="0 and 1",
                received=f"grey levels in [{np.min(x):g}, {np.max(x):g}], to which it gives no mass",
                remedy="Binarise the data, or use a likelihood of grey levels.",
            )
        )
    text = "grey levels, of which Bernoulli is no distribution"
    return Reference("mass", text, None, _checksum(x, np.float32))


def _checksum(x: np.ndarray, dtype: type, number: Callable[[np.ndarray], np.ndarray] = np.asarray) -> int:
    """A checksum of the data as numbers of this type, after `number`; the same for every shape of an example."""
    total = 0
    for start in range(0, len(x), _BLOCK):
        part: np.ndarray = np.ascontiguousarray(number(np.asarray(x[start : start + _BLOCK], np.float64)).astype(dtype))
        total = zlib.crc32(part.data, total)
    return total


def _range(x: np.ndarray) -> str:
    """The usual interval that contains the data, such as [0, 1], or else the range of the data itself."""
    blocks = [x[start : start + _BLOCK] for start in range(0, len(x), _BLOCK)]
    low, high = min(float(np.min(block)) for block in blocks), max(float(np.max(block)) for block in blocks)
    for a, b in ((0, 1), (-1, 1), (0, 255)):
        if a <= low and high <= b:
            return f"[{a}, {b}]"
    return f"[{low:.4g}, {high:.4g}]"
