"""The number of latents that the spectrum of the data lets survive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vae_tf import _checks
from vae_tf.data.streams import whole
from vae_tf.likelihoods import Gaussian
from vae_tf.ppca import covariance_eigenvalues
from vae_tf.ppca.arrays import as_rows
from vae_tf.vae import VAE


@dataclass(frozen=True, eq=False)
class LinearPrediction:
    """The result of `linear_prediction`; its `str` is one line.

    Attributes:
        eigenvalues: Eigenvalues of the covariance of the data, `[min(n, d)]`, largest first, in units of the data
            squared. Where sigma differs between dimensions, the data are first divided by sigma and have no unit.
        threshold: Number that an eigenvalue must exceed: kl_weight * sigma^2, or kl_weight if the data were divided.
        survivors: Number of eigenvalues that exceed it, at most `latent_dim`.
        latent_dim: Number of latents D; None if none was given.
        scale: Sigma in the units of the data, a number or an array.
        kl_weight: Weight of the KL, beta.
    """

    eigenvalues: np.ndarray
    threshold: float
    survivors: int
    latent_dim: int | None
    scale: float | np.ndarray
    kl_weight: float

    def __str__(self) -> str:
        of = "latent" if self.latent_dim is None else f"of {self.latent_dim} latent"
        plural = "" if (self.survivors if self.latent_dim is None else self.latent_dim) == 1 else "s"
        low, high = np.min(self.scale), np.max(self.scale)
        sigma = f"sigma = {low:.3g}" + (f" to {high:.3g}" if low < high else "")
        weight = "" if self.kl_weight == 1 else f" and kl_weight = {self.kl_weight:.3g}"
        return f"at most {self.survivors} {of}{plural} can survive at {sigma}{weight}"


def linear_prediction(x: Any, scale: Any, *, latent_dim: int | None = None, kl_weight: float = 1.0) -> LinearPrediction:
    """The number of latents that can survive at this sigma: that of the data covariance's eigenvalues above sigma^2.

    At a fixed sigma the optimum of the linear VAE keeps min(D, #{lambda_j > sigma^2}) latents, where lambda_j are the
    eigenvalues of the covariance (n in the denominator); the others collapse. With a sigma for each dimension the same
    holds for the data divided by sigma, whose eigenvalues are compared with 1: x / sigma = (W / sigma) z + eps is the
    same model with unit noise, the same KL, and a log-likelihood that differs by a constant. A KL weight beta acts as
    if sigma^2 were beta times as large.

    This is a theorem for linear encoders and decoders with a standard normal prior. For other networks it is a guide:
    they may use more latents, and if they are trained badly they use fewer.

    Args:
        x: Data `[n, *E]`, n >= 2, in any container that `fit` takes.
        scale: Sigma in the units of the data: a positive number, or an array that broadcasts to `E`.
        latent_dim: Number of latents D; None does not limit the count.
        kl_weight: KL weight of the objective, beta > 0; 1 is the ELBO.

    Raises:
        TypeError: If the data are not real numbers.
        ValueError: For fewer than 2 examples, values that are NaN or infinite, a sigma or KL weight that is not
            positive, or a sigma that does not broadcast to `E`.

    References:
        Lucas, Tucker, Grosse, Norouzi 2019, arXiv 1911.02469.
    """
    rows, event_shape = as_rows(whole(x, "data"))
    if len(rows) < 2:
        remedy = "Pass as many as there are: their covariance is what counts."
        raise ValueError(_checks.problem("data", expected="at least 2 examples", received="1", remedy=remedy))
    sigma = _sigma(scale, event_shape)
    latent_dim = None if latent_dim is None else _checks.positive_int("latent_dim", latent_dim)
    kl_weight = _checks.positive_float("kl_weight", kl_weight, "1 is the ELBO.")
    if isinstance(sigma, float):
        eigenvalues, threshold = covariance_eigenvalues(rows), kl_weight * sigma**2
    else:
        eigenvalues, threshold = covariance_eigenvalues(rows / sigma.ravel()), kl_weight
    above = int(np.count_nonzero(eigenvalues > threshold))
    survivors = above if latent_dim is None else min(above, latent_dim)
    return LinearPrediction(eigenvalues, threshold, survivors, latent_dim, sigma, kl_weight)


def prediction_for(vae: VAE, x: np.ndarray) -> LinearPrediction | None:
    """`linear_prediction` at the VAE's own sigma and KL weight, or None for a VAE to which it does not apply.

    It does not apply to likelihoods other than a Gaussian of real numbers, nor to objectives that hold the KL up
    instead of weighing it (FreeBits, Capacity), whose latents survive whatever sigma is. The sigma of "per_pixel" is
    its running average over training batches.
    """
    weight = kl_weight_of(vae)
    if not isinstance(vae.likelihood, Gaussian) or vae.likelihood.quantised or not weight:
        return None
    return linear_prediction(x, vae.likelihood.scale, latent_dim=vae.latent_dim, kl_weight=weight)


def kl_weight_of(vae: VAE) -> float | None:
    """The factor of the KL in the objective relative to the distortion, at the end of its schedule, or None."""
    schedule = vae.objective.schedules().get("kl_weight")
    weight = vae.objective.relative_kl_weight(vae.progress) if schedule is None else schedule.end
    return None if weight is None else float(weight)


def _sigma(scale: Any, shape: tuple[int, ...]) -> float | np.ndarray:
    """Sigma as a number or as an array of `shape`, or a ValueError."""
    remedy = "Pass sigma in the units of the data, one number or one for each dimension."
    array = np.asarray(scale)
    if array.dtype.kind not in "iuf":
        raise ValueError(
            _checks.problem("scale", expected="real numbers", received=f"dtype {array.dtype}", remedy=remedy)
        )
    if array.size == 1:
        return _checks.positive_float("scale", array.item(), remedy)
    expected = f"a number, or an array that broadcasts to {shape}"
    try:
        sigma = np.broadcast_to(array, shape).astype(np.float64)
    except (TypeError, ValueError) as error:
        received = f"shape {array.shape} of {array.dtype}"
        raise ValueError(_checks.problem("scale", expected=expected, received=received, remedy=remedy)) from error
    if not (np.isfinite(sigma) & (sigma > 0)).all():
        received = f"values from {sigma.min():g} to {sigma.max():g}"
        raise ValueError(_checks.problem("scale", expected="finite numbers above 0", received=received, remedy=remedy))
    return sigma
