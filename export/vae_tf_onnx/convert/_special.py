"""Special functions in plain ONNX operators, for those that tf2onnx or onnxruntime lack in float32 or in float64.

The errors stated here are measured against scipy over the whole domain. Unless said otherwise they are relative, in
units of the type's epsilon ("eps": 1.2e-7 and 2.2e-16). Polynomials are fits at Chebyshev points, made from scipy when
they are first needed.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev
from scipy import special

from vae_tf_onnx.convert._values import Value, horner, where

_LOG_2PI = math.log(2 * math.pi)


def log1p(x: Value) -> Value:
    """log(1 + x), to 3 eps: `log(u) x / (u - 1)` with u = 1 + x rounded (Goldberg 1991, theorem 4)."""
    u = 1 + x
    rounded = u - 1
    flat = rounded.equals(0.0)
    ratio = where(flat | (x > 1.0), 1.0, x / where(flat, 1.0, rounded))
    return where(flat, x, u.node("Log") * ratio)


def expm1(x: Value) -> Value:
    """exp(x) - 1, to 4 eps: `(u - 1) x / log(u)` with u = exp(x) rounded, where it cancels (Kahan)."""
    near = x.node("Abs") < 1.0
    small = where(near, x, 1.0)
    u = small.node("Exp")
    flat = u.equals(1.0)
    kahan = where(flat, small, (u - 1) * small / where(flat, 1.0, u.node("Log")))
    return where(near, kahan, x.node("Exp") - 1)


def softplus(x: Value) -> Value:
    """log(1 + exp(x)), to 3 eps."""
    return x.node("Relu") + log1p((-x.node("Abs")).node("Exp"))


def xlogy(x: Value, y: Value) -> Value:
    """x log(y), which is 0 where x is 0."""
    return where(x.equals(0.0), 0.0, x * y.node("Log"))


def xlog1py(x: Value, y: Value) -> Value:
    """x log(1 + y), which is 0 where x is 0."""
    return where(x.equals(0.0), 0.0, x * log1p(y))


def xdivy(x: Value, y: Value) -> Value:
    """x / y, which is 0 where x is 0."""
    return where(x.equals(0.0), 0.0, x / y)


def mul_no_nan(x: Value, y: Value) -> Value:
    """x y, which is 0 where y is 0, whatever x is."""
    return where(y.equals(0.0), 0.0, x * y)


def erf(x: Value) -> Value:
    """The error function, to 8 eps, for float64, which onnxruntime's Erf does not take."""
    near = x.node("Abs") < 0.5
    small = where(near, x, 0.0)
    inner = small * horner(8 * (small * small) - 1, _erf_fit())
    size = where(near, 1.0, x.node("Abs"))
    return where(near, inner, x.node("Sign") * (1 - _erfc_of_positive(size)))


def erfc(x: Value) -> Value:
    """1 - erf(x), to 4 eps in float32 and 30 in float64, down to the smallest normal number."""
    size = x.node("Abs")
    upper = _erfc_of_positive(size)
    return where(x < 0.0, 2 - upper, upper)


def _erfc_of_positive(x: Value) -> Value:
    """erfc(x) for x >= 0, as `t exp(-x^2) f(t)` with t = 2 / (2 + x) and a smooth f.

    exp would magnify the rounding of x^2, so x^2 is computed in two parts.
    """
    top = 11.0 if x.dtype == np.float32 else 28.0  # beyond it erfc is 0
    x = x.node("Min", top)
    t = 2 / (2 + x)
    high = (x * 16.0).node("Floor") / 16.0
    decay = (-(high * high)).node("Exp") * (-((x - high) * (x + high))).node("Exp")
    return decay * (t * horner(2 * t - 1, _erfc_fit(11 if x.dtype == np.float32 else 24)))


