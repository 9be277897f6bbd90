"""Families with a density on the reals or on [0, 1], and the two that can be quantised, in numpy."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from vae_tf_onnx.families._base import Array, Config, Family, Parameters, normal_noise, uniform_noise
from vae_tf_onnx.families.levels import Levels


def gaussian(config: Config) -> Family:
    """See vae_tf.likelihoods.Gaussian."""
    if config.get("quantised", False):
        return _quantised(Levels.of("Gaussian", config), normal_noise, _normal_log_tail)
    return Family({"mean": (), "scale": ()}, normal_noise, _location_scale, _gaussian_log_prob)


def laplace(config: Config) -> Family:
    """See vae_tf.likelihoods.Laplace."""
    if config.get("quantised", False):
        return _quantised(Levels.of("Laplace", config), _laplace_noise, _laplace_log_tail)
    return Family({"mean": (), "scale": ()}, _laplace_noise, _location_scale, _laplace_log_prob)


def student_t(config: Config) -> Family:
    """See vae_tf.likelihoods.StudentT."""
    df = float(config["df"])

    def noise(rng: np.random.Generator, num_samples: int, event_shape: tuple[int, ...]) -> Array:
        return rng.standard_t(df, (num_samples, *event_shape)).astype(np.float32)

    def log_prob(x: Array, p: Parameters) -> Array:
        eps, scale = _standardised(x, p)
        return -0.5 * (df + 1) * np.log1p(eps**2 / df) - np.log(scale) - _log_beta_half(df / 2) - 0.5 * math.log(df)

    return Family({"mean": (), "scale": ()}, noise, _location_scale, log_prob)


def continuous_bernoulli(config: Config) -> Family:
    """See vae_tf.likelihoods.ContinuousBernoulli."""
    return Family({"mean": (), "logits": ()}, uniform_noise, _continuous_bernoulli_observe, _continuous_bernoulli)


def _location_scale(noise: Array, p: Parameters) -> Array:
    return (p["mean"] + p["scale"] * noise).astype(np.float32)


def _standardised(x: Array, p: Parameters) -> tuple[Array, Array]:
    scale = p["scale"].astype(np.float64)
    return (x.astype(np.float64) - p["mean"]) / scale, scale


def _gaussian_log_prob(x: Array, p: Parameters) -> Array:
    eps, scale = _standardised(x, p)
    return -0.5 * eps**2 - np.log(scale) - 0.5 * math.log(2 * math.pi)


def _laplace_log_prob(x: Array, p: Parameters) -> Array:
    eps, scale = _standardised(x, p)
    return -np.abs(eps) - np.log(2 * scale)


def _laplace_noise(rng: np.random.Generator, num_samples: int, event_shape: tuple[int, ...]) -> Array:
    return rng.laplace(size=(num_samples, *event_shape)).astype(np.float32)


def _log_beta_half(a: float) -> float:
    """log B(1/2, a); by its asymptotic series where the difference of two large log-gammas would cancel."""
    if a < 100:
        return math.lgamma(0.5) + math.lgamma(a) - math.lgamma(a + 0.5)
    return math.lgamma(0.5) - 0.5 * math.log(a) + 1 / (8 * a) - 1 / (192 * a**3)


def _continuous_bernoulli(x: Array, p: Parameters) -> Array:
    if np.any((x < 0) | (x > 1)):
        raise ValueError(
            f"Data for ContinuousBernoulli: expected values in [0, 1], received [{x.min():g}, {x.max():g}]. "
            "Scale them to [0, 1]."
        )
    logits = p["logits"].astype(np.float64)
    return (x.astype(np.float64) - 0.5) * logits - _log_sinhc(logits / 2)


def _log_sinhc(t: Array) -> Array:
    """log(sinh(t) / t), with its Taylor series where the closed form cancels."""
    near = np.abs(t) < 0.25
    size = np.where(near, 1.0, np.abs(t))
    square = np.where(near, t, 0.0) ** 2
    series = square * (1 / 6 + square * (-1 / 180 + square * (1 / 2835 - square / 37800)))
    return np.where(near, series, size + np.log1p(-np.exp(-2 * size)) - math.log(2) - np.log(size))


def _continuous_bernoulli_observe(noise: Array, p: Parameters) -> Array:
    logits, u = p["logits"].astype(np.float64), noise.astype(np.float64)
    size = np.maximum(np.abs(logits), 1e-6)
    u = np.where(logits > 0, 1 - u, u)
    with np.errstate(divide="ignore"):  # log(0) where u = 1
        x = np.minimum(-np.log1p(u * np.expm1(-size)) / size, 1.0)
    return np.where(logits > 0, 1 - x, x).astype(np.float32)


def _quantised(
    levels: Levels,
    noise: Callable[[np.random.Generator, int, tuple[int, ...]], Array],
    log_tail: Callable[[Array], Array],
) -> Family:
    """A likelihood that gives a level the mass of its bin; see vae_tf.likelihoods.Gaussian."""

    def observe(noise: Array, p: Parameters) -> Array:
        return levels.nearest(p["loc"] + p["scale"] * noise)

    def log_prob(x: Array, p: Parameters) -> Array:
        return levels.log_bin_mass(levels.index(x), p["loc"], p["scale"], log_tail)

    return Family({"mean": (), "loc": (), "scale": ()}, noise, observe, log_prob)


def _laplace_log_tail(t: Array) -> Array:
    return -t - math.log(2)


_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def _normal_log_tail(t: Array) -> Array:
    """log P(eps > t) for t >= 0, eps standard normal; by its asymptotic series where erfc nears its smallest value."""
    far = t > 25
    square = np.where(far, t, 25.0) ** -2.0
    series = np.log1p(-square * (1 - square * (3 - square * (15 - square * 105))))
    asymptotic = -0.5 * t**2 - np.log(np.where(far, t, 1.0)) - 0.5 * math.log(2 * math.pi) + series
    return np.where(far, asymptotic, np.log(0.5 * _erfc(np.where(far, 0.0, t) * math.sqrt(0.5))))
