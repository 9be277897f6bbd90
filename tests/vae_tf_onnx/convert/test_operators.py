"""Custom handlers for operators that tf2onnx lacks."""

import numpy as np
import pytest
import tensorflow as tf
import tf2onnx
from converted_functions import converted, elementwise
from keras_decoders import with_function

from vae_tf_onnx import export_keras, verify


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
    folder = export_keras(with_function(WORKING[name]), tmp_path / "bundle")
    assert verify(folder)["decoder/mean"] < 1e-5


def test_other_conversions_do_not_change(tmp_path):
    """The handlers belong to the one call: without them tf2onnx still knows no Erfc."""
    elementwise(tf.math.erfc, "float32")
    traced = tf.function(tf.math.erfc, input_signature=[tf.TensorSpec((None,), name="x")])
    model, _ = tf2onnx.convert.from_function(traced, traced.input_signature, opset=13)
    assert "Erfc" in {node.op_type for node in model.graph.node}
