"""Special functions in ONNX operators, against scipy and mpmath."""

import mpmath
import numpy as np
import pytest
import tensorflow as tf
from converted_functions import TYPES, elementwise
from scipy import special


def magnitudes(dtype):
    """From the smallest to the largest normal number."""
    info = np.finfo(dtype)
    exponents = [np.linspace(np.log10(float(info.tiny)) + 0.01, np.log10(float(info.max)) - 0.01, 2000)]
    exponents.append(np.linspace(-8, 3, 20000))
    return (10.0 ** np.concatenate(exponents)).astype(dtype)


def domain(name, dtype):
    positive = magnitudes(dtype)
    both = np.concatenate([-positive, np.zeros(1, dtype), positive])
    near_one = (1 - 10.0 ** np.linspace(-15, -0.1, 2000)).astype(dtype)
    return {
        "log1p": both[both >= -1],
        "lgamma": both[both > -1e5],
        "erfinv": np.concatenate([both[np.abs(both) <= 1], near_one, -near_one]),
        "ndtri": np.concatenate([positive[positive <= 1], near_one]),
    }.get(name, both)


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


FUNCTIONS = {
    "erf": (tf.math.erf, special.erf, 8),
    "erfc": (tf.math.erfc, special.erfc, 300),  # scipy's own error: see test_far_tail
    "erfinv": (tf.math.erfinv, special.erfinv, 60),
    "expm1": (tf.math.expm1, special.expm1, 4),
    "lgamma": (tf.math.lgamma, special.gammaln, 60),
    "log1p": (tf.math.log1p, special.log1p, 4),
    "ndtri": (tf.math.ndtri, special.ndtri, 60),
    "softplus": (tf.math.softplus, softplus, 4),
}
"""TensorFlow's function, its reference, and the error allowed in float64 in units of its epsilon: 4 in float32."""


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_special_functions(name, dtype):
    function, reference, allowed = FUNCTIONS[name]
    x, info = domain(name, dtype), np.finfo(dtype)
    received = elementwise(function, dtype)(x)
    with np.errstate(all="ignore"):
        wanted = reference(x.astype(np.float64))
        expected = wanted.astype(dtype)
    size = np.abs(wanted)
    if name == "lgamma":  # its zeros at 1 and 2 are of the first order: the error is absolute there
        size = np.maximum(size, 1.0)
    normal = np.isfinite(expected) & (size >= info.tiny)
    error = np.abs(received[normal].astype(np.float64) - wanted[normal]) / size[normal]
    assert error.max() <= (4 if dtype == "float32" else allowed) * info.eps
    np.testing.assert_array_equal(received[~np.isfinite(expected)], expected[~np.isfinite(expected)])
    tiny = np.isfinite(expected) & (size < info.tiny)
    assert np.abs(received[tiny] - expected[tiny]).max(initial=0) <= info.tiny


@pytest.mark.parametrize("dtype", TYPES)
def test_far_tail(dtype):
    """erfc is right, relative to itself, where it is all but 0, so that its logarithm is; 50 digits."""
    x = np.linspace(-6, 9 if dtype == "float32" else 26, 400).astype(dtype)
    received = elementwise(tf.math.erfc, dtype)(x)
    with mpmath.workdps(50):
        ratios = [mpmath.mpf(float(r)) / mpmath.erfc(mpmath.mpf(float(v))) for r, v in zip(received, x, strict=True)]
        error = float(max(abs(ratio - 1) for ratio in ratios))
    assert error < (4 if dtype == "float32" else 30) * np.finfo(dtype).eps


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(
    "function", [tf.math.xlogy, tf.math.xlog1py, tf.math.xdivy, tf.math.multiply_no_nan], ids=lambda f: f.__name__
)
def test_products_that_are_zero_where_a_factor_is(function, dtype):
    left, right = (-2, -0.5, 0, 1e-3, 3, np.inf, -np.inf, np.nan), (0, 1e-30, -0.5, 0.5, 1, 1e30, np.inf, np.nan)
    x, y = (axis.ravel().astype(dtype) for axis in np.meshgrid(left, right))
    received = elementwise(function, dtype, arity=2)(x, y)
    np.testing.assert_allclose(received, function(x, y), rtol=10 * np.finfo(dtype).eps)
