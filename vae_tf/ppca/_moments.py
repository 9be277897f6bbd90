"""Mean and covariance of data that come in batches."""

from __future__ import annotations

import copy

import numpy as np

_NUMBERS = 2**21  # so many numbers are converted to float64 at a time: 16 MiB


class Moments:
    """Count, mean and scatter of all rows so far, in float64.

    Two batches a and b merge without cancellation: `scatter = scatter_a + scatter_b + (n_a n_b / n) delta delta^T`
    with delta the difference of their means. Memory is `[d, d]`, however many rows come.

    Attributes:
        count: Number of rows n.
        mean: Mean of the rows, `[d]`.
        scatter: Sum of (x - mean)(x - mean)^T, `[d, d]`.

    References:
        Chan, Golub, LeVeque 1983, "Algorithms for computing the sample variance", eq. 2.1.
    """

    def __init__(self, dims: int) -> None:
        self.count = 0
        self.mean = np.zeros(dims)
        self.scatter = np.zeros((dims, dims))

    @classmethod
    def given(cls, count: int, mean: np.ndarray, covariance: np.ndarray) -> Moments:
        """The moments of n rows with this mean `[d]` and this covariance `[d, d]`, n in its denominator."""
        moments = cls(0)
        moments.count, moments.mean, moments.scatter = count, mean, count * covariance
        return moments

    @property
    def covariance(self) -> np.ndarray:
        """The covariance scatter / n, `[d, d]`: the denominator is n, not n - 1."""
        return self.scatter / self.count

    def updated(self, rows: np.ndarray) -> Moments:
        """New moments that include these rows, `[n, d]` of any real dtype. The present object stays as it is."""
        moments, step = copy.copy(self), max(1, _NUMBERS // rows.shape[1])
        moments.scatter = self.scatter.copy()  # the only attribute that take_in changes in place
        for start in range(0, len(rows), step):
            moments.take_in(rows[start : start + step].astype(np.float64))
        return moments

    def take_in(self, batch: np.ndarray) -> None:
        """Takes in a batch `[b, d]` of float64 that is not needed afterwards: the mean is subtracted in place."""
        mean = batch.mean(axis=0)
        batch -= mean
        delta, total = mean - self.mean, self.count + len(batch)
        self.scatter += batch.T @ batch
        self.scatter += np.outer(delta, delta * (self.count * len(batch) / total))
        self.mean = self.mean + delta * (len(batch) / total)
        self.count = total
