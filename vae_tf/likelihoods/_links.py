"""Inverses of the maps from a network's outputs to a likelihood's parameters, in numpy, for outputs to start from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

_HALVINGS = 40


def logit(share: np.ndarray) -> np.ndarray:
    """The number whose sigmoid is `share`, in (0, 1)."""
    return np.log(share) - np.log1p(-share)


def inverse_softplus(value: np.ndarray) -> np.ndarray:
    """The number whose softplus is `value`, above 0."""
    return value + np.log(-np.expm1(-value))


def softplus_step(value: np.ndarray) -> np.ndarray:
    """The move of a softplus's input, to first order, by which its output `value` grows by a factor e.

    It is 1 where the softplus is an exponential, and `value` where it is a straight line.
    """
    return value / -np.expm1(-value)


def inverse(increasing: Callable[[np.ndarray], np.ndarray], target: np.ndarray, low: float, high: float) -> np.ndarray:
    """The argument in [low, high] at which an increasing elementwise function is `target`, by bisection."""
    lowest, highest = np.full(target.shape, float(low)), np.full(target.shape, float(high))
    for _ in range(_HALVINGS):
        middle = 0.5 * (lowest + highest)
        below = increasing(middle) < target
        lowest, highest = np.where(below, middle, lowest), np.where(below, highest, middle)
    return 0.5 * (lowest + highest)
