"""The information that all latents together carry: mutual information and the KL of the aggregate posterior."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from scipy.special import logsumexp

from vae_tf import _checks
from vae_tf.collapse._data import posteriors
from vae_tf.posteriors import DiagonalNormal
from vae_tf.vae import VAE


@dataclass(frozen=True)
class Information:
    """The rate and its two parts in nats: `rate == mutual_information + aggregate_kl`.

    The standard errors are over the draws of z, for the given data.

    Attributes:
        rate: (1/n) sum_i KL(q(z|x_i) || p(z)).
        mutual_information: I_q(x; z) = (1/n) sum_i KL(q(z|x_i) || q(z)), at most log n.
        aggregate_kl: KL(q(z) || p(z)), q(z) = (1/n) sum_i q(z|x_i).
        rate_standard_error: Standard error of `rate`; 0 where the KL is in closed form.
        mutual_information_standard_error: Standard error of `mutual_information`.
        aggregate_kl_standard_error: Standard error of `aggregate_kl`.
        num_examples: Number of examples n.
    """

    rate: float
    mutual_information: float
    aggregate_kl: float
    rate_standard_error: float
    mutual_information_standard_error: float
    aggregate_kl_standard_error: float
    num_examples: int


def information(vae: VAE, x: Any, *, num_samples: int = 2, seed: int = 0, chunk_size: int = 256) -> Information:
    """Rate, mutual information and KL of the aggregate posterior, in nats; q(z) is the mixture over these data.

    Over draws z from every q(z|x_i), the mean of log q(z|x_i) - log q(z) is the mutual information, and the mean of
    log q(z) - log p(z) is the aggregate KL. Their sum is the rate, draw by draw. Where the rate has a closed form, the
    aggregate KL is computed as the closed form less the mutual information, which has the same expectation and less
    noise.

    The mutual information is that of n examples. It is at most log n; where it comes near log n, it is below the
    mutual information of the population. The time is that of `num_samples * n^2` densities.

    Args:
        vae: Model with any posterior and prior.
        x: Data `[n, *E]`.
        num_samples: Number of draws for each example, at least 2 for the standard errors.
        seed: Seed of the draws.
        chunk_size: Number of examples whose draws are handled at a time, and of posteriors whose densities are. The
            memory is that of `num_samples * chunk_size^2 D` numbers, beside the parameters of the n posteriors. The
            result does not depend on it.

    Raises:
        ValueError: For fewer than 2 draws, a negative seed, or data the VAE cannot take.

    References:
        Hoffman and Johnson 2016, "ELBO surgery", NeurIPS workshop on approximate Bayesian inference.
    """
    x = vae.adapter.examples(x)
    if _checks.positive_int("num_samples", num_samples) < 2:
        remedy = "Two draws give a standard error."
        raise ValueError(_checks.problem("num_samples", expected="at least 2", received="1", remedy=remedy))
    shape = (num_samples, len(x), vae.latent_dim)
    noise = np.random.default_rng(_checks.seed(seed)).standard_normal(shape, dtype=np.float32)
    parameters, rate = _all_posteriors(vae, x, chunk_size)
    z, log_q, log_prior, log_aggregate = np.empty_like(noise), *np.empty((3, *shape[:2]))
    for part in _parts(len(x), chunk_size):
        z[:, part], log_q[:, part] = vae.posterior.draw(noise[:, part], _at(parameters, part))
        log_prior[:, part] = vae.prior.log_prob(z[:, part])
        points = z[:, part].reshape(-1, shape[2])
        log_aggregate[:, part] = _log_aggregate(vae, points, parameters, chunk_size).reshape(num_samples, -1)
    gain, gain_error = _mean(log_q - log_aggregate)
    if rate is not None:
        mean = float(rate.mean(dtype=np.float64))
        return Information(mean, gain, mean - gain, 0.0, gain_error, gain_error, len(x))
    rest, rest_error = _mean(log_aggregate - log_prior)
    return Information(gain + rest, gain, rest, _mean(log_q - log_prior)[1], gain_error, rest_error, len(x))


def _all_posteriors(vae: VAE, x: np.ndarray, chunk_size: int) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """The parameters of q(z|x_i), `[n, ...]` each, and the KL to the prior in closed form, `[n]` or None."""
    parameters: list[dict[str, tf.Tensor]] = []
    rates: list[Any] = []
    for _, q in posteriors(vae, x, chunk_size):
        parameters.append(vae.posterior.parameters_of(q))
        rates.append(vae.prior.closed_form(q))
    stacked = {name: np.concatenate([part[name] for part in parameters]) for name in parameters[0]}
    return stacked, None if rates[0] is None else np.concatenate(rates)


def _log_aggregate(vae: VAE, z: np.ndarray, parameters: dict[str, np.ndarray], chunk_size: int) -> np.ndarray:
    """log q(z) = log((1/n) sum_i q(z|x_i)) at `[m, D]` points: `[m]`."""
    count = len(next(iter(parameters.values())))
    total = np.full(len(z), -np.inf)
    for part in _parts(count, chunk_size):
        if isinstance(vae.posterior, DiagonalNormal):
            log_q = _normal_log_prob(z, parameters["loc"][part], parameters["scale"][part])
        else:
            q = vae.posterior.distribution(_at(parameters, part))
            log_q = q.log_prob(tf.broadcast_to(z[:, None], (len(z), part.stop - part.start, z.shape[-1]))).numpy()
        total = np.logaddexp(total, logsumexp(log_q, axis=1))
    return total - np.log(count)


def _normal_log_prob(z: np.ndarray, loc: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """log N(z_j; loc_i, diag(scale_i^2)) of all pairs, `[m, b]`, as matrix products; in float64, as terms cancel."""
    z, loc, precision = z.astype(np.float64), loc.astype(np.float64), scale.astype(np.float64) ** -2
    constant = np.sum(np.log(precision / (2 * np.pi)) - precision * loc**2, axis=1)
    return z @ (precision * loc).T + 0.5 * (constant - z**2 @ precision.T)


def _at(parameters: dict[str, np.ndarray], part: slice) -> dict[str, tf.Tensor]:
    return {name: tf.constant(value[part]) for name, value in parameters.items()}


def _parts(count: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def _mean(values: np.ndarray) -> tuple[float, float]:
    """The mean of `[S, n]` values, and its standard error: n strata of S independent draws."""
    error = np.sqrt(values.var(axis=0, ddof=1).mean() / values.size)
    return float(values.mean()), float(error)
