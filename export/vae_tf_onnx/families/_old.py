"""The numpy half of the likelihoods and priors: noise, draws and log-probabilities from a graph's outputs.

Draws take their noise from the generator in the same order as `vae_tf`, prior first, so that one seed gives
one set of images in both.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Array = np.ndarray
Parameters = dict[str, Array]


class Family(NamedTuple):
    """A likelihood, given its parameters `[B, *E]`."""

    parameters: frozenset[str]
    """Names of the parameters."""
    noise: Callable[[np.random.Generator, tuple[int, ...]], Array]
    """Standard noise of this shape, float32."""
    observe: Callable[[Array, Parameters], Array]
    """A draw of x, `[B, *E]`, from standard noise."""
    log_prob: Callable[[Array, Parameters], Array]
    """log p(x|z) in nats for each dimension, `[B, *E]`, float64."""


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.standard_normal(shape, dtype=np.float32)


def _uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.random(shape, dtype=np.float32)


def _gaussian_log_prob(x: Array, p: Parameters) -> Array:
    scale = p["scale"].astype(np.float64)
    standardised = (x.astype(np.float64) - p["mean"]) / scale
    return -0.5 * standardised**2 - np.log(scale) - 0.5 * math.log(2 * math.pi)


def _bernoulli_log_prob(x: Array, p: Parameters) -> Array:
    if np.any((x < 0) | (x > 1)):
        raise ValueError(
            f"Data for Bernoulli: expected values in [0, 1], received [{x.min():g}, {x.max():g}]. Scale them to [0, 1]."
        )
    logits = p["logits"].astype(np.float64)
    return x * logits - np.logaddexp(0.0, logits)


LIKELIHOODS = {
    "Bernoulli": Family(
        frozenset({"mean", "logits"}),
        _uniform,
        lambda noise, p: (noise < p["mean"]).astype(np.float32),
        _bernoulli_log_prob,
    ),
    "Gaussian": Family(
        frozenset({"mean", "scale"}), _normal, lambda noise, p: p["mean"] + p["scale"] * noise, _gaussian_log_prob
    ),
}

PRIORS = {"StandardNormal": _normal}
