"""The checks of seeds, counts and noise that callers give, and the noise of z."""

from __future__ import annotations

from typing import Any

import numpy as np

from vae_tf_onnx.families import PRIORS

normal_noise = PRIORS["StandardNormal"]
"""Samples standard normal noise: (generator, number of samples, D) -> `[n, D]`."""


def generator(seed: int | None) -> np.random.Generator:
    """numpy's generator of this seed; raises ValueError for a negative one."""
    if seed is not None and seed < 0:
        raise ValueError(f"seed: expected a whole number of at least 0, received {seed!r}. Pass seed=0.")
    return np.random.default_rng(seed)


def checked_count(value: Any) -> int:
    """`num_samples`; raises ValueError if it is no whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"num_samples: expected a whole number of at least 1, received {value!r}. Pass 16.")
    return int(value)


def noise_for_each(x: Any, noise: Any, latent_dim: int) -> np.ndarray:
    """`noise` as float32 `[B, D]`, a row for each of x `[B, *E]`; raises ValueError for another shape."""
    noise = np.asarray(noise, dtype=np.float32)
    if noise.shape != (len(x), latent_dim):
        expected = [len(x), latent_dim]
        raise ValueError(f"noise: expected shape {expected}, received {list(noise.shape)}. Pass a row for each x.")
    return noise
