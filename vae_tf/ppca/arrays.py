"""Data and covariances as arrays, with one clear error for each thing that can be wrong with them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from vae_tf._checks import problem


def as_rows(
    x: Any, event_shape: tuple[int, ...] | None = None, *, name: str = "data"
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Data `[n, *E]` as rows `[n, d]` of their own dtype, and E.

    Args:
        x: The data. They are copied only if they have to be.
        event_shape: Shape E of earlier data, if there were any. Flat rows `[n, d]` pass as well.
        name: Name of the data in the errors.

    Raises:
        TypeError: If the values are not real numbers.
        ValueError: For no examples, a single axis, another shape of one example, NaN or an infinity.
    """
    x = _real(name, x)
    if x.ndim < 2 or x.size == 0:
        expected = "examples along the first axis, [n, d] or [n, *E], at least one number"
        raise _error(name, expected, f"shape {x.shape}", "Give a single example a first axis: x[None].")
    found = x.shape[1:]
    if event_shape is not None and found not in (event_shape, (math.prod(event_shape),)):
        raise _error(name, f"examples of shape {event_shape}", f"shape {found}", "Pass data like those of the fit.")
    return x.reshape(len(x), -1), event_shape or found


def as_mean(mean: Any, dims: int) -> tuple[np.ndarray, tuple[int, ...]]:
    """The mean of data `[d]` in float64, and the shape E that it came in.

    Raises:
        TypeError: If the values are not real numbers.
        ValueError: For another number of them, NaN or an infinity.
    """
    array = _real("mean", mean)
    if array.ndim == 0 or array.size != dims:
        received, remedy = f"shape {array.shape}", "Pass the mean of the same data."
        raise _error("mean", f"{dims} numbers, [d] or [*E]", received, remedy)
    return array.ravel().astype(np.float64), array.shape


def as_latents(z: Any, latent_dim: int) -> np.ndarray:
    """Latents `[n, q]` in float64.

    Raises:
        TypeError: If the values are not real numbers.
        ValueError: For another shape, NaN or an infinity.
    """
    z = _real("z", z)
    if z.ndim != 2 or z.shape[1] != latent_dim:
        raise _error("z", f"shape [n, {latent_dim}]", f"shape {z.shape}", "Pass latents such as transform returns.")
    return z.astype(np.float64)


def check_covariance(covariance: Any) -> np.ndarray:
    """The covariance `[d, d]` in float64, made exactly symmetric, after a check that it is a covariance.

    Rounding is forgiven up to 1e-8 of the largest entry, or d times the machine epsilon of a coarser dtype. Two
    mirrored entries may differ by that much, and an eigenvalue may lie below 0 by that much.

    Raises:
        TypeError: If the values are not real numbers.
        ValueError: For an array that is not square, not finite, not symmetric, or has a negative eigenvalue.
    """
    given = _real("covariance", covariance)
    if given.ndim != 2 or given.shape[0] != given.shape[1] or given.size == 0:
        raise _error("covariance", "a square array [d, d]", f"shape {given.shape}", "Pass x.T @ x / n of centred x.")
    matrix = given.astype(np.float64)
    epsilon = np.finfo(given.dtype).eps if given.dtype.kind == "f" else 0.0
    tolerance = max(1e-8, len(matrix) * float(epsilon)) * np.abs(matrix).max()
    difference = np.abs(matrix - matrix.T).max()
    if difference > tolerance:
        received = f"mirrored entries that differ by up to {difference:.3g}"
        raise _error("covariance", "a symmetric array", received, "Pass (S + S.T) / 2 if that is rounding.")
    matrix = (matrix + matrix.T) / 2
    smallest = np.linalg.eigvalsh(matrix)[0]
    if smallest < -tolerance:
        received = f"an eigenvalue of {smallest:.3g}"
        raise _error("covariance", "no negative eigenvalue", received, "Compute it in float64 from centred data.")
    return matrix


def _real(name: str, values: Any) -> np.ndarray:
    """The values as an array of finite real numbers, or an error."""
    try:
        array = np.asarray(values)
    except ValueError as error:  # ragged lists
        raise _error(name, "an array", str(error), "Give all examples one shape.") from error
    if array.dtype.kind not in "biuf":
        raise TypeError(problem(name, expected="real numbers", received=f"dtype {array.dtype}", remedy="Convert them."))
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = int(array.size - np.isfinite(array).sum())
        raise _error(name, "finite numbers", f"{bad} NaN or infinite ones", "Remove or replace them.")
    return array


def _error(what: str, expected: str, received: str, remedy: str) -> ValueError:
    return ValueError(problem(what, expected=expected, received=received, remedy=remedy))
