"""Advice on why latents collapsed, in one line."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf import _checks
from vae_tf.collapse._data import posteriors, subset
from vae_tf.collapse._latents import active_units, collapse_threshold, kl_or_none
from vae_tf.collapse._prediction import LinearPrediction, kl_weight_of, prediction_for
from vae_tf.likelihoods import Gaussian, Laplace, Likelihood
from vae_tf.objectives import Schedule
from vae_tf.ppca import covariance_eigenvalues
from vae_tf.vae import VAE

SPECTRUM_EXAMPLES = 5_000
"""Greatest number of examples on which sigma, the residual and the spectrum are measured."""
_TOO_LARGE = 1.5  # as the ratio of sigma to the residual; for a calibrated sigma it is within a few per cent of 1


def advice(
    vae: VAE,
    x: Any,
    kl: np.ndarray | None = None,
    *,
    eps: float = 0.01,
    delta: float = 0.01,
    threshold: float = 0.01,
    chunk_size: int = 256,
) -> str | None:
    """One line on why latents collapsed and what to do; None when none did. See `advise` for the reasoning.

    Sigma, the residual and the spectrum are measured on at most 5,000 of the examples. A latent counts as collapsed if
    it is (eps, delta)-collapsed or, where there is no KL per latent, if it is not an active unit.

    Args:
        vae: Model with any posterior and prior.
        x: Data `[n, *E]`, n >= 2.
        kl: KL per latent in nats, `[n, D]`, if it is known already.
        eps: The KL below which a latent is collapsed, in nats; see `collapsed`.
        delta: The share of examples that may lie above it; see `collapsed`.
        threshold: The variance above which a latent is active, where the KL is not a sum over latents; see
            `active_units`.
        chunk_size: Number of examples at a time.

    Raises:
        ValueError: For a single example, data the VAE cannot take, numbers out of range, or a KL of other latents.
    """
    x = vae.adapter.examples(x, at_least=2)
    eps, delta = _checks.positive_float("eps", eps), _checks.fraction("delta", delta)
    threshold = _checks.nonnegative_float("threshold", threshold)
    kl = kl_or_none(vae, x, chunk_size=chunk_size) if kl is None else _of_all_latents(vae, kl)
    if kl is None:
        active = active_units(vae, x, threshold, chunk_size=chunk_size)
    else:
        active = collapse_threshold(kl, delta) >= eps
    if active.all():
        return None
    x = subset(x, SPECTRUM_EXAMPLES)
    return explain(vae, x, int(active.sum()), prediction_for(vae, x), chunk_size)


def _of_all_latents(vae: VAE, kl: np.ndarray) -> np.ndarray:
    """The KL `[n, D]`, or a ValueError where it has another number of latents than the VAE."""
    if np.ndim(kl) != 2 or np.shape(kl)[1] != vae.latent_dim:
        remedy = "Pass what kl_per_latent returns for this VAE."
        expected, received = f"shape [n, {vae.latent_dim}]", f"shape {list(np.shape(kl))}"
        raise ValueError(_checks.problem("kl", expected=expected, received=received, remedy=remedy))
    return np.asarray(kl)


def explain(vae: VAE, x: np.ndarray, active: int, prediction: LinearPrediction | None, chunk_size: int) -> str | None:
    """The advice of `advise` for a VAE, measured on data.

    Args:
        vae: Model with any posterior and prior.
        x: Data `[n, *E]` on which sigma and the residual are measured.
        active: Number of latents that did not collapse.
        prediction: Prediction from the same data, whose eigenvalues are used; None takes those of the covariance.
        chunk_size: Number of examples at a time.
    """
    if active >= vae.latent_dim:
        return None
    sigma, rmse = measured_noise(vae, x, chunk_size)
    weight = kl_weight_of(vae)
    kl_weight = 1.0 if weight is None else weight
    if prediction is None:
        eigenvalues = covariance_eigenvalues(x)
    else:  # in the units of the data, where sigma differs between dimensions: the threshold is kl_weight sigma^2
        eigenvalues = prediction.eigenvalues * (kl_weight * sigma**2 / prediction.threshold)
    return advise(
        latent_dim=vae.latent_dim,
        active=active,
        sigma=sigma,
        rmse=rmse,
        eigenvalues=eigenvalues,
        kl_weight=kl_weight,
        warm_up=isinstance(getattr(vae.objective, "kl_weight", None), Schedule),
        cure=f"{type(vae.likelihood).__name__}(..., scale='optimal')"
        if isinstance(vae.likelihood, Gaussian | Laplace)
        else "Gaussian(..., scale='optimal'), or a likelihood whose noise is trained",
    )


def advise(
    *,
    latent_dim: int,
    active: int,
    sigma: float,
    rmse: float,
    eigenvalues: np.ndarray,
    kl_weight: float = 1.0,
    warm_up: bool = False,
    cure: str = "Gaussian(..., scale='optimal')",
) -> str | None:
    """One line on why latents collapsed and what to do; None when none did.

    In the linear VAE a fixed sigma keeps `min(D, #{eigenvalues > sigma^2})` latents, and a KL weight beta acts as if
    sigma^2 were beta times as large. The causes are tried in this order. Sigma is far above the residual, and a sigma
    equal to the residual would keep more latents. The KL weight is above 1, and a weight of 1 would keep more. As many
    latents are used as eigenvalues exceed sigma^2, so the data carry no more. Otherwise the data carry more than is
    used, and training is the cause. For networks that are not linear the counts are a guide, not a theorem.

    Args:
        latent_dim: Number of latents D.
        active: Number of latents that did not collapse.
        sigma: Root mean square standard deviation of p(x|z), in the units of the data.
        rmse: Root mean square residual x - E[x|z], in the units of the data.
        eigenvalues: Eigenvalues of the covariance of the data, in units of the data squared. Where sigma differs
            between dimensions, each dimension is first multiplied by `sigma` and divided by its own sigma.
        kl_weight: KL weight of the objective, at the end of its schedule.
        warm_up: Whether the KL weight has a schedule.
        cure: Likelihood that keeps sigma equal to the residual, as text.

    References:
        Lucas, Tucker, Grosse, Norouzi 2019, arXiv 1911.02469.
    """
    if active >= latent_dim:
        return None

    def above(variance: float) -> int:
        return int(np.count_nonzero(np.asarray(eigenvalues) > variance))

    def kept(variance: float) -> int:
        return min(above(variance), latent_dim)

    head = f"{latent_dim - active} of {latent_dim} latents collapsed: "
    noise = f"{'' if kl_weight == 1 else 'kl_weight '}sigma^2 = {kl_weight * sigma**2:.3g}"
    carried = above(kl_weight * sigma**2)
    if sigma > _TOO_LARGE * rmse and kept(sigma**2) < kept(rmse**2):
        return (
            f"{head}sigma = {sigma:.3g} is {sigma / rmse:.3g} times the residual {rmse:.3g}. "
            f"{_exceed(above(sigma**2))} sigma^2, {above(rmse**2)} the squared residual. "
            f"Keep the two equal: {cure}."
        )
    if kl_weight > 1 and kept(kl_weight * sigma**2) < kept(sigma**2):
        return (
            f"{head}kl_weight = {kl_weight:.3g} acts like sigma = {np.sqrt(kl_weight) * sigma:.3g} instead of "
            f"{sigma:.3g}. {_exceed(carried)} its square, {above(sigma**2)} sigma^2. "
            "Lower kl_weight: 1 is the ELBO."
        )
    if active >= carried:
        return (
            f"{head}latent_dim is above what the data carry. {_exceed(carried)} "
            f"{noise}. latent_dim={max(active, 1)} loses little."
        )
    longer = "Lengthen the warm-up of kl_weight" if warm_up else "Warm the KL up: ELBO(kl_weight=linear(10))"
    return (
        f"{head}{'the warm-up was too short, or training' if warm_up else 'training without a warm-up was'} "
        f"too short. {_exceed(carried)} {noise}, and {active} latents are used. "
        f"{longer}, train longer, or use FreeBits."
    )


def _exceed(count: int) -> str:
    return f"{count} eigenvalue{' of the data covariance exceeds' if count == 1 else 's of the data covariance exceed'}"


def measured_noise(vae: VAE, x: np.ndarray, chunk_size: int, seed: int = 0) -> tuple[float, float]:
    """The root mean squares of sd[x|z] and of x - E[x|z], at one draw z ~ q(z|x) for each example."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((len(x), vae.latent_dim), dtype=np.float32)
    squares, done = np.zeros(2), 0
    for part, q in posteriors(vae, x, chunk_size):
        z, _ = vae.posterior.draw(noise[done : done + len(part)], vae.posterior.parameters_of(q))
        p = vae.likelihood.given(vae.decoder(z, training=False), part)
        variance = tf.broadcast_to(_variance(vae.likelihood, p, rng), part.shape)
        squares += float(tf.reduce_sum(variance)), float(tf.reduce_sum((part - p.mean()) ** 2))
        done += len(part)
    sigma, rmse = np.sqrt(squares / np.prod(x.shape))
    return float(sigma), float(rmse)


def _variance(likelihood: Likelihood, p: tfd.Distribution, rng: np.random.Generator) -> tf.Tensor:
    """The variance of x given z, `[B, *E]`, estimated from one draw where the distribution has no formula for it."""
    try:
        return p.variance()
    except NotImplementedError:
        parameters = likelihood.parameters_of(p)
        if getattr(likelihood, "df", math.inf) <= 2:  # a Student t without variance: its scale says how wide it is
            return tf.square(parameters["scale"])
        return (likelihood.observe(likelihood.noise(rng, int(p.batch_shape[0])), parameters) - p.mean()) ** 2
