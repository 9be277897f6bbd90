"""Masses on grey levels and on counts, in numpy."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vae_tf_onnx.families._base import Array, Config, Family, Parameters, uniform_noise

_HALF_STEP = 2.0**-25  # of uniform float32 noise, which may be 0
_TOLERANCE = 1e-3  # of a level
_COUNTS = "whole numbers of at least 0"


@dataclass(frozen=True)
class _Levels:
    """See vae_tf.likelihoods.levels.Levels."""

    family: str
    count: int
    peak: float

    @property
    def width(self) -> float:
        return self.peak / (self.count - 1)

    def index(self, x: Array) -> Array:
        index = np.rint(x.astype(np.float64) / self.width)
        if not np.all((np.abs(x / self.width - index) < _TOLERANCE) & (index >= 0) & (index < self.count)):
            raise _outside(self.family, f"{self.count} levels from 0 to {self.peak:g}", x)
        return index

    def nearest(self, x: Array) -> Array:
        return (np.clip(np.rint(x / self.width), 0, self.count - 1) * self.width).astype(np.float32)


def _levels(family: str, config: Config) -> _Levels:
    levels = config["levels"]
    return _Levels(family, 256, 255.0) if levels is None else _Levels(family, int(levels), 1.0)


def discretized_logistic(config: Config) -> Family:
    """See vae_tf.likelihoods.DiscretizedLogistic."""
    levels = _levels("DiscretizedLogistic", config)

    def observe(noise: Array, p: Parameters) -> Array:
        return levels.nearest(_quantile(noise, p["loc"], p["scale"]))

    def log_prob(x: Array, p: Parameters) -> Array:
        return _log_mass(levels.index(x), p["loc"], p["scale"], levels)

    return Family({"mean": (), "loc": (), "scale": ()}, uniform_noise, observe, log_prob)


def mixture_of_logistics(config: Config) -> Family:
    """See vae_tf.likelihoods.MixtureOfLogistics."""
    levels, count = _levels("MixtureOfLogistics", config), int(config["components"])

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
    levels = _levels("Categorical", config)

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
    """See vae_tf.likelihoods.NegativeBinomial; with a library size, log_prob is at the total of x."""
    names, library_size = ("mean", "dispersion"), config["library_size"]

    def draw(rng: np.random.Generator, mean: Array, dispersion: Array) -> Array:
        return rng.poisson(rng.gamma(1 / dispersion, dispersion * mean))

    def log_prob(x: Array, p: Parameters) -> Array:
        x, mean, dispersion = _counts("NegativeBinomial", x), *(p[name].astype(np.float64) for name in names)
        if library_size:
            axes = tuple(range(1, x.ndim))
            mean = mean * (x.sum(axes, keepdims=True) / mean.sum(axes, keepdims=True))
        return _negative_binomial_log_prob(x, mean, dispersion)

    return Family(dict.fromkeys(names, ()), _seeds, functools.partial(_observe_counts, draw, names), log_prob)


def _log_mass(index: Array, loc: Array, scale: Array, levels: _Levels) -> Array:
    """See vae_tf.likelihoods._logistic.log_mass."""
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
        raise _outside(family, _COUNTS, x)
    return x.astype(np.float64)


def _outside(family: str, expected: str, x: Array) -> ValueError:
    remedy = "Pass data as the model was trained on."
    return ValueError(f"Data for {family}: expected {expected}, received [{x.min():g}, {x.max():g}]. {remedy}")
