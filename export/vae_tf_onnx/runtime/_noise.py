"""Seeds, counts and noise, checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from vae_tf_onnx.families import PRIORS

_CHUNK = 256
normal = PRIORS["StandardNormal"]
"""Standard normal noise: (generator, number of draws, latent_dim) -> `[n, D]`."""


def generator(seed: int | None) -> np.random.Generator:
    """numpy's generator; raises ValueError for a negative seed."""
    if seed is not None and seed < 0:
        raise ValueError(f"seed: expected a whole number of at least 0, received {seed!r}. Pass seed=0.")
    return np.random.default_rng(seed)


def count(value: Any) -> int:
    """`num_samples`; raises ValueError where it is no whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"num_samples: expected a whole number of at least 1, received {value!r}. Pass 16.")
    return int(value)


def for_each(x: Any, noise: Any, latent_dim: int) -> np.ndarray:
    """`noise` as float32 `[B, D]`, a row for each of x `[B, *E]`; raises ValueError where it is not."""
    noise = np.asarray(noise, dtype=np.float32)
    if noise.shape != (len(x), latent_dim):
        expected = [len(x), latent_dim]
        raise ValueError(f"noise: expected shape {expected}, received {list(noise.shape)}. Pass a row for each x.")
    return noise


def in_chunks(function: Callable[..., np.ndarray], *arrays: np.ndarray) -> np.ndarray:
    """`function` of the rows of all arrays, 256 at a time."""
    starts = range(0, len(arrays[0]), _CHUNK)
    return np.concatenate([function(*(array[i : i + _CHUNK] for array in arrays)) for i in starts])
