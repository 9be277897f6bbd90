"""Measures of collapse for each latent."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from tensorflow_probability import distributions as tfd

from vae_tf import _checks
from vae_tf.collapse._data import posteriors
from vae_tf.vae import VAE

EPS_GRID = np.geomspace(1e-3, 10, 50)
"""The thresholds of `collapse_curve`, in nats."""


def kl_per_latent(vae: VAE, x: Any, *, chunk_size: int = 256) -> np.ndarray:
    """KL(q(z_i|x) || p(z_i)) of each latent's marginal, in nats per example, `[n, D]`.

    For a normal q with marginals N(m_i, s_i^2) and a standard normal prior it is
    `(m_i^2 + s_i^2 - 1)/2 - log s_i`. Where the latents are independent given x, the sum over i is the rate; for a full
    covariance it is the rate less the total correlation of q(z|x).

    Args:
        vae: Model with a normal posterior and a prior of independent latents.
        x: Data `[n, *E]`.
        chunk_size: Number of examples at a time.

    Raises:
        ValueError: For another posterior or prior, or data the VAE cannot take.
    """
    kl = kl_or_none(vae, x, chunk_size=chunk_size)
    if kl is None:
        raise ValueError(
            _checks.problem(
                "KL per latent",
                expected="a normal posterior (DiagonalNormal, FullCovarianceNormal) and a StandardNormal prior",
                received=f"{type(vae.posterior).__name__} and {type(vae.prior).__name__}",
                remedy="collapse.active_units works for every posterior and prior.",
            )
        )
    return kl


def kl_or_none(vae: VAE, x: Any, *, chunk_size: int = 256) -> np.ndarray | None:
    """The result of `kl_per_latent`, or None if the posterior or the prior does not allow it."""
    parts = []
    for _, q in posteriors(vae, vae.adapter.examples(x), chunk_size):
        kl = vae.prior.rate_per_latent(_marginals(q))
        if kl is None:
            return None
        parts.append(kl.numpy())
    return np.concatenate(parts)


def _marginals(q: tfd.Distribution) -> tfd.Distribution:
    """The product of the marginals if q is a normal of full covariance; else q itself."""
    if isinstance(q, tfd.MultivariateNormalTriL):
        return tfd.Independent(tfd.Normal(q.mean(), q.stddev()), 1)
    return q


def posterior_mean_variance(vae: VAE, x: Any, *, chunk_size: int = 256) -> np.ndarray:
    """Var_x(E[z_i|x]) over the data, `[D]`, in units of z^2 (n in the denominator).

    The mean is the one that `VAE.encode` returns; for a flow posterior it is the image of the base's mean.

    Args:
        vae: Model with any posterior and prior.
        x: Data `[n, *E]`, n >= 2.
        chunk_size: Number of examples at a time.

    Raises:
        ValueError: For a single example, or data the VAE cannot take.

    References:
        Burda, Grosse, Salakhutdinov 2016, arXiv 1509.00519.
    """
    means = vae.encode(vae.adapter.examples(x, at_least=2), batch_size=_checks.positive_int("chunk_size", chunk_size))
    return means.astype(np.float64).var(axis=0)


def active_units(vae: VAE, x: Any, threshold: float = 0.01, *, chunk_size: int = 256) -> np.ndarray:
    """Whether `Var_x(E[z_i|x]) > threshold` for each latent, bool `[D]`; see `posterior_mean_variance`.

    Args:
        vae: Model with any posterior and prior.
        x: Data `[n, *E]`, n >= 2.
        threshold: Threshold of the variance; 0.01 is the published one.
        chunk_size: Number of examples at a time.

    Raises:
        ValueError: For a negative threshold, and as `posterior_mean_variance` does.
    """
    return posterior_mean_variance(vae, x, chunk_size=chunk_size) > _checks.nonnegative_float("threshold", threshold)


def collapse_threshold(kl: np.ndarray, delta: float = 0.01) -> np.ndarray:
    """The smallest KL that at most a share `delta` of the examples exceeds, in nats, `[D]`.

    It is an order statistic of each column. Latent i is (eps, delta)-collapsed for every eps above this threshold, and
    for no eps at or below it.

    Args:
        kl: KL per latent, `[n, D]`, in nats.
        delta: Share of exceptions, in [0, 1).

    Raises:
        ValueError: For a delta outside [0, 1), or a KL that is not `[n, D]` with n >= 1.
    """
    kl, delta = np.asarray(kl), _checks.fraction("delta", delta)
    if kl.ndim != 2 or not len(kl):
        remedy = "Pass what kl_per_latent returns."
        expected = "shape [n, D] with n >= 1"
        raise ValueError(_checks.problem("kl", expected=expected, received=f"shape {kl.shape}", remedy=remedy))
    exceptions = min(math.floor(delta * len(kl) * (1 + 1e-12)), len(kl) - 1)  # 0.29 * 100 is 28.999...
    return np.sort(kl, axis=0)[len(kl) - 1 - exceptions]


def collapsed(vae: VAE, x: Any, eps: float = 0.01, delta: float = 0.01, *, chunk_size: int = 256) -> np.ndarray:
    """Whether each latent is (eps, delta)-collapsed, bool `[D]`: P_x[KL(q(z_i|x) || p(z_i)) < eps] >= 1 - delta.

    Args:
        vae: Model with a normal posterior and a prior of independent latents.
        x: Data `[n, *E]`.
        eps: Threshold of the KL in nats.
        delta: Share of examples that may lie above it, in [0, 1).
        chunk_size: Number of examples at a time.

    Raises:
        ValueError: For an eps that is not positive, a delta outside [0, 1), and as `kl_per_latent` does.

    References:
        Lucas, Tucker, Grosse, Norouzi 2019, arXiv 1911.02469.
    """
    eps = _checks.positive_float("eps", eps)
    return collapse_threshold(kl_per_latent(vae, x, chunk_size=chunk_size), delta) < eps


def collapse_curve(
    vae: VAE, x: Any, eps: np.ndarray = EPS_GRID, delta: float = 0.01, *, chunk_size: int = 256
) -> np.ndarray:
    """The share of (eps, delta)-collapsed latents at each eps, `[m]`, rising from 0 to 1.

    Args:
        vae: Model with a normal posterior and a prior of independent latents.
        x: Data `[n, *E]`.
        eps: Thresholds of the KL, `[m]`, in nats.
        delta: Share of examples that may lie above the threshold, in [0, 1).
        chunk_size: Number of examples at a time.

    Raises:
        ValueError: As `collapsed` does.

    References:
        Lucas, Tucker, Grosse, Norouzi 2019, arXiv 1911.02469.
    """
    return collapsed_share(collapse_threshold(kl_per_latent(vae, x, chunk_size=chunk_size), delta), eps)


def collapsed_share(threshold: np.ndarray, eps: np.ndarray) -> np.ndarray:
    """The share of the thresholds `[D]` that lie below each eps `[m]`, as an array `[m]`."""
    return np.mean(threshold[:, None] < np.asarray(eps), axis=0)
