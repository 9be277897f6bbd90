"""The scale of a likelihood: its name, and the standard deviation of x given z that it stands for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_SYMBOLS = {"DiscretizedLogistic": "scale", "Gaussian": "sigma", "Laplace": "b", "StudentT": "scale"}
_ROUNDED = ("DiscretizedLogistic",)


@dataclass(frozen=True)
class Scale:
    """The scale of a likelihood, in the units of x.

    Attributes:
        symbol: Name of the scale; sigma where it is the standard deviation.
        deviation: The standard deviation of x given z over the scale; infinite where there is none.
        formula: The standard deviation in words.
        rounded: Whether x is rounded to levels; the standard deviation is then that before.
        mode: Choice of the scale, a word or a number; "per_pixel" where the network puts it out.
    """

    symbol: str
    deviation: float
    formula: str
    rounded: bool
    mode: str | float


def scale_of(likelihood: Mapping[str, Any]) -> Scale | None:
    """The scale of the likelihood in a manifest; None for families without one, and for one that is not stated."""
    family, parameters = likelihood.get("family"), likelihood.get("parameters", {})
    if family not in _SYMBOLS:
        return None
    symbol = _SYMBOLS[family]
    deviation, formula = _deviation(family, parameters)
    rounded = family in _ROUNDED or bool(parameters.get("quantised", False))
    mode = parameters.get("scale", "per_pixel" if family in _ROUNDED else "not stated")
    return Scale(symbol, deviation, formula, rounded, mode)


def _deviation(family: str, parameters: Mapping[str, Any]) -> tuple[float, str]:
    if family == "Gaussian":
        return 1.0, "sigma"
    if family == "Laplace":
        return math.sqrt(2), "sqrt(2) b"
    if family == "DiscretizedLogistic":
        return math.pi / math.sqrt(3), "pi/sqrt(3) scale"
    df = float(parameters.get("df", math.nan))
    if df <= 2:
        return math.inf, f"infinite at df = {df:g}"
    factor = math.sqrt(df / (df - 2))
    return factor, f"sqrt(df/(df - 2)) scale = {factor:.4g} scale"
