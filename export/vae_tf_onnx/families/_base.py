"""The parts of the numpy half of a likelihood."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray
Parameters = dict[str, Array]
Config = dict[str, Any]


class Family(NamedTuple):
    """A likelihood, given its parameters `[B, *E, ...]`."""

    parameters: dict[str, tuple[int, ...]]
    """Names of the parameters, and the axes that each has behind `[B, *E]`."""
    noise: Callable[[np.random.Generator, int, tuple[int, ...]], Array]
    """Noise for this many draws of examples of this shape."""
    observe: Callable[[Array, Parameters], Array]
    """Draws of x, `[B, *E]`, from noise."""
    log_prob: Callable[[Array, Parameters], Array]
    """log p(x|z) in nats for each dimension, `[B, *E]`, float64."""


def normal_noise(rng: np.random.Generator, num_samples: int, event_shape: tuple[int, ...]) -> Array:
    """Standard normal, float32."""
    return rng.standard_normal((num_samples, *event_shape), dtype=np.float32)


def uniform_noise(rng: np.random.Generator, num_samples: int, event_shape: tuple[int, ...]) -> Array:
    """Uniform on [0, 1), float32."""
    return rng.random((num_samples, *event_shape), dtype=np.float32)


def outside(family: str, expected: str, x: Array) -> ValueError:
    """The error of data that a likelihood has neither density nor mass for."""
    remedy = "Pass data as the model was trained on."
    return ValueError(f"Data for {family}: expected {expected}, received [{x.min():g}, {x.max():g}]. {remedy}")
