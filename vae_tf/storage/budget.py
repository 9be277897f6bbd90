"""A limit on the memory of the variables that are made while a file is loaded."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

from vae_tf import _checks

_SPARE = 2**20  # bytes: metrics and seeds have variables that no file holds
_LEAST = 64  # bytes that a variable costs, however small it is


@contextmanager
def memory_of(weights: int, what: str) -> Iterator[None]:
    """Refuses to make more variables than a file of weights has values for, before their memory is taken.

    Every variable of a model has its values in the file. A configuration that asks for a Dense(10**9) beside
    weights of a few kilobytes is a mistake or an attack.

    Args:
        weights: Size in bytes of the weights in the file.
        what: The subject of the message.

    Raises:
        ValueError: For the first variable that exceeds the limit.
    """
    taken = 0

    def create(following: Callable[..., tf.Variable], **arguments: Any) -> tf.Variable:
        nonlocal taken
        shape, dtype = _kind(arguments)
        taken += max(math.prod(shape) * dtype.size, _LEAST)
        if taken > weights + _SPARE:
            raise ValueError(
                _checks.problem(
                    what,
                    expected=f"variables for which its {weights:,} bytes of weights have values",
                    received=f"{arguments.get('name')} of shape {list(shape)}, with which they take {taken:,} bytes",
                    remedy="Do not use the file.",
                )
            )
        return following(**arguments)

    with tf.variable_creator_scope(create):
        yield


def _kind(arguments: dict[str, Any]) -> tuple[tuple[int, ...], tf.DType]:
    """Shape and type of a variable that is about to be made; the shape is () where only a function knows it."""
    value: Any = arguments.get("initial_value")
    value = None if callable(value) else value
    shape = tf.TensorShape(arguments.get("shape"))
    dtype = arguments.get("dtype") or getattr(value, "dtype", None) or tf.float32
    return tuple(shape) if shape.is_fully_defined() else tuple(np.shape(value)), tf.as_dtype(dtype)
