"""The number of grey levels of images."""

from __future__ import annotations

from typing import Any

import numpy as np

from vae_tf._checks import problem
from vae_tf.data.lazy import LazyImages

__all__ = ["levels"]

_MOST = 256


def levels(x: Any) -> int:
    """The number L of grey levels of images in [0, 1]: the smallest L for which all values are multiples of 1/(L - 1).

    MNIST has 256 levels, scikit-learn's digits have 17.

    Args:
        x: Images of any shape: an array, images that are read when they are indexed, or a data frame.

    Raises:
        ValueError: For values outside [0, 1], or between the levels of every L up to 256.
    """
    if isinstance(x, LazyImages):
        return _of_lazy(x)
    x = np.asarray(x)
    inside = np.min(x) >= 0 and np.max(x) <= 1
    for count in range(2, _MOST + 1) if inside else ():
        if all(_on_grid(part, count - 1) for part in (x[:100], x)):
            return count
    received = "values between them" if inside else f"values in [{np.min(x):g}, {np.max(x):g}]"
    raise _no_levels(received)


def _of_lazy(images: LazyImages) -> int:
    """As `levels`, in one pass that ends where nothing can change any more."""
    left = list(range(2, _MOST + 1))
    for block in images.blocks("Counting grey levels"):
        present = np.unique(block)
        left = [count for count in left if _on_grid(present, count - 1)]
        if not left:
            raise _no_levels("values between them")
        if left == [_MOST] and images.are_levels:  # all values of 8-bit images are on this grid
            break
    return left[0]


def _no_levels(received: str) -> ValueError:
    remedy = "Round the images to 256 levels, or choose a likelihood of real numbers."
    return ValueError(problem("Grey levels", expected="at most 256 in [0, 1]", received=received, remedy=remedy))


def _on_grid(x: np.ndarray, steps: int) -> bool:
    scaled = x * np.float32(steps)
    return bool(np.max(np.abs(scaled - np.rint(scaled))) < 1e-3)
