"""What a log-probability is relative to, and which of them may stand beside each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vae_tf import _checks
from vae_tf.likelihoods import Bernoulli, Likelihood

Quantity = Literal["elbo", "log_likelihood", "bits_per_dim"]
Measure = Literal["density", "mass"]
QUANTITIES = ("elbo", "log_likelihood", "bits_per_dim")

_OFF_LEVEL = 1e-2  # of a level: above what float32 rounds k / 65535 by
_BLOCK = 1024  # examples whose levels are checked at a time
_BITS = 'Compare quantity="bits_per_dim", which adds the scale of the data to each.'
_LEVELS = "Compare models of data with the same number of levels."


@dataclass(frozen=True)
class Scale:
    """What a number is relative to.

    Attributes:
        measure: whether the model gives the data a density or a mass.
        text: the values that the data take, in words.
        levels: how many values a dimension has, where they are levels; None for densities and counts.
    """

    measure: Measure
    text: str
    levels: int | None = None


def check_comparable(quantity: Quantity, scales: Mapping[str, Scale]) -> None:
    """Raises ValueError, naming two sides, where the models' numbers do not belong in one column."""
    bits = quantity == "bits_per_dim"
    (first, expected), *others = scales.items()
    for name, scale in others:
        comparable = (scale.levels or scale.text) == (expected.levels or expected.text) if bits else scale == expected
        if not comparable:
            raise ValueError(
                _checks.problem(
                    f"Column {quantity}, {name} beside {first}",
                    expected=f"a {expected.measure} ({expected.text}), as {first} has",
                    received=f"a {scale.measure} ({scale.text})",
                    remedy=_LEVELS if bits else _BITS,
                )
            )


def scale_of(likelihood: Likelihood, x: np.ndarray, levels: int | None = None) -> Scale:
    """What log p(x|z) of these data is relative to.

    Args:
        likelihood: of the model.
        x: data `[n, *E]`.
        levels: for a density: the number of levels to which it is going to be dequantised; None if it is not.

    Raises:
        ValueError: where x is not made of that many levels, or a Bernoulli in bits of other data than 0 and 1.
    """
    if isinstance(likelihood, Bernoulli):
        return _binary_scale(x, required=levels is not None)
    if likelihood.measure == "density":
        if levels is None:
            return Scale("density", f"{_range(x)}, density")
        for start in range(0, len(x), _BLOCK):
            level_index(x[start : start + _BLOCK], levels)
        return Scale("density", f"{levels} levels in [0, 1]", levels)
    config = likelihood.get_config()
    if "levels" not in config:
        return Scale("mass", "counts")
    if config["levels"] is None:
        return Scale("mass", "0..255", 256)
    return Scale("mass", f"{config['levels']} levels in [0, 1]", config["levels"])


def _binary_scale(x: np.ndarray, *, required: bool) -> Scale:
    if np.isin(x, (0, 1)).all():
        return Scale("mass", "{0, 1}", 2)
    if required:
        raise ValueError(
            _checks.problem(
                "Data for bits per dimension of a Bernoulli",
                expected="0 and 1",
                received=f"grey levels in [{x.min():g}, {x.max():g}], to which it gives no mass",
                remedy="Binarise the data, or use a likelihood of grey levels.",
            )
        )
    return Scale("mass", "grey levels, of which Bernoulli is no distribution")


def _range(x: np.ndarray) -> str:
    """The interval that data of this range usually are scaled to."""
    low, high = float(np.min(x)), float(np.max(x))
    for a, b in ((0, 1), (-1, 1), (0, 255)):
        if a <= low and high <= b:
            return f"[{a}, {b}]"
    return f"[{low:.4g}, {high:.4g}]"


def level_index(x: np.ndarray, levels: int) -> np.ndarray:
    """k for data k / (levels - 1), float64; a ValueError for other data."""
    index = np.asarray(x, np.float64) * (levels - 1)
    nearest = np.clip(np.rint(index), 0, levels - 1)
    off = np.abs(index - nearest) > _OFF_LEVEL
    if off.any():
        raise ValueError(
            _checks.problem(
                "Data for bits per dimension",
                expected=f"{levels} levels in [0, 1], multiples of 1/{levels - 1}",
                received=f"values in [{np.min(x):g}, {np.max(x):g}], {np.asarray(x)[off][0]:g} among them",
                remedy="Pass as `levels` the number that the data have; divide 8-bit images by 255.",
            )
        )
    return nearest
