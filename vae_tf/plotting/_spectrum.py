"""A picture of the spectrum of data against sigma^2."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from vae_tf import _checks
from vae_tf.plotting._axes import finish, new_axes

_ZERO = 1e-10  # as a share of the largest eigenvalue: smaller ones are rounding


def spectrum(eigenvalues: np.ndarray, sigma2: float | Mapping[str, float], *, latent_dim: int | None = None) -> Figure:
    """The eigenvalues of a data covariance by rank, against lines at sigma^2.

    A latent can survive only with an eigenvalue above the line. The first eigenvalues above a line, as many as there
    are latents, have the colour of the line, and the title counts them. Both axes are logarithmic. Eigenvalues of 0
    cannot be drawn; the label of the axis counts them.

    Args:
        eigenvalues: Eigenvalues `[d]`, in units of the data squared.
        sigma2: The value of sigma^2 in these units, or several values by the names that their lines are to have.
        latent_dim: Number of latents D; None does not limit the counts.

    Raises:
        ValueError: For eigenvalues that are not finite or none of which is above 0, or a sigma^2 that is not positive.
    """
    values = _sorted(eigenvalues)
    named = sigma2 if isinstance(sigma2, Mapping) else {f"sigma² = {sigma2:.4g}": sigma2}
    levels = {name: _checks.positive_float("sigma2", level) for name, level in named.items()}
    most = len(values) if latent_dim is None else _checks.positive_int("latent_dim", latent_dim)
    counts = {name: min(most, int(np.count_nonzero(values > level))) for name, level in levels.items()}
    shown = values[values > _ZERO * values[0]]
    rank = np.arange(1, len(shown) + 1)
    figure, ax = new_axes((6.5, 4))
    ax.plot(rank, shown, "o", markersize=3, color="0.75")
    for color, name in sorted(enumerate(levels), key=lambda line: -counts[line[1]]):  # the highest line is drawn last
        ax.plot(rank[: counts[name]], shown[: counts[name]], "o", markersize=3, color=f"C{color}")
        ax.axhline(levels[name], color=f"C{color}", linestyle="--", linewidth=1, label=name)
    if latent_dim is not None:
        ax.axvline(most, color="0.5", linestyle=":", linewidth=1, label=f"{most} latents")
    ax.set(xscale="log", yscale="log")
    ax.xaxis.set_major_formatter("{x:g}")
    zeros = f"; {len(values) - len(shown)} of them 0, not drawn" if len(shown) < len(values) else ""
    title = ", ".join(f"{counts[name]} at {name}" for name in levels)
    finish(
        ax,
        f"rank of {len(values)} eigenvalues{zeros}",
        "eigenvalues, and sigma² (dashed)",
        f"Latents that can survive: {title}",
    )
    return figure


def _sorted(eigenvalues: np.ndarray) -> np.ndarray:
    """The eigenvalues, largest first, or a ValueError."""
    values = np.sort(np.asarray(eigenvalues, np.float64).ravel())[::-1]
    if not (values.size and np.isfinite(values).all() and values[0] > 0):
        raise ValueError(
            _checks.problem(
                "eigenvalues",
                expected="finite numbers, at least one above 0",
                received=f"{values.size} numbers, the largest {values.max():g}" if values.size else "none",
                remedy="Constant data have no spectrum; look for NaN in the data.",
            )
        )
    return values
