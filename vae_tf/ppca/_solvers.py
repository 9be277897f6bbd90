"""Solvers for the eigenpairs of a covariance: all of them exactly, or the leading ones approximately."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import linalg

from vae_tf.ppca._moments import Moments
from vae_tf.ppca._spectrum import Spectrum
from vae_tf.ppca.arrays import as_rows

_ITERATIONS = 6
_OVERSAMPLING = 10


@dataclass(frozen=True)
class Solver:
    """A way to find eigenpairs, by its name. `latent_dim` and `seed` matter to the "randomized" way only."""

    name: Literal["exact", "randomized"]
    latent_dim: int
    seed: int

    def wants_covariance(self, n: int, dims: int) -> bool:
        """Whether n examples are solved through their d x d covariance."""
        return self.name == "exact" and n >= dims

    def of_covariance(self, covariance: np.ndarray) -> Spectrum:
        """The eigenpairs of a covariance `[d, d]`."""
        if self.name == "exact":
            return from_covariance(covariance)
        return randomized(
            covariance.__matmul__, len(covariance), float(np.trace(covariance)), self.latent_dim, self.seed
        )

    def of_data(self, centred: np.ndarray) -> Spectrum:
        """The eigenpairs of X^T X / n for centred data X `[n, d]`."""
        if self.name == "exact":
            return from_gram(centred)
        n, dims = centred.shape
        trace = float(np.vdot(centred, centred)) / n
        return randomized(lambda basis: centred.T @ (centred @ basis) / n, dims, trace, self.latent_dim, self.seed)


def covariance_eigenvalues(x: Any) -> np.ndarray:
    """The eigenvalues of the covariance of flattened data, `[min(n, d)]`, largest first, in their units squared.

    The covariance has n in the denominator. With fewer examples than dimensions the eigenvalues come from the n x n
    matrix of inner products; the other d - n eigenvalues are 0.

    Args:
        x: Data `[n, *E]`; each example has d numbers.

    Raises:
        TypeError: If the values are not real numbers.
        ValueError: For no examples, NaN or an infinity.
    """
    rows, _ = as_rows(x)
    n, dims = rows.shape
    if n < dims:
        centred = rows - rows.mean(axis=0, dtype=np.float64)
        moment = centred @ centred.T / n
    else:
        moment = Moments(dims).updated(rows).covariance
    return np.maximum(linalg.eigvalsh(moment)[::-1], 0.0)


def from_covariance(covariance: np.ndarray) -> Spectrum:
    """All eigenpairs of a covariance `[d, d]`."""
    eigenvalues, vectors = linalg.eigh(covariance)
    return Spectrum(np.maximum(eigenvalues[::-1], 0.0), _signed(vectors[:, ::-1].T))


def from_gram(centred: np.ndarray) -> Spectrum:
    """The eigenpairs of X^T X / n from the n x n matrix X X^T / n, for X `[n, d]` with n < d.

    Eigenvalues of 0 get no axes. If g is an eigenvector of X X^T, then X^T g is an eigenvector of X^T X. These
    vectors are made orthonormal again, in the order of their eigenvalues, largest first, because the vectors of small
    eigenvalues have lost digits.
    """
    n, dims = centred.shape
    found, vectors = linalg.eigh(centred @ centred.T / n)
    eigenvalues = np.concatenate([np.maximum(found[::-1], 0.0), np.zeros(dims - n)])
    rank = Spectrum(eigenvalues, np.zeros((0, dims))).rank
    eigenvalues[rank:] = 0.0
    axes, _ = np.linalg.qr(centred.T @ vectors[:, ::-1][:, :rank])
    return Spectrum(eigenvalues, _signed(axes.T))


def randomized(
    times: Callable[[np.ndarray], np.ndarray], dims: int, trace: float, latent_dim: int, seed: int
) -> Spectrum:
    """The q leading eigenpairs of a covariance S, by subspace iteration from a random start.

    The subspace has 2 q + 10 dimensions. It is multiplied by S 6 times and made orthonormal in between. The result
    has the eigenvalues of S within the subspace, which are never above the true ones.

    Args:
        times: Function that returns S @ B for B `[d, k]`.
        dims: Number of dimensions d.
        trace: Trace of S.
        latent_dim: Number of eigenpairs q.
        seed: Seed of the random start.

    References:
        Halko, Martinsson, Tropp 2011, algorithms 4.4 and 5.3, arXiv 0909.4061.
    """
    start = np.random.default_rng(seed).standard_normal((dims, min(dims, 2 * latent_dim + _OVERSAMPLING)))
    basis, _ = np.linalg.qr(start)
    for _ in range(_ITERATIONS):
        basis, _ = np.linalg.qr(times(basis))
    within = basis.T @ times(basis)
    eigenvalues, vectors = linalg.eigh((within + within.T) / 2)
    leading = np.maximum(eigenvalues[::-1][:latent_dim], 0.0)
    axes = (basis @ vectors[:, ::-1][:, :latent_dim]).T
    return Spectrum(leading, _signed(axes), max(trace - float(leading.sum()), 0.0))


def _signed(axes: np.ndarray) -> np.ndarray:
    """The rows `[r, d]`, each with its sign chosen so that its entry of largest magnitude is positive."""
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    return axes * np.where(largest < 0, -1.0, 1.0)
