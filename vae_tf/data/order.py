"""The order of examples in an epoch: a function of the seed and the epoch alone."""

from __future__ import annotations

import numpy as np

__all__ = ["permutation"]


def permutation(seed: int, epoch: int, n: int) -> np.ndarray:
    """The order of `n` examples in this epoch, `[n]` int64."""
    return np.random.default_rng([seed, epoch]).permutation(n)
