"""What a fit keeps of the data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vae_tf import _checks
from vae_tf._checks import problem
from vae_tf.ppca._moments import Moments
from vae_tf.ppca._solvers import Solver
from vae_tf.ppca._spectrum import Spectrum
from vae_tf.ppca.arrays import as_mean, check_covariance


class NotFittedError(ValueError, AttributeError):
    """A fitted attribute was asked for before `fit`; also an AttributeError, so that `hasattr` can tell."""


@dataclass(frozen=True, eq=False)
class Seen:
    """The data seen so far.

    Attributes:
        event_shape: E, the shape of one example.
        mean: `[d]`.
        count: number of examples n, or None where only their covariance is known.
        moments: where their covariance is kept.
        spectrum: of their covariance; None until it is asked for.
    """

    event_shape: tuple[int, ...]
    mean: np.ndarray
    count: int | None
    moments: Moments | None = None
    spectrum: Spectrum | None = None

    @classmethod
    def of_data(cls, rows: np.ndarray, event_shape: tuple[int, ...], solver: Solver) -> Seen:
        """All data at once, `[n, d]`. The d x d covariance is formed where the solver wants it."""
        n, dims = rows.shape
        check_sizes(solver.latent_dim, dims, n)
        if solver.wants_covariance(n, dims):
            return cls.of_moments(Moments(dims), rows, event_shape).solved(solver)
        mean = rows.mean(axis=0, dtype=np.float64)
        centred = rows.astype(np.float64)
        centred -= mean
        return cls(event_shape, mean, n, spectrum=solver.of_data(centred))

    @classmethod
    def of_moments(cls, moments: Moments, rows: np.ndarray, event_shape: tuple[int, ...]) -> Seen:
        """The data of these moments, and these rows."""
        moments = moments.updated(rows)
        return cls(event_shape, moments.mean, moments.count, moments)

    @classmethod
    def of_covariance(cls, covariance: Any, mean: Any, n: int | None, solver: Solver) -> Seen:
        """Data of which the covariance is known, and perhaps mean and number."""
        matrix = check_covariance(covariance)
        center, event_shape = as_mean(np.zeros(len(matrix)) if mean is None else mean, len(matrix))
        count = None if n is None else _checks.positive_int("n", n)
        check_sizes(solver.latent_dim, len(matrix), count)
        return cls(event_shape, center, count, spectrum=solver.of_covariance(matrix))

    def solved(self, solver: Solver) -> Seen:
        """The same, with its spectrum."""
        if self.spectrum is not None or self.moments is None:
            return self
        return replace(self, spectrum=solver.of_covariance(self.moments.covariance))

    def accumulated(self) -> Moments:
        """The moments, to which more data can be added."""
        if self.moments is not None:
            return self.moments
        if self.count is None or self.spectrum is None or not self.spectrum.complete:
            raise ValueError(
                problem(
                    "partial_fit",
                    expected="a model whose data so far are known by number and full covariance",
                    received="one from fit_covariance without n, or from fit by the randomized solver",
                    remedy="Give a new PPCA all data through partial_fit.",
                )
            )
        return Moments.given(self.count, self.mean, self.spectrum.covariance())


def check_sizes(latent_dim: int, dims: int, count: int | None) -> None:
    """A ValueError where d dimensions or n examples are too few for q latents."""
    if latent_dim >= dims:
        raise ValueError(
            problem(
                "latent_dim",
                expected=f"fewer latents than the {dims} dimensions, so that some are left for the noise",
                received=str(latent_dim),
                remedy="Choose a smaller one.",
            )
        )
    if count is not None and latent_dim >= count:
        raise ValueError(
            problem(
                "latent_dim",
                expected=f"fewer latents than the {count} examples: else sigma^2 is 0 and the likelihood unbounded",
                received=str(latent_dim),
                remedy="Choose a smaller one, or fit more examples.",
            )
        )
