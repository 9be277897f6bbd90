"""The part of the data that a fitted PPCA keeps."""

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
    """The error of a fitted attribute used before `fit`. It is also an AttributeError, so that `hasattr` is False."""


@dataclass(frozen=True, eq=False)
class Seen:
    """A summary of the data seen so far.

    Attributes:
        event_shape: E, the shape of one example.
        mean: Mean of the data, `[d]`.
        count: Number of examples n, or None where only their covariance is known.
        moments: Moments of the data, if their covariance was formed from examples.
        spectrum: Spectrum of their covariance; None until it is asked for.
    """

    event_shape: tuple[int, ...]
    mean: np.ndarray
    count: int | None
    moments: Moments | None = None
    spectrum: Spectrum | None = None

    @classmethod
    def of_data(cls, rows: np.ndarray, event_shape: tuple[int, ...], solver: Solver) -> Seen:
        """The summary of all data at once, `[n, d]`. The d x d covariance is formed only if the solver wants it."""
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
        """The summary of the data with these moments, and of these rows as well."""
        moments = moments.updated(rows)
        return cls(event_shape, moments.mean, moments.count, moments)

    @classmethod
    def of_covariance(cls, covariance: Any, mean: Any, n: int | None, solver: Solver) -> Seen:
        """The summary of data whose covariance is known, and perhaps their mean and number."""
        matrix = check_covariance(covariance)
        center, event_shape = as_mean(np.zeros(len(matrix)) if mean is None else mean, len(matrix))
        count = None if n is None else _checks.positive_int("n", n)
        check_sizes(solver.latent_dim, len(matrix), count)
        return cls(event_shape, center, count, spectrum=solver.of_covariance(matrix))

    def solved(self, solver: Solver) -> Seen:
        """The same summary with its spectrum computed."""
        if self.spectrum is not None or self.moments is None:
            return self
        return replace(self, spectrum=solver.of_covariance(self.moments.covariance))

    def accumulated(self) -> Moments:
        """The moments of the data, to which more data can be added."""
        if self.moments is not None:
            return self.moments
        if self.count is None or self.spectrum is None or not self.spectrum.complete:
            raise ValueError(
                problem(
                    "partial_fit",
                    expected="a model whose data so far are known by number and full covariance",
                    received="one from fit_covariance without n, or from fit by the randomised solver",
                    remedy="Give a new PPCA all data through partial_fit.",
                )
            )
        return Moments.given(self.count, self.mean, self.spectrum.covariance())


def check_sizes(latent_dim: int, dims: int, count: int | None) -> None:
    """Raises a ValueError if d dimensions or n examples are too few for q latents."""
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
