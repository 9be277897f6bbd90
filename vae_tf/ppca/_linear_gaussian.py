"""The linear-Gaussian latent variable model, for which everything is known in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import linalg

_ROWS = 4096  # examples at a time


@dataclass(frozen=True)
class LinearGaussian:
    """The model x = W z + mean + sigma eps with z ~ N(0, I_q) and eps ~ N(0, I_d), in float64.

    Hence p(x) = N(mean, C) with C = W W^T + sigma^2 I, and p(z|x) = N(M^-1 W^T (x - mean), sigma^2 M^-1) with
    M = W^T W + sigma^2 I. An encoder is q(z|x) = N(V (x - mean), diag(d)). The methods take it as V `[q, d]` and its
    variances `[q]`.

    Args:
        loadings: W, `[d, q]`.
        mean: The mean of x, `[d]`.
        sigma2: The value of sigma^2, above 0, in units of x squared.

    References:
        Tipping and Bishop 1999, "Probabilistic principal component analysis". Lucas, Tucker, Grosse, Norouzi 2019,
        arXiv 1911.02469.
    """

    loadings: np.ndarray
    mean: np.ndarray
    sigma2: float

    @property
    def dims(self) -> int:
        """Number of dimensions d of x."""
        return self.loadings.shape[0]

    @property
    def latent_dim(self) -> int:
        """Number of latents q."""
        return self.loadings.shape[1]

    @cached_property
    def posterior_precision(self) -> np.ndarray:
        """M / sigma^2, the precision of p(z|x), `[q, q]`."""
        return np.eye(self.latent_dim) + self.loadings.T @ self.loadings / self.sigma2

    @cached_property
    def posterior_weights(self) -> np.ndarray:
        """M^-1 W^T, `[q, d]`: the weights that turn x - mean into E[z|x]."""
        return linalg.solve(self.posterior_precision, self.loadings.T / self.sigma2, assume_a="pos")

    @property
    def posterior_covariance(self) -> np.ndarray:
        """sigma^2 M^-1, the covariance of p(z|x), `[q, q]`."""
        return linalg.inv(self.posterior_precision)

    def posterior_mean(self, x: np.ndarray) -> np.ndarray:
        """E[z|x], `[n, q]`, for data `[n, d]`."""
        return (np.asarray(x, np.float64) - self.mean) @ self.posterior_weights.T

    # --- log p(x) --------------------------------------------------------------------------------------

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        """log N(x; mean, C) in nats, `[n]`, not averaged, for data `[n, d]`."""
        return self._by_rows(self._log_prob, x)

    def expected_log_prob(self, covariance: np.ndarray, mean: np.ndarray | None = None) -> float:
        """The mean of log p(x) over data, in nats per example: -1/2 [d log 2 pi + log|C| + tr(C^-1 S)].

        Args:
            covariance: S of the data, `[d, d]`, n in the denominator.
            mean: Mean of the data, `[d]`; the model's own by default.
        """
        residual, square = self._expected_squares(covariance, mean, self.posterior_weights)
        return self._constant - 0.5 * (residual / self.sigma2 + square)

    def _log_prob(self, centred: np.ndarray) -> np.ndarray:
        # r^T C^-1 r is the minimum over z of ||r - W z||^2 / sigma^2 + ||z||^2: two sums of squares, nothing cancels
        residual, square = self._squares(centred, self.posterior_weights)
        return self._constant - 0.5 * (residual / self.sigma2 + square)

    @cached_property
    def _constant(self) -> float:
        """log N(mean; mean, C)."""
        log_det = self.dims * math.log(self.sigma2) + _log_det(self.posterior_precision)
        return -0.5 * (self.dims * math.log(2 * math.pi) + log_det)

    # --- the evidence lower bound ----------------------------------------------------------------------

    def optimal_encoder(self) -> tuple[np.ndarray, np.ndarray]:
        """The encoder of the highest ELBO: V = M^-1 W^T `[q, d]` and d = sigma^2 / diag(M) `[q]`."""
        return self.posterior_weights, 1 / np.diag(self.posterior_precision)

    def gap(self) -> float:
        """log p(x) - ELBO at the optimal encoder, the same for every x, in nats: 1/2 (sum_i log M_ii - log|M|).

        It is 0 where W^T W is diagonal, and positive elsewhere.
        """
        precision = self.posterior_precision
        return float(0.5 * (np.log(np.diag(precision)).sum() - _log_det(precision)))

    def encoder_gap(self, x: np.ndarray, weights: np.ndarray, variance: np.ndarray) -> np.ndarray:
        """log p(x) - ELBO = KL(q(z|x) || p(z|x)) in nats, `[n]`, not averaged.

        Args:
            x: `[n, d]`.
            weights: V of the encoder, `[q, d]`.
            variance: Variances of the encoder's posterior, `[q]`.
        """
        precision = self.posterior_precision
        constant = np.diag(precision) @ variance - self.latent_dim - _log_det(precision) - np.log(variance).sum()

        def kl(centred: np.ndarray) -> np.ndarray:
            shift = centred @ (weights - self.posterior_weights).T
            return 0.5 * (constant + np.einsum("ni,ij,nj->n", shift, precision, shift, optimize=True))

        return self._by_rows(kl, x)

    def terms(self, x: np.ndarray, weights: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distortion -E_q log p(x|z) and rate KL(q(z|x) || p(z)) in nats, `[n]` each, exact, not averaged.

        rate = 1/2 [sum d - sum log d + ||V r||^2 - q] and distortion = [sum_i d_i ||W_i||^2 + ||r - W V r||^2]
        / (2 sigma^2) + d/2 log(2 pi sigma^2), with r = x - mean.

        Args:
            x: `[n, d]`.
            weights: V of the encoder, `[q, d]`.
            variance: Variances of the encoder's posterior, `[q]`.
        """
        squares = self._by_rows(lambda centred: np.stack(self._squares(centred, weights), axis=1), x)
        return self._terms(squares[:, 0], squares[:, 1], variance)

    def expected_terms(
        self, covariance: np.ndarray, weights: np.ndarray, variance: np.ndarray, mean: np.ndarray | None = None
    ) -> tuple[float, float]:
        """Distortion and rate averaged over data, in nats per example, from their covariance alone.

        Args:
            covariance: S of the data, `[d, d]`, n in the denominator.
            weights: V of the encoder, `[q, d]`.
            variance: Variances of the encoder's posterior, `[q]`.
            mean: Mean of the data, `[d]`; the model's own by default.
        """
        return self._terms(*self._expected_squares(covariance, mean, weights), variance)

    def elbo(self, x: np.ndarray, weights: np.ndarray, variance: np.ndarray) -> np.ndarray:
        """The ELBO in nats, exact, `[n]`, not averaged; see `terms`."""
        return -np.add(*self.terms(x, weights, variance))

    def expected_elbo(
        self, covariance: np.ndarray, weights: np.ndarray, variance: np.ndarray, mean: np.ndarray | None = None
    ) -> float:
        """The ELBO averaged over data, in nats per example, from their covariance alone; see `expected_terms`."""
        return -sum(self.expected_terms(covariance, weights, variance, mean))

    def _terms(self, residual: Any, square: Any, variance: np.ndarray) -> tuple[Any, Any]:
        """Distortion and rate from ||r - W V r||^2 and ||V r||^2."""
        spread = variance @ _square(self.loadings.T)
        distortion = (spread + residual) / (2 * self.sigma2) + self.dims / 2 * math.log(2 * math.pi * self.sigma2)
        return distortion, 0.5 * ((variance - np.log(variance) - 1).sum() + square)

    # --- squares over the data -------------------------------------------------------------------------

    def _squares(self, centred: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """||r - W V r||^2 and ||V r||^2 of each row r, `[n]` each."""
        z = centred @ weights.T
        return _square(centred - z @ self.loadings.T), _square(z)

    def _expected_squares(
        self, covariance: np.ndarray, mean: np.ndarray | None, weights: np.ndarray
    ) -> tuple[float, float]:
        """The means of ||r - W V r||^2 and ||V r||^2 over data with this covariance and mean."""
        moment = np.asarray(covariance, np.float64)
        if mean is not None:
            shift = np.asarray(mean, np.float64) - self.mean
            moment = moment + np.outer(shift, shift)
        residual = np.eye(self.dims) - self.loadings @ weights
        return float(np.sum(residual @ moment * residual)), float(np.sum(weights @ moment * weights))

    def _by_rows(self, function: Callable[[np.ndarray], np.ndarray], x: Any) -> np.ndarray:
        """The values of `function` at x - mean, computed for a bounded number of examples at a time."""
        x = np.asarray(x)
        parts = [function(x[i : i + _ROWS].astype(np.float64) - self.mean) for i in range(0, max(len(x), 1), _ROWS)]
        return np.concatenate(parts)


def _square(rows: np.ndarray) -> np.ndarray:
    """The squared norm of each row."""
    return np.einsum("ij,ij->i", rows, rows)


def _log_det(matrix: np.ndarray) -> float:
    """log|A| of a positive definite matrix."""
    return float(2 * np.log(np.diag(linalg.cholesky(matrix))).sum())
