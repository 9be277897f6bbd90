"""The discrete likelihoods for the shared contract, beside references that know nothing of TensorFlow."""

import functools
import json

import mpmath
import numpy as np
import tensorflow as tf
from models import SHAPE
from scipy import special, stats

from vae_tf.likelihoods import (
    Categorical,
    DiscretizedLogistic,
    MixtureOfLogistics,
    NegativeBinomial,
    Poisson,
    ZeroInflatedNegativeBinomial,
)
from vae_tf_onnx.families import LIKELIHOODS

mpmath.mp.dps = 50


def level_of(likelihood, x):
    return np.rint(x.astype(np.float64) / likelihood.grid.width)


@functools.partial(np.frompyfunc, nin=5, nout=1)
def logistic_mass(index, loc, scale, width, count):
    """The mass of a level's bin, 50 digits; its mirror image where the bin is below loc, for all 50 to count."""
    below, above = (((int(index) + half) * width - mpmath.mpf(float(loc))) / float(scale) for half in (-0.5, 0.5))
    if index == 0:
        return 1 / (1 + mpmath.exp(-above))
    if index == count - 1:
        return 1 / (1 + mpmath.exp(below))
    near, far = (-above, -below) if above < 0 else (below, above)
    return 1 / (1 + mpmath.exp(near)) - 1 / (1 + mpmath.exp(far))


def exact_width(likelihood):
    return mpmath.mpf(likelihood.grid.peak) / (likelihood.grid.count - 1)


def mpmath_log(values):
    return np.frompyfunc(mpmath.log, 1, 1)(values).astype(np.float64)


def discretized_logistic(likelihood, x, parameters):
    width, count = exact_width(likelihood), likelihood.grid.count
    masses = logistic_mass(level_of(likelihood, x), parameters["loc"], parameters["scale"], width, count)
    return sum_of_event(mpmath_log(masses))


def mixture_of_logistics(likelihood, x, parameters):
    width, count = exact_width(likelihood), likelihood.grid.count
    index = level_of(likelihood, x)[..., None]
    masses = logistic_mass(index, parameters["locs"], parameters["scales"], width, count)
    weights = np.frompyfunc(mpmath.exp, 1, 1)(parameters["logits"].astype(np.float64).astype(object))
    return sum_of_event(mpmath_log((weights * masses).sum(axis=-1) / weights.sum(axis=-1)))


def categorical(likelihood, x, parameters):
    log_probs = special.log_softmax(parameters["logits"].astype(np.float64), axis=-1)
    return sum_of_event(np.take_along_axis(log_probs, level_of(likelihood, x).astype(int)[..., None], axis=-1)[..., 0])


def poisson(likelihood, x, parameters):
    return sum_of_event(stats.poisson.logpmf(x.astype(np.float64), parameters["mean"].astype(np.float64)))


def negative_binomial(likelihood, x, parameters):
    x, mean, dispersion = (np.asarray(v, np.float64) for v in (x, parameters["mean"], parameters["dispersion"]))
    count = 1 / dispersion
    choices = special.gammaln(x + count) - special.gammaln(count) - special.gammaln(x + 1)
    return sum_of_event(choices + special.xlogy(x, dispersion * mean) - (x + count) * np.log1p(dispersion * mean))


@functools.partial(np.frompyfunc, nin=4, nout=1)
def zero_inflated_mass(x, mean, dispersion, logits):
    """log p(x), 50 digits."""
    x, mean, dispersion, logits = (mpmath.mpf(float(value)) for value in (x, mean, dispersion, logits))
    count, odds = 1 / dispersion, mpmath.exp(logits)  # odds of an extra zero
    log_none = -count * mpmath.log1p(mean / count)
    if x == 0 and log_none > -1:
        return float(mpmath.log1p(mpmath.expm1(log_none) / (1 + odds)))
    if x == 0:
        return float(mpmath.log(odds + mpmath.exp(log_none)) - mpmath.log1p(odds))
    choices = mpmath.loggamma(x + count) - mpmath.loggamma(count) - mpmath.loggamma(x + 1)
    return float(choices + x * mpmath.log(mean / (mean + count)) + log_none - mpmath.log1p(odds))


def zero_inflated(likelihood, x, parameters):
    values = (parameters[name] for name in ("component_mean", "dispersion", "zero_logits"))
    return sum_of_event(zero_inflated_mass(x, *values).astype(np.float64))


def sum_of_event(terms):
    return terms.sum(axis=tuple(range(1, terms.ndim)))


CASES = {
    "discretized_logistic": (lambda: DiscretizedLogistic(SHAPE), discretized_logistic),
    "discretized_logistic_256": (lambda: DiscretizedLogistic(SHAPE, levels=256), discretized_logistic),
    "discretized_logistic_2": (lambda: DiscretizedLogistic(SHAPE, levels=2), discretized_logistic),
    "mixture_of_logistics": (lambda: MixtureOfLogistics(SHAPE, 3), mixture_of_logistics),
    "mixture_of_logistics_16": (lambda: MixtureOfLogistics(SHAPE, 2, levels=16), mixture_of_logistics),
    "categorical": (lambda: Categorical(SHAPE), categorical),
    "categorical_17": (lambda: Categorical(SHAPE, levels=17), categorical),
    "poisson": (lambda: Poisson(SHAPE), poisson),
    "negative_binomial": (lambda: NegativeBinomial(SHAPE), negative_binomial),
    "negative_binomial_network": (lambda: NegativeBinomial(SHAPE, dispersion="network"), negative_binomial),
    "negative_binomial_fixed": (lambda: NegativeBinomial(SHAPE, dispersion=0.3), negative_binomial),
    "negative_binomial_library": (lambda: NegativeBinomial(SHAPE, library_size=True), negative_binomial),
    "zero_inflated": (lambda: ZeroInflatedNegativeBinomial(SHAPE), zero_inflated),
    "zero_inflated_network": (lambda: ZeroInflatedNegativeBinomial(SHAPE, dispersion="network"), zero_inflated),
    "zero_inflated_fixed": (lambda: ZeroInflatedNegativeBinomial(SHAPE, dispersion=0.3), zero_inflated),
    "zero_inflated_library": (lambda: ZeroInflatedNegativeBinomial(SHAPE, library_size=True), zero_inflated),
}

RAW = (-50.0, -3.0, 0.0, 0.4, 50.0)


def extreme_inputs(likelihood, seed=0):
    """Network outputs from RAW, all equal in the first rows, in random combination in the others."""
    mixed = np.random.default_rng(seed).choice(RAW, size=(15, *likelihood.parameter_shape))
    equal = np.broadcast_to(np.reshape(RAW, (-1, 1)), (len(RAW), *likelihood.parameter_shape))
    return np.concatenate([equal, mixed]).astype(np.float32)


def numpy_parameters(likelihood, p):
    """What a graph puts out: the parameters `[B, *E, ...]` and the mean."""
    parameters = likelihood.parameters_of(p)
    mean = likelihood.mean(parameters).numpy()
    extra = {name: np.shape(value)[mean.ndim :] for name, value in parameters.items()}
    full = {name: np.broadcast_to(value, mean.shape + extra[name]) for name, value in parameters.items()}
    return full | {"mean": mean}


def twin(likelihood):
    return LIKELIHOODS[type(likelihood).__name__](json.loads(json.dumps(likelihood.get_config())))


def gradient(likelihood, raw, x):
    raw = tf.constant(raw)
    with tf.GradientTape() as tape:
        tape.watch(raw)
        loss = likelihood(raw).log_prob(x)
    return tape.gradient(loss, raw).numpy()
