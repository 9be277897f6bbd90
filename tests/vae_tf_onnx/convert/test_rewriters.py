"""Patterns of TensorFlow operators that are rewritten: GELU and gather."""

import onnx
import tensorflow as tf
from keras_decoders import DECODERS, with_function

from vae_tf_onnx import export_keras, verify
from vae_tf_onnx.bundle import GRAPHS


def test_gelu_is_what_onnxruntime_fuses(tmp_path):
    graph = onnx.load(export_keras(DECODERS["gelu"](), tmp_path / "bundle") / GRAPHS["decoder"]).graph
    kinds = [node.op_type for node in graph.node]
    assert kinds.count("Erf") == 1
    assert "Exp" not in kinds


def test_gather_along_the_last_axis(tmp_path):
    """Categorical's log p(x|z); tf2onnx's own translation is invalid."""

    def largest(z):
        return tf.gather(tf.reshape(z, (-1, 2, 2)), tf.argmax(tf.reshape(z, (-1, 2, 2)), -1)[..., None], batch_dims=2)

    model = with_function(lambda z: tf.reshape(largest(z), (-1, 2)), kernel_initializer="ones")
    assert verify(export_keras(model, tmp_path / "bundle"))["decoder/mean"] == 0
