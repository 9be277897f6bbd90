"""The continuous likelihoods, quantised or not, and their log p(x|z) from scipy and mpmath."""

import functools

import mpmath
import numpy as np
import tensorflow as tf
from models import SHAPE
from scipy import stats

from vae_tf.likelihoods import ContinuousBernoulli, Gaussian, Laplace, StudentT
from vae_tf_onnx.families import continuous as twins


def exact(function):
    """`function` of mpmath numbers, elementwise over float arrays, with 50 digits."""

    @functools.cache
    def at(*values):
        with mpmath.workdps(50):
            return float(function(*map(mpmath.mpf, values)))

    return np.vectorize(lambda *values: at(*map(float, values)), otypes=[np.float64])


@exact
def continuous_bernoulli(x, logits):
    half = logits / 2
    return x * logits - half - (mpmath.log(mpmath.sinh(half) / half) if logits else 0)


@exact
def continuous_bernoulli_mean(logits):
    return 0.5 + (mpmath.coth(logits / 2) / 2 - 1 / logits if logits else 0)


def normal_above(t):
    return mpmath.erfc(t / mpmath.sqrt(2)) / 2


def laplace_above(t):
    return mpmath.exp(-t) / 2 if t > 0 else 1 - mpmath.exp(t) / 2


def log_mass(above, levels):
    """log of the mass of x's bin, from P(eps > t): the reference of a quantised likelihood."""

    @exact
    def reference(x, loc, scale):
        index, width = mpmath.nint(x * (levels - 1)), mpmath.mpf(1) / (levels - 1)
        lower, upper = (((index + half) * width - loc) / scale for half in (mpmath.mpf(-0.5), mpmath.mpf(0.5)))
        if index == 0:
            return mpmath.log(above(-upper))
        if index == levels - 1:
            return mpmath.log(above(lower))
        if lower + upper < 0:
            lower, upper = -upper, -lower
        return mpmath.log(above(lower) - above(upper))

    return reference


def quantised_mean(above, levels):
    @exact
    def reference(loc, scale):
        width = mpmath.mpf(1) / (levels - 1)
        return width * sum(above(((j + mpmath.mpf(0.5)) * width - loc) / scale) for j in range(levels - 1))

    return reference


def _summed(terms):
    return terms.sum(axis=(1, 2, 3))


def gaussian_reference(likelihood, x, p):
    return _summed(stats.norm.logpdf(x.astype(np.float64), p["mean"], p["scale"]))


def laplace_reference(likelihood, x, p):
    return _summed(stats.laplace.logpdf(x.astype(np.float64), p["mean"], p["scale"]))


def student_t_reference(likelihood, x, p):
    return _summed(stats.t.logpdf(x.astype(np.float64), likelihood.df, p["mean"], p["scale"].astype(np.float64)))


def continuous_bernoulli_reference(likelihood, x, p):
    return _summed(continuous_bernoulli(x, p["logits"]))


def quantised_reference(likelihood, x, p):
    above = normal_above if isinstance(likelihood, Gaussian) else laplace_above
    return _summed(log_mass(above, likelihood.levels)(x, p["loc"], p["scale"]))


SCALES = (0.3, "learned", "optimal", "per_dimension", "per_pixel")

CASES = {
    "continuous_bernoulli": (lambda: ContinuousBernoulli(SHAPE), continuous_bernoulli_reference),
    "gaussian_quantised": (lambda: Gaussian(SHAPE, scale=0.3, quantised=True, levels=256), quantised_reference),
    "gaussian_quantised_per_pixel": (
        lambda: Gaussian(SHAPE, scale="per_pixel", quantised=True, levels=16),
        quantised_reference,
    ),
    "laplace_quantised": (lambda: Laplace(SHAPE, scale="optimal", quantised=True, levels=256), quantised_reference),
    "laplace_quantised_binary": (lambda: Laplace(SHAPE, scale=0.01, quantised=True, levels=2), quantised_reference),
}
for _scale in SCALES:
    CASES[f"gaussian_{_scale}"] = (functools.partial(Gaussian, SHAPE, scale=_scale), gaussian_reference)
    CASES[f"laplace_{_scale}"] = (functools.partial(Laplace, SHAPE, scale=_scale), laplace_reference)
    CASES[f"student_t_{_scale}"] = (functools.partial(StudentT, SHAPE, 3.0, scale=_scale), student_t_reference)

SUPPORT = {
    "continuous_bernoulli": np.linspace(0, 1, 10001),
    "gaussian_quantised": np.arange(256) / 255,
    "gaussian_quantised_per_pixel": np.arange(16) / 15,
    "laplace_quantised": np.arange(256) / 255,
    "laplace_quantised_binary": np.arange(2.0),
}
"""Of the cases whose support is not the reals: all values of a mass, a grid over a density."""

TWINS = {
    ContinuousBernoulli: twins.continuous_bernoulli,
    Gaussian: twins.gaussian,
    Laplace: twins.laplace,
    StudentT: twins.student_t,
}
ABOVE = {Gaussian: normal_above, Laplace: laplace_above}


def grid(*axes):
    """All combinations, a float32 column `[n, 1]` for each axis."""
    return [np.asarray(axis, np.float32).reshape(-1, 1) for axis in np.meshgrid(*axes, indexing="ij")]


def checked_log_prob(likelihood, x, parameters):
    """log p(x|z) `[B]`, eagerly; in a graph it is the same."""
    eager = likelihood.distribution(parameters).log_prob(x)
    graph = tf.function(lambda x, parameters: likelihood.distribution(parameters).log_prob(x))(
        tf.constant(x), parameters
    )
    np.testing.assert_allclose(graph, eager, rtol=1e-6)
    return eager.numpy()


def gradients(likelihood, x, parameters):
    parameters = {name: tf.constant(value) for name, value in parameters.items()}
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        value = likelihood.distribution(parameters).log_prob(x)
    return tape.gradient(value, parameters, unconnected_gradients="zero")
