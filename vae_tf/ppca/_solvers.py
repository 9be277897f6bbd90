"""Solvers for the eigenpairs of a covariance: all of them exactly, or the leading ones approximately."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import linalg
from scipy.sparse.linalg import LinearOperator, eigsh

from vae_tf.ppca._moments import Moments
from vae_tf.ppca._spectrum import Spectrum
from vae_tf.ppca.arrays import as_rows


@dataclass(frozen=True)
class Solver:
    """A way to find eigenpairs; `seed` is the seed of the "randomized" way."""

    name: Literal["exact", "randomized"]
    latent_dim: int
    seed: int

    def wants_covariance(self, n: int, dims: int) -> bool:
        """Whether n examples are solved through their d x d covariance."""
        return self.name == "exact" and n >= dims

    def of_covariance(self, covariance: np.ndarray) -> Spectrum:
        """The eigenpairs of a covariance `[d, d]`."""
        if self.name == "exact" or self.latent_dim >= len(covariance):
            return from_covariance(covariance)
        trace = float(np.trace(covariance))
        return leading(covariance.__matmul__, len(covariance), trace, self.latent_dim, self.seed)

    def of_data(self, centred: np.ndarray) -> Spectrum:
        """The eigenpairs of X^T X / n for centred data X `[n, d]`."""
        if self.name == "exact":
            return from_gram(centred)
        n, dims = centred.shape
        trace = float(np.vdot(centred, centred)) / n
        return leading(lambda vector: centred.T @ (centred @ vector) / n, dims, trace, self.latent_dim, self.seed)


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


def leading(times: Callable[[np.ndarray], np.ndarray], dims: int, trace: float, latent_dim: int, seed: int) -> Spectrum:
    """The q leading eigenpairs of a covariance S, by scipy's Lanczos iteration from a random start, to full precision.

    Axes of equal eigenvalues are any orthonormal ones of their space.

    Args:
        times: Gives S @ v for v `[d]`.
        dims: The number of dimensions d.
        trace: The trace of S.
        latent_dim: The number of eigenpairs q, below d.
        seed: Seed of the start.

    References:
        Lehoucq, Sorensen, Yang 1998, "ARPACK users' guide".
    """
    if trace == 0:  # which ARPACK refuses
        return Spectrum(np.zeros(latent_dim), np.eye(latent_dim, dims), 0.0)
    start = np.random.default_rng(seed).standard_normal(dims)
    covariance = LinearOperator((dims, dims), matvec=times, dtype=np.float64)
    found, vectors = eigsh(covariance, latent_dim, which="LA", v0=start)
    eigenvalues = np.maximum(found[::-1], 0.0)
    return Spectrum(eigenvalues, _signed(vectors[:, ::-1].T), max(trace - float(eigenvalues.sum()), 0.0))


def _signed(axes: np.ndarray) -> np.ndarray:
    """The rows `[r, d]`, each with its sign chosen so that its entry of largest magnitude is positive."""
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    return axes * np.where(largest < 0, -1.0, 1.0)
