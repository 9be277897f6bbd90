"""Arrays that can be drawn: finite numbers, at least one, with the axes that a picture needs."""

from __future__ import annotations

from typing import Any

import numpy as np

from vae_tf import _checks


def drawable(name: str, values: Any, expected: str, *, axes: int | None = None) -> np.ndarray:
    """The values as an array, or a ValueError that names them.

    Args:
        name: The name of the argument.
        values: What was given.
        expected: The shape in words, such as "KL per latent [n, D]".
        axes: How many axes there must be; None for 2 or more.

    Raises:
        ValueError: For what is no array of finite real numbers, for other axes, and for none at all.
    """
    array = np.asarray(values)
    right = array.ndim >= 2 if axes is None else array.ndim == axes
    bad = np.count_nonzero(~np.isfinite(array)) if array.dtype.kind in "buif" else None
    if bad is None:
        received, remedy = f"dtype {array.dtype}", "Pass an array of real numbers."
    elif not right or not array.size:
        received, remedy = f"shape {list(array.shape)}", f"For a single one pass {name}[None]."
    elif bad:
        received = f"{bad} of {array.size} values that are NaN or infinite"
        remedy = "Look at the loss of the model; fill what is missing in data, by np.nan_to_num, say."
    else:
        return array
    raise ValueError(
        _checks.problem(name, expected=f"{expected}, finite, at least one", received=received, remedy=remedy)
    )
