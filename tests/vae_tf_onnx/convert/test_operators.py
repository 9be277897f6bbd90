"""Operators that tf2onnx lacks: those written here against scipy and mpmath, all others refused."""

import mpmath
import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
import tf2onnx
import tf_keras as keras
from scipy import special

from vae_tf_onnx import UnsupportedOpError, export_keras, verify
from vae_tf_onnx.convert import _operators

TYPES = {"float32": tf.float32, "float64": tf.float64}


def converted(function, *specs):
    """`function` as onnxruntime runs it, by our handlers alone."""
    traced = tf.function(function, input_signature=specs)
    model, _ = tf2onnx.convert.from_function(
        traced, traced.input_signature, opset=13, custom_op_handlers=_operators.handlers()
    )
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda *arrays: session.run(None, {f"x{i}": array for i, array in enumerate(arrays)})[0]


def elementwise(function, dtype, arity=1):
    return converted(function, *(tf.TensorSpec((None,), TYPES[dtype], name=f"x{i}") for i in range(arity)))


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


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("adjoint", [True, False])
def test_triangular_solve(lower, adjoint):
    rng = np.random.default_rng(0)
    matrix, right = rng.normal(size=(3, 5, 5)).astype(np.float32), rng.normal(size=(3, 5, 2)).astype(np.float32)
    matrix += 5 * np.eye(5, dtype=np.float32)
    specs = tf.TensorSpec((None, 5, 5), name="x0"), tf.TensorSpec((None, 5, 2), name="x1")
    solve = converted(lambda a, b: tf.linalg.triangular_solve(a, b, lower=lower, adjoint=adjoint), *specs)
    triangle = np.tril(matrix) if lower else np.triu(matrix)
    expected = np.linalg.solve((triangle.swapaxes(1, 2) if adjoint else triangle).astype(np.float64), right)
    np.testing.assert_allclose(solve(matrix, right), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("side", ["left", "right"])
def test_search_sorted(side):
    rows = np.sort(np.random.default_rng(0).integers(0, 5, (4, 7)), axis=1).astype(np.float32)
    values = np.tile(np.arange(-1, 6, dtype=np.float32), (4, 1))
    specs = tf.TensorSpec((None, 7), name="x0"), tf.TensorSpec((None, 7), name="x1")
    received = converted(lambda a, b: tf.searchsorted(a, b, side=side), *specs)(rows, values)
    expected = [np.searchsorted(row, value, side=side) for row, value in zip(rows, values, strict=True)]
    np.testing.assert_array_equal(received, expected)


def test_gather_along_the_last_axis(tmp_path):
    """Categorical's log p(x|z); tf2onnx's own translation is invalid."""

    def largest(z):
        return tf.gather(tf.reshape(z, (-1, 2, 2)), tf.argmax(tf.reshape(z, (-1, 2, 2)), -1)[..., None], batch_dims=2)

    folder = export_keras(decoder(lambda z: tf.reshape(largest(z), (-1, 2))), tmp_path / "bundle")
    assert verify(folder)["decoder/mean"] == 0


def decoder(function, name="odd"):
    """A Keras decoder of 4 latents with a layer of this function."""

    class Layer(keras.layers.Layer):
        def call(self, inputs):
            return function(inputs)

    z = keras.Input((4,))
    return keras.Model(z, keras.layers.Dense(3)(Layer(name=name)(z)))


def broadcast_to_each_other(z):
    shape = tf.broadcast_dynamic_shape(tf.shape(z), tf.shape(z[:1]))
    return tf.broadcast_to(z[:1], shape) + z


WORKING = {
    "BroadcastArgs": broadcast_to_each_other,
    "Erfc": tf.math.erfc,
    "Erfinv": lambda z: tf.math.erfinv(tf.tanh(z)),
    "Expm1": tf.math.expm1,
    "Lgamma": tf.math.lgamma,
    "Log1p": lambda z: tf.math.log1p(tf.abs(z)),
    "MulNoNan": lambda z: tf.math.multiply_no_nan(z, tf.round(z)),
    "Ndtri": lambda z: tf.math.ndtri(tf.sigmoid(z)),
    "Xlogy": lambda z: tf.math.xlogy(tf.abs(z), tf.abs(z)),
    "gelu": tf.nn.gelu,
    "gelu_tanh": lambda z: tf.nn.gelu(z, approximate=True),
    "softplus in float64": lambda z: tf.cast(tf.math.softplus(tf.cast(z, tf.float64)), tf.float32),
}


@pytest.mark.parametrize("name", WORKING)
def test_layers_of_such_operators(tmp_path, name):
    folder = export_keras(decoder(WORKING[name]), tmp_path / "bundle")
    assert verify(folder)["decoder/mean"] < 1e-5


def generator_normal(z):
    return z + tf.random.get_global_generator().normal(tf.shape(z))


RANDOM = {
    "RandomStandardNormal": lambda z: z + tf.random.normal(tf.shape(z), seed=1),
    "RandomUniform": lambda z: z + tf.random.uniform(tf.shape(z), seed=1),
    "TruncatedNormal": lambda z: z + tf.random.truncated_normal(tf.shape(z), seed=1),
    "RandomUniformInt": lambda z: z + tf.cast(tf.random.uniform(tf.shape(z), 0, 9, tf.int32), tf.float32),
    "Multinomial": lambda z: tf.cast(tf.random.categorical(z, 4), tf.float32),
    "RandomGamma": lambda z: z + tf.random.gamma((4,), 1.0),
    "RandomPoissonV2": lambda z: z + tf.random.poisson((4,), 1.0),
    "RandomShuffle": tf.random.shuffle,
    "StatelessRandomNormalV2": lambda z: z + tf.random.stateless_normal(tf.shape(z), (1, 2)),
    "StatelessRandomUniformV2": lambda z: z + tf.random.stateless_uniform(tf.shape(z), (1, 2)),
    "StatelessTruncatedNormalV2": lambda z: z + tf.random.stateless_truncated_normal(tf.shape(z), (1, 2)),
    "StatelessMultinomial": lambda z: tf.cast(tf.random.stateless_categorical(z, 4, (1, 2)), tf.float32),
    "RngReadAndSkip": generator_normal,
    "dropout": lambda z: tf.nn.dropout(z, 0.5, seed=1),
}
UNKNOWN = {
    "Digamma": tf.math.digamma,
    "BesselI0e": tf.math.bessel_i0e,
    "EagerPyFunc": lambda z: tf.ensure_shape(tf.py_function(lambda x: x, [z], tf.float32), (None, 4)),
    "FFT": lambda z: tf.math.real(tf.signal.fft(tf.cast(z, tf.complex64))),
    "Cast": lambda z: tf.cast(tf.cast(z, tf.bfloat16) * 2, tf.float32),
    "Atan": lambda z: tf.cast(tf.atan(tf.cast(z, tf.float64)), tf.float32),  # ONNX has it, onnxruntime's CPU has not
}


@pytest.mark.parametrize("name", [*RANDOM, *UNKNOWN])
def test_no_file_of_what_cannot_be_exported(tmp_path, name):
    model = decoder((RANDOM | UNKNOWN)[name])
    with pytest.raises(UnsupportedOpError, match="of layer 'odd': expected an operator of ONNX opset 17") as caught:
        export_keras(model, tmp_path / "bundle")
    assert caught.value.op == {"dropout": "RandomUniform"}.get(name, name)
    assert caught.value.layer == "odd"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("policy", ["bfloat16", "mixed_bfloat16"])
def test_bfloat16_policies(tmp_path, policy):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, dtype=policy, name="half")])
    with pytest.raises(UnsupportedOpError, match=r"of layer 'half': expected .* received one in bfloat16"):
        export_keras(model, tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_other_conversions_do_not_change(tmp_path):
    """The handlers belong to the one call: without them tf2onnx still knows no Erfc."""
    elementwise(tf.math.erfc, "float32")
    traced = tf.function(tf.math.erfc, input_signature=[tf.TensorSpec((None,), name="x")])
    model, _ = tf2onnx.convert.from_function(traced, traced.input_signature, opset=13)
    assert "Erfc" in {node.op_type for node in model.graph.node}