def lgamma(x: Value) -> Value:
    """log |Gamma(x)|, computed in float64, to 60 eps of the larger of its size and 1; inf at 0, -1, -2, ...

    It is Stirling's series above 10, the same of `Gamma(x + 10) / (x (x + 1) ... (x + 9))` below 10, and the reflection
    formula below 0.
    """
    wide = x.cast(np.float64)
    mirrored = wide < 0.0
    y = where(mirrored, 1 - wide, wide)
    below = y < 10.0
    small, large = where(below, y, 1.0), where(below, y + 10, y)
    product = small
    for shift in range(1, 10):
        product = product * (small + float(shift))
    inverse = 1 / large
    series = inverse * horner(inverse * inverse, [1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360])
    stirling = (large - 0.5) * (large.node("Log") - 1) + (series + 0.5 * (_LOG_2PI - 1))
    above = where(below, stirling - product.node("Log"), stirling)
    angle = math.pi * (wide - wide.node("Round"))
    reflected = math.log(math.pi) - angle.node("Sin").node("Abs").node("Log") - above
    return where(mirrored, reflected, above).cast(x.dtype)


def erfinv(x: Value) -> Value:
    """The inverse of erf, to 1 eps in float32 and 60 in float64; inf at 1."""
    wide = x.cast(np.float64)
    quantile = _normal_quantile(0.5 * wide, 0.5 * (1 - wide.node("Abs")))
    return (math.sqrt(0.5) * quantile).cast(x.dtype)


def ndtri(x: Value) -> Value:
    """The quantile of the standard normal, to 1 eps in float32 and 60 in float64; -inf at 0, inf at 1."""
    wide = x.cast(np.float64)
    return _normal_quantile(wide - 0.5, wide.node("Min", 1 - wide)).cast(x.dtype)


def _normal_quantile(centred: Value, tail: Value) -> Value:
    """The normal quantile at 1/2 + `centred`, whose smaller tail is `tail`, by fits over Wichura's ranges (1988)."""
    inside = centred.node("Abs") < 0.425
    q = where(inside, centred, 0.0)
    middle = q * horner(q * q * (2 / 0.425**2) - 1, _middle_fit())
    size = (-where(inside, 0.25, tail).node("Log")).node("Sqrt")
    near = size < _TAIL_EDGES[1]
    first = _on(where(near, size, _TAIL_EDGES[0]), *_TAIL_EDGES[:2])
    second = _on(where(near, _TAIL_EDGES[1], size).node("Min", _TAIL_EDGES[2]), *_TAIL_EDGES[1:])
    outer = where(near, horner(first, _tail_fit(*_TAIL_EDGES[:2])), horner(second, _tail_fit(*_TAIL_EDGES[1:])))
    outer = where(tail.equals(0.0), math.inf, where(tail < 0.0, math.nan, outer))
    return where(inside, middle, centred.node("Sign") * outer)


_TAIL_EDGES = (1.6, 5.0, 27.4)
"""The edges of the fits in sqrt(-log(tail)), from the edge of the middle to the smallest float64."""


def _on(x: Value, low: float, high: float) -> Value:
    """x with its range [low, high] mapped to [-1, 1]."""
    return (x - low) * (2 / (high - low)) - 1


def _chebyshev(function: Callable[[Any], Any], degree: int) -> list[float]:
    """Coefficients of the polynomial that meets `function` at degree + 1 Chebyshev points of [-1, 1]."""
    return chebyshev.cheb2poly(chebyshev.chebinterpolate(function, degree)).tolist()


@functools.cache
def _erf_fit() -> list[float]:
    def over_x(y: np.ndarray) -> np.ndarray:
        x = np.sqrt((y + 1) / 8)
        return special.erf(x) / x

    return _chebyshev(over_x, 7)


@functools.cache
def _erfc_fit(degree: int) -> list[float]:
    def scaled(y: np.ndarray) -> np.ndarray:
        t = (y + 1) / 2
        return special.erfcx(2 / t - 2) / t

    return _chebyshev(scaled, degree)


@functools.cache
def _middle_fit() -> list[float]:
    def over_q(y: np.ndarray) -> np.ndarray:
        q = 0.425 * np.sqrt((y + 1) / 2)
        return special.ndtri(0.5 + q) / q

    return _chebyshev(over_q, 24)


@functools.cache
def _tail_fit(low: float, high: float) -> list[float]:
    def at(y: np.ndarray) -> np.ndarray:
        return -special.ndtri_exp(-np.square(low + (y + 1) / 2 * (high - low)))

    return _chebyshev(at, 32)
