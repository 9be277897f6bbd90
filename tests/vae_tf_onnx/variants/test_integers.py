"""Variants in 8 bits: their ranges, their errors, and the layers that stay in float32."""

import numpy as np
import onnx
import pytest
from handmade import EVENT_SHAPE, LATENT_DIM, weights
from handmade_layers import decode, decoder, matrices, write_decoder

from vae_tf_onnx import Decoder, Encoder
from vae_tf_onnx.variants import add

X = np.random.default_rng(3).random((600, *EVENT_SHAPE)).astype(np.float32)
LAYERS = matrices(1, 1, 3)
Z = np.random.default_rng(1).normal(size=(8, LATENT_DIM)).astype(np.float32)


@pytest.fixture
def layered(tmp_path):
    """A bundle whose decoder has three layers, and no encoder."""
    return write_decoder(tmp_path / "bundle", decoder(LAYERS))


def test_8_bits_saturate_nowhere_within_the_calibrated_range(layered):
    """A step of a layer's input is 1/255 of its range; the first layer, which is small, stays exact."""
    rows = add(layered, ["int8-static", "int8-dynamic"])
    for variant in ("int8-static", "int8-dynamic"):
        assert 1e-4 < rows[variant]["max_abs_error"] < 0.05
        model = onnx.load(layered / rows[variant]["file"])
        exact = [t for t in model.graph.initializer if t.dims == [LATENT_DIM, 64]]
        assert [t.data_type for t in exact] == [onnx.TensorProto.FLOAT]


def test_static_ranges_come_from_the_data(make_bundle):
    """Data of half the range lead to half the step, and saturate for the rest."""
    folder = make_bundle()
    add(folder, "int8-static", x=0.1 * X, force=True)
    loc = Encoder(folder, variant="int8-static").encode(np.ones((1, *EVENT_SHAPE)))
    np.testing.assert_allclose(loc, 0.1 * weights()[1].sum(axis=0, keepdims=True), atol=0.1)


def test_a_large_first_layer_is_in_8_bits(tmp_path):
    """A file of one layer shrinks too."""
    folder = write_decoder(tmp_path / "bundle", decoder(matrices(3)))
    add(folder, "int8-dynamic", force=True)
    model = onnx.load(folder / "decoder/1/model.int8-dynamic.onnx")
    assert onnx.TensorProto.INT8 in {tensor.data_type for tensor in model.graph.initializer if len(tensor.dims) == 2}


def test_only_dynamic_ranges_depend_on_the_neighbours(layered):
    """What the model card warns of: a row is not what it is alone."""
    add(layered, ["int8-dynamic", "int8-static"])
    crowd = np.concatenate([Z[:1], 20 * Z[1:]])
    for variant, same in (("int8-dynamic", False), ("int8-static", True)):
        run = Decoder(layered, variant=variant).decode
        alone, among = run(Z[:1])[0], run(crowd)[0]
        assert np.array_equal(alone, among) == same
        np.testing.assert_allclose(alone, decode(LAYERS, Z[:1])[0], atol=0.05)


def test_layers_without_a_bias_and_nodes_without_a_name(layered):
    """As the decoder made by hand has them."""
    model = onnx.load(layered / "decoder/1/model.onnx")
    assert {node.name for node in model.graph.node} == {""}
    rows = add(layered, ["int8-static"])
    types = {node.op_type for node in onnx.load(layered / rows["int8-static"]["file"]).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= types
