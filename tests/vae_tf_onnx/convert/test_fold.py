"""The folding of batch normalisations into transposed convolutions."""

import numpy as np
import onnx
import pytest
from keras_decoders import image, network
from tf_keras import layers

from vae_tf_onnx import Decoder, export_keras, verify
from vae_tf_onnx.bundle import GRAPHS


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("use_bias", [True, False])
def test_batch_normalization_is_folded(tmp_path, padding, use_bias):
    """Neither tf2onnx nor onnxruntime does; each graph has two, one with an activation behind it."""

    def block(channels, strides):
        options = {"strides": strides, "padding": padding, "use_bias": use_bias}
        return [layers.Conv2DTranspose(channels, 3, **options), layers.BatchNormalization(epsilon=1e-2)]

    model = network(layers.Reshape((2, 2, 2)), *block(5, 2), layers.ReLU(), *block(3, 1))
    folder = export_keras(model, tmp_path / "bundle")
    graph = onnx.load(folder / GRAPHS["decoder"]).graph
    assert [node.op_type for node in graph.node if node.op_type == "ConvTranspose"] == ["ConvTranspose"] * 2
    assert not {node.op_type for node in graph.node} & {"BatchNormalization", "Mul", "Add", "Sub", "Div"}
    assert len(graph.initializer) <= 2 * 2 + 2, "kernels, biases, and shapes: nothing else is left in the file"
    z = np.random.default_rng(0).normal(size=(7, 8)).astype(np.float32)
    np.testing.assert_allclose(Decoder(folder).decode(z), model(z), rtol=1e-4, atol=1e-5)


def test_batch_normalization_is_folded_in_three_dimensions(tmp_path):
    parts = [layers.Reshape((1, 2, 2, 2)), layers.Conv3DTranspose(5, 3, strides=2), layers.BatchNormalization()]
    model = network(*parts)
    folder = export_keras(model, tmp_path / "bundle")
    kinds = {node.op_type for node in onnx.load(folder / GRAPHS["decoder"]).graph.node}
    assert "ConvTranspose" in kinds
    assert "BatchNormalization" not in kinds
    z = np.random.default_rng(0).normal(size=(7, 8)).astype(np.float32)
    np.testing.assert_allclose(Decoder(folder).decode(z), model(z), rtol=1e-4, atol=1e-5)


def test_normalization_behind_an_activation_is_not(tmp_path):
    model = image(layers.Conv2DTranspose(3, 3), layers.ReLU(), layers.BatchNormalization())
    folder = export_keras(model, tmp_path / "bundle")
    assert verify(folder)["decoder/mean"] < 1e-5
    kinds = [node.op_type for node in onnx.load(folder / GRAPHS["decoder"]).graph.node]
    assert "BatchNormalization" in kinds
