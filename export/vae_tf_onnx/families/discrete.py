"""Masses on grey levels and on counts, in numpy."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np

from vae_tf_onnx.families._base import Array, Config, Family, Parameters, outside, uniform_noise
from vae_tf_onnx.families.levels import Levels

_HALF_STEP = 2.0**-25  # of uniform float32 noise, which may be 0
_COUNTS = "whole numbers of at least 0"


def discretized_logistic(config: Config) -> Family:
    """See vae_tf.likelihoods.DiscretizedLogistic."""
    levels = Levels.of("DiscretizedLogistic", config)

    def observe(noise: Array, p: Parameters) -> Array:
        return levels.nearest(_quantile(noise, p["loc"], p["scale"]))

    def log_prob(x: Array, p: Parameters) -> Array:
        return _log_mass(levels.index(x), p["loc"], p["scale"], levels)

    return Family({"mean": (), "loc": (), "scale": ()}, uniform_noise, observe, log_prob)


def mixture_of_logistics(config: Config) -> Family:
    """See vae_tf.likelihoods.MixtureOfLogistics."""
    levels, count = Levels.of("MixtureOfLogistics", config), int(config["components"])

    def noise(rng: np.random.Generator, num_samples: int, event_shape: tuple[int, ...]) -> Array:
        return uniform_noise(rng, num_samples, (*event_shape, 2))

    def observe(noise: Array, p: Parameters) -> Array:
        pick = _pick(noise[..., 0], p["logits"])[..., None]
        loc, scale = (np.take_along_axis(p[name], pick, axis=-1)[..., 0] for name in ("locs", "scales"))
        return levels.nearest(_quantile(noise[..., 1], loc, scale))

    def log_prob(x: Array, p: Parameters) -> Array:
        masses = _log_mass(levels.index(x)[..., None], p["locs"], p["scales"], levels)
        return _logsumexp(_log_softmax(p["logits"]) + masses)

    axes: dict[str, tuple[int, ...]] = dict.fromkeys(("logits", "locs", "scales"), (count,))
    return Family(axes | {"mean": ()}, noise, observe, log_prob)


def categorical(config: Config) -> Family:
    """See vae_tf.likelihoods.Categorical."""
    levels = Levels.of("Categorical", config)

    def observe(noise: Array, p: Parameters) -> Array:
        return (_pick(noise, p["logits"]) * levels.width).astype(np.float32)

    def log_prob(x: Array, p: Parameters) -> Array:
        index = levels.index(x).astype(int)[..., None]
        return np.take_along_axis(_log_softmax(p["logits"]), index, axis=-1)[..., 0]

    return Family({"mean": (), "logits": (levels.count,)}, uniform_noise, observe, log_prob)


def poisson(config: Config) -> Family:
    """See vae_tf.likelihoods.Poisson."""

    def draw(rng: np.random.Generator, mean: Array) -> Array:
        return rng.poisson(mean)

    def log_prob(x: Array, p: Parameters) -> Array:
        x, mean = _counts("Poisson", x), p["mean"].astype(np.float64)
        return x * np.log(mean) - mean - _log_gamma(x + 1)

    return Family({"mean": ()}, _seeds, functools.partial(_observe_counts, draw, ("mean",)), log_prob)


def negative_binomial(config: Config) -> Family:
    """See vae_tf.likelihoods.NegativeBinomial; with a library size log_prob is a score of x at its own total."""
    names, library_size = ("mean", "dispersion"), config["library_size"]

    def draw(rng: np.random.Generator, mean: Array, dispersion: Array) -> Array:
        return rng.poisson(rng.gamma(1 / dispersion, dispersion * mean))

    def log_prob(x: Array, p: Parameters) -> Array:
        x, mean, dispersion = _counts("NegativeBinomial", x), *(p[name].astype(np.float64) for name in names)
        return _negative_binomial_log_prob(x, _at_own_total(x, mean) if library_size else mean, dispersion)

    return Family(dict.fromkeys(names, ()), _seeds, functools.partial(_observe_counts, draw, names), log_prob)


def zero_inflated_negative_binomial(config: Config) -> Family:
    """See vae_tf.likelihoods.ZeroInflatedNegativeBinomial, and negative_binomial for the library size."""
    names, library_size = ("component_mean", "dispersion", "zero_logits"), config["library_size"]

    def draw(rng: np.random.Generator, mean: Array, dispersion: Array, logits: Array) -> Array:
        counts = rng.poisson(rng.gamma(1 / dispersion, dispersion * mean))
        return np.where(rng.random(counts.shape) < np.exp(-np.logaddexp(0, -logits)), 0, counts)

    def log_prob(x: Array, p: Parameters) -> Array:
        mean, dispersion, logits = (p[name].astype(np.float64) for name in names)
        x = _counts("ZeroInflatedNegativeBinomial", x)
        mean = _at_own_total(x, mean) if library_size else mean
        above = -np.logaddexp(0, logits) + _negative_binomial_log_prob(x, mean, dispersion)
        return np.where(x > 0, above, _log_zero(-np.log1p(dispersion * mean) / dispersion, logits))

    axes: dict[str, tuple[int, ...]] = dict.fromkeys(("mean", *names), ())
    return Family(axes, _seeds, functools.partial(_observe_counts, draw, names), log_prob)


def _log_mass(index: Array, loc: Array, scale: Array, levels: Levels) -> Array:
    """The form of Levels.log_bin_mass that the logistic has; see vae_tf.likelihoods._logistic.log_mass."""
    scale = scale.astype(np.float64)
    distance = index * levels.width - loc.astype(np.float64)
    log_below = -np.logaddexp(0, (-0.5 * levels.width - distance) / scale)
    log_above = -np.logaddexp(0, (distance - 0.5 * levels.width) / scale)
    inner = log_below + log_above + np.log(-np.expm1(-levels.width / scale))
    return np.where(index == 0, log_below, np.where(index == levels.count - 1, log_above, inner))


def _quantile(uniform: Array, loc: Array, scale: Array) -> Array:
    uniform = np.maximum(uniform, _HALF_STEP)
    return loc + scale * (np.log(uniform) - np.log1p(-uniform))


def _pick(uniform: Array, logits: Array) -> Array:
    """The number of the class at each uniform number: the classes whose cumulative probability it has passed."""
    passed = np.cumsum(np.exp(_log_softmax(logits)), axis=-1)[..., :-1]
    return (uniform[..., None].astype(np.float64) + _HALF_STEP >= passed).sum(axis=-1)


def _logsumexp(values: Array) -> Array:
    top = values.max(axis=-1)
    return top + np.log(np.exp(values - top[..., None]).sum(axis=-1))


def _log_softmax(logits: Array) -> Array:
    logits = logits.astype(np.float64)
    return logits - _logsumexp(logits)[..., None]


def _seeds(rng: np.random.Generator, num_samples: int, event_shape: tuple[int, ...]) -> Array:
    """One seed per draw, uint32."""
    return rng.integers(2**32, size=num_samples, dtype=np.uint32)


def _observe_counts(draw: Callable[..., Array], names: tuple[str, ...], seeds: Array, p: Parameters) -> Array:
    draws = np.empty(p["mean"].shape, np.float32)
    for i, seed in enumerate(seeds):
        draws[i] = draw(np.random.default_rng(int(seed)), *(p[name][i].astype(np.float64) for name in names))
    return draws


def _at_own_total(x: Array, mean: Array) -> Array:
    """Means scaled to the sum of x."""
    axes = tuple(range(1, x.ndim))
    return mean * (x.sum(axes, keepdims=True) / mean.sum(axes, keepdims=True))


def _log_zero(log_none: Array, logits: Array) -> Array:
    """The log of pi + (1 - pi) exp(log_none), where it is near 0 as well."""
    beyond = np.exp(-np.logaddexp(0, logits)) * np.expm1(log_none)
    sum_of_both = np.logaddexp(-np.logaddexp(0, -logits), -np.logaddexp(0, logits) + log_none)
    return np.where(beyond > -0.5, np.log1p(np.maximum(beyond, -0.5)), sum_of_both)


def _negative_binomial_log_prob(x: Array, mean: Array, dispersion: Array) -> Array:
    """The Gammas by Stirling's formula and what it misses, so that they do not cancel where alpha is small."""
    count = 1 / dispersion
    power = x * np.log(np.where(mean > 0, mean, 1.0))  # a mean is 0 only where the total of x is
    ratio = (x + count) * np.log1p(dispersion * (x - mean) / (1 + dispersion * mean))
    missing = _beyond_stirling(x + count) - _beyond_stirling(count) - 0.5 * np.log1p(dispersion * x)
    return power - x - _log_gamma(x + 1) + missing + ratio


def _beyond_stirling(z: Array) -> Array:
    """log Gamma(z) - ((z - 1/2) log z - z + log(2 pi) / 2)."""
    large, square = np.maximum(z, 10.0), np.maximum(z, 10.0) ** -2
    series = (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square * (1 / 1680 - square / 1188)))) / large
    small = np.minimum(z, 10.0)
    exact = _log_gamma(small) - ((small - 0.5) * np.log(small) - small + 0.5 * math.log(2 * math.pi))
    return np.where(z > 10, series, exact)


_log_gamma = np.vectorize(math.lgamma, otypes=[np.float64])


def _counts(family: str, x: Array) -> Array:
    if not np.all((x >= 0) & (x < np.inf) & (x == np.rint(x))):
        raise outside(family, _COUNTS, x)
    return x.astype(np.float64)
