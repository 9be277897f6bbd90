"""The eigenvalues of the data, and what follows from them in closed form for every linear-Gaussian model."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vae_tf import _checks
from vae_tf._checks import problem


@dataclass(frozen=True, eq=False)
class Curvature:
    """Second derivatives of the mean log p(x) at a stationary point, in nats per example and squared unit of W.

    Entry (i, j) belongs to column i of W moving along the eigenvector u_j. Directions are coupled only in the pairs
    that rotate two columns into each other. Such a pair has a flat direction and no unstable one, so these entries
    alone decide whether the point is stable.

    Attributes:
        values: The second derivatives, `[q, d]`. They are exactly 0 where the difference between an eigenvalue and
            sigma^2, or between two eigenvalues, is mere rounding: at most 32 d times the machine epsilon times the
            largest eigenvalue.
    """

    values: np.ndarray

    @property
    def verdicts(self) -> np.ndarray:
        """One word for each entry, `[q, d]`: "stable" where negative, "unstable" where positive, "flat" where 0."""
        return np.array(["stable", "flat", "unstable"])[np.sign(self.values).astype(int) + 1]

    @property
    def stable(self) -> bool:
        """Whether no direction is unstable."""
        return not (self.values > 0).any()


@dataclass(frozen=True, eq=False)
class StationaryPoint:
    """A W at which the gradient of the mean log p(x) vanishes at a fixed sigma^2. W times any rotation is another one.

    Attributes:
        kept: Indices of the eigenpairs that W keeps, 0 the largest: column i of W belongs to kept[i], and the columns
            after them are 0.
        loadings: W, `[d, q]`.
        log_likelihood: Mean log p(x) of the data in nats per example.
        curvature: Second derivatives in each direction.
    """

    kept: tuple[int, ...]
    loadings: np.ndarray
    log_likelihood: float
    curvature: Curvature

    @property
    def stable(self) -> bool:
        """Whether the point is a maximum, up to flat directions. A maximum is always the global one."""
        return self.curvature.stable


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Eigenpairs of the covariance S of the data, n in its denominator.

    Args:
        eigenvalues: The m largest eigenvalues `[m]`, lambda_1 first, none negative; m is d or less.
        axes: Unit eigenvectors of the first r eigenvalues, as rows `[r, d]`. Where m = d, all eigenvalues after the
            first r are 0.
        remainder: The sum of the d - m eigenvalues that are not known.
    """

    eigenvalues: np.ndarray
    axes: np.ndarray
    remainder: float = 0.0

    @property
    def dims(self) -> int:
        """Number of dimensions d."""
        return self.axes.shape[1]

    @property
    def trace(self) -> float:
        """The trace of S, which is the total variance."""
        return float(self.eigenvalues.sum() + self.remainder)

    @property
    def complete(self) -> bool:
        """Whether all d eigenvalues are known."""
        return len(self.eigenvalues) == self.dims

    @property
    def rounding(self) -> float:
        """The size below which an eigenvalue counts as 0: 32 d times the machine epsilon times the largest one."""
        return 32 * self.dims * float(np.finfo(np.float64).eps) * float(self.eigenvalues[0])

    @property
    def rank(self) -> int:
        """The number of known eigenvalues that are not 0."""
        return int((self.eigenvalues > self.rounding).sum())

    def covariance(self) -> np.ndarray:
        """The covariance S, `[d, d]`."""
        self._check_complete("The covariance")
        return self.axes.T * self.eigenvalues[: len(self.axes)] @ self.axes

    # --- maxima of the likelihood -----------------------------------------------------------------------

    def sigma2(self, latent_dim: int) -> float:
        """sigma^2_MLE in squared units of x: the mean of the d - q smallest eigenvalues.

        Raises:
            ValueError: If it is 0 up to rounding, or if latent_dim exceeds the number of known eigenvalues.
        """
        if latent_dim > len(self.eigenvalues):
            self._check_complete(f"latent_dim={latent_dim}")
        rest = self._rest(latent_dim)
        if rest <= self.rounding:
            raise ValueError(
                problem(
                    f"sigma^2_MLE at latent_dim={latent_dim}",
                    expected="a number above 0: as sigma^2 goes to 0 the likelihood grows without bound",
                    received=f"0 up to rounding, because the covariance of the data has rank {self.rank}",
                    remedy="Choose a latent_dim below the rank, or fit more examples."
                    if self.rank > 1
                    else "The data vary too little to fit a model to them.",
                )
            )
        return rest / (self.dims - latent_dim)

    def log_likelihood(self, latent_dim: int, sigma2: Any) -> np.ndarray:
        """The maximum over W of the mean log p(x), in nats per example, in the shape of sigma2.

        It is `-1/2 [d log 2 pi + sum_j (log c_j + lambda_j / c_j)]`, where c_j = max(lambda_j, sigma^2) for the q
        largest eigenvalues and c_j = sigma^2 for the others.

        Args:
            latent_dim: Number of latents q.
            sigma2: Numbers above 0, of any shape.
        """
        sigma2 = _positive(sigma2)
        largest, noise = self.eigenvalues[:latent_dim], sigma2[..., None]
        logs = np.log(np.maximum(largest, noise)).sum(axis=-1) + (self.dims - latent_dim) * np.log(sigma2)
        squares = np.minimum(largest / noise, 1.0).sum(axis=-1) + self._rest(latent_dim) / sigma2
        return -0.5 * (self.dims * math.log(2 * math.pi) + logs + squares)

    def loadings(self, latent_dim: int, sigma2: float, kept: Sequence[int]) -> np.ndarray:
        """W `[d, q]`: column i is u_j sqrt(lambda_j - sigma^2) with j = kept[i]; the columns after these are 0."""
        chosen, loadings = np.array(kept, dtype=int), np.zeros((self.dims, latent_dim))
        lengths = np.sqrt(np.maximum(self.eigenvalues[chosen] - sigma2, 0.0))
        loadings[:, : len(chosen)] = self.axes[chosen].T * lengths
        return loadings

    def active(self, latent_dim: int, sigma2: float) -> int:
        """The number of columns that are not 0 in the best W at this sigma^2: `min(q, #{lambda_j > sigma^2})`."""
        sigma2 = _checks.positive_float("sigma2", sigma2)
        return int((self.eigenvalues[:latent_dim] > sigma2).sum())

    # --- all stationary points --------------------------------------------------------------------------

    def stationary_points(self, latent_dim: int, sigma2: float) -> Iterator[StationaryPoint]:
        """All stationary points at this sigma^2, up to rotation, one at a time, the global maximum first; see PPCA."""
        self._check_complete("Stationary points")
        above = int((self.eigenvalues > _checks.positive_float("sigma2", sigma2)).sum())
        sizes = range(min(latent_dim, above), -1, -1)
        choices = itertools.chain.from_iterable(itertools.combinations(range(above), size) for size in sizes)
        return (self.stationary_point(latent_dim, sigma2, kept) for kept in choices)

    def stationary_point(self, latent_dim: int, sigma2: float, kept: Sequence[int]) -> StationaryPoint:
        """The stationary point that keeps these eigenpairs; see PPCA."""
        curvature = self.curvature(latent_dim, sigma2, kept)
        chosen = np.array(kept, dtype=int)
        variances = np.full(self.dims, float(sigma2))
        variances[chosen] = self.eigenvalues[chosen]
        terms = np.log(2 * math.pi * variances) + self.eigenvalues / variances
        loadings = self.loadings(latent_dim, sigma2, kept)
        return StationaryPoint(tuple(chosen.tolist()), loadings, float(-0.5 * terms.sum()), curvature)

    def curvature(self, latent_dim: int, sigma2: float, kept: Sequence[int]) -> Curvature:
        """The curvature of the mean log p(x) at the stationary point that keeps these eigenpairs; see PPCA."""
        self._check_complete("The curvature")
        chosen = self._check_kept(latent_dim, _checks.positive_float("sigma2", sigma2), kept)
        eigenvalues, columns = self.eigenvalues, np.full((latent_dim, 1), float(sigma2))
        columns[: len(chosen), 0] = eigenvalues[chosen]
        above, below = eigenvalues - columns, sigma2 * columns * np.ones(self.dims)  # along axes that no column keeps
        above[:, chosen] = sigma2 - columns  # along axes that another column keeps
        below[:, chosen] = columns * eigenvalues[chosen]
        own = np.arange(len(chosen))
        above[own, chosen] = 2 * (sigma2 - eigenvalues[chosen])
        above[np.abs(above) <= self.rounding] = 0.0
        return Curvature(above / below)

    # --- helpers ----------------------------------------------------------------------------------------

    def _rest(self, latent_dim: int) -> float:
        """The sum of the d - q smallest eigenvalues; the smallest are added first, so that few digits are lost."""
        return float(self.eigenvalues[latent_dim:][::-1].sum() + self.remainder)

    def _check_complete(self, what: str) -> None:
        if not self.complete:
            raise ValueError(
                problem(
                    what,
                    expected=f"all {self.dims} eigenvalues",
                    received=f"the {len(self.eigenvalues)} that the randomised solver found",
                    remedy='Use PPCA(..., solver="exact").',
                )
            )

    def _check_kept(self, latent_dim: int, sigma2: float, kept: Sequence[int]) -> np.ndarray:
        """The indices as an array, or a ValueError."""
        above = int((self.eigenvalues > sigma2).sum())
        try:
            chosen = [operator.index(index) for index in kept]
        except TypeError:
            chosen = [-1]
        if len(chosen) > latent_dim or len(set(chosen)) < len(chosen) or not set(chosen) <= set(range(above)):
            raise ValueError(
                problem(
                    "kept",
                    expected=f"at most {latent_dim} different indices below {above}, of eigenvalues above sigma2",
                    received=repr(kept),
                    remedy="Pass (0, 1), say, for the two largest, or () for none.",
                )
            )
        return np.array(chosen, dtype=int)


def _positive(sigma2: Any) -> np.ndarray:
    """Numbers above 0 as a float64 array of their shape, or a ValueError."""
    grid = np.asarray(sigma2)
    if grid.dtype.kind not in "iuf" or grid.size == 0 or not (np.isfinite(grid).all() and (grid > 0).all()):
        raise ValueError(
            problem(
                "sigma2",
                expected="finite numbers above 0",
                received=f"{sigma2!r:.80}",
                remedy="Pass np.geomspace(1e-3, 10), say.",
            )
        )
    return grid.astype(np.float64)
