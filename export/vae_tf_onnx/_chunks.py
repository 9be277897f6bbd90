"""The evaluation of a function of many rows in chunks, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

_CHUNK = 256


def in_chunks(function: Callable[..., np.ndarray], *arrays: np.ndarray) -> np.ndarray:
    """The values of `function` for the rows of all arrays, computed 256 rows at a time."""
    starts = range(0, len(arrays[0]), _CHUNK)
    return np.concatenate([function(*(array[i : i + _CHUNK] for array in arrays)) for i in starts])
