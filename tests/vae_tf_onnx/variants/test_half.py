"""The conversion to float16, never black and never NaN, judged in arithmetic that really is float16.

onnxruntime on a CPU is no judge: it joins the float32 kernels around a float16 tensor, so that nothing overflows there
and images turn black on a GPU or in a browser. The reference evaluator of onnx computes each node in its own type.
"""

import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
from handmade import LATENT_DIM, SIGMA
from handmade_layers import METADATA, decode, decoder, matrices
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from vae_tf_onnx.variants import _half

CASES = {
    "activations of 1e5": matrices(1e5, 1, 3e-5),
    "activations of 1e6": matrices(1e6, 1, 3e-6),
    "weights of 1e6": matrices(1, 3e-6, 1e6),
    "weights below 6e-8": matrices(1, 1e-9, 3e9),
    "activations of 1e-9": matrices(1e-9, 1, 3e9),
}
Z = np.random.default_rng(0).standard_normal((96, LATENT_DIM)).astype(np.float32)


def inferred(model):
    return onnx.shape_inference.infer_shapes(model)


def converted(model):
    model = inferred(model)
    return _half.convert(model, _half.largest_magnitudes(model, [{"z": Z}]))


def naively_converted(model):
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    half = convert_float_to_float16(inferred(model), keep_io_types=True)
    OnnxModel(half).topological_sort()
    return half


def on_onnxruntime(model):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["mean"], {"z": Z})[0]


def in_float16(model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # overflow, where a test looks for it
        return ReferenceEvaluator(model).run(["mean"], {"z": Z})[0]


@pytest.mark.parametrize("name", CASES)
def test_numbers_outside_of_its_range(name):
    weights = CASES[name]
    model = converted(decoder(weights))
    onnx.checker.check_model(model, full_check=True)
    for run in (on_onnxruntime, in_float16):
        np.testing.assert_allclose(run(model), decode(weights, Z), atol=2e-3)


@pytest.mark.parametrize("name", CASES)
def test_that_test_can_fail(name):
    """The usual conversion of the same decoders gives NaN, or an image that has nothing of the right one."""
    images = in_float16(naively_converted(decoder(CASES[name])))
    error = np.abs(images - decode(CASES[name], Z)).max()
    assert not error < 0.1


def test_a_decoder_that_only_real_float16_makes_nan():
    """Activations of 1e6 over their largest: onnxruntime's CPU shows an error of 4e-4, and float16 gives only NaN."""
    original = decoder(matrices(1e3, 1e3, 1), normalised=True)
    naive = naively_converted(original)
    assert np.abs(on_onnxruntime(naive) - on_onnxruntime(original)).max() < 1e-3
    assert not np.isfinite(in_float16(naive)).any()
    np.testing.assert_allclose(in_float16(converted(original)), on_onnxruntime(original), atol=2e-3)


def types(model):
    return {value.name: value.type.tensor_type.elem_type for value in inferred(model).graph.value_info}


def test_layers_are_in_float16_where_it_is_safe():
    model = converted(decoder(matrices(1, 1, 3)))
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    halves = [tensor for tensor in weights.values() if tensor.data_type == TensorProto.FLOAT16]
    assert len(halves) == 3
    for tensor, exact in zip(halves, matrices(1, 1, 3), strict=True):
        np.testing.assert_array_equal(numpy_helper.to_array(tensor), exact.astype(np.float16))
    assert len(weights) == 4, "no layer is there twice"
    casts = [node for node in model.graph.node if node.op_type == "Cast"]
    assert len(casts) == 2, "z, and the last layer's output"


def test_inputs_outputs_heads_and_sigma_stay_in_float32():
    model = converted(decoder(matrices(1, 1, 3)))
    assert {v.type.tensor_type.elem_type for v in (*model.graph.input, *model.graph.output)} == {TensorProto.FLOAT}
    (sigmoid,) = (node for node in model.graph.node if node.op_type == "Sigmoid")
    assert types(model)[sigmoid.output[0]] == TensorProto.FLOAT
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert np.unique(session.run(["scale"], {"z": Z})[0]) == [np.float32(SIGMA)]


def test_no_unsafe_tensor_is_in_float16():
    """Also not in passing between two nodes that are in float32."""
    original = inferred(decoder(CASES["activations of 1e6"]))
    largest = _half.largest_magnitudes(original, [{"z": Z}])
    assert largest["layer0"] > 1e6
    assert largest["w0"] == np.abs(CASES["activations of 1e6"][0]).max()
    model = _half.convert(original, largest)
    assert TensorProto.FLOAT16 not in types(model).values()


def test_partial_sums_stay_in_range():
    """Terms of 5e4 that cancel in the sum: whatever the order, float16 must not meet them."""
    first, second = np.full((LATENT_DIM, 2), 1000, np.float32), np.full((2, 8), 50, np.float32)
    second[1] = -50
    z = np.ones((4, LATENT_DIM), np.float32)
    model = inferred(decoder([first, second]))
    largest = _half.largest_magnitudes(model, [{"z": z}])
    assert largest["layer1"] == 0.0
    assert largest["relu0"] < _half.LARGEST / 8
    halves = [t.name for t in _half.convert(model, largest).graph.initializer if t.data_type == TensorProto.FLOAT16]
    assert halves == ["w0/float16"]


def test_values_that_are_not_finite_stay_in_float32():
    model = inferred(decoder([np.full((LATENT_DIM, 4), 3e38, np.float32), np.ones((4, 8), np.float32)]))
    assert _half.largest_magnitudes(model, [{"z": Z}])["layer0"] == np.inf
    assert all(t.data_type != TensorProto.FLOAT16 for t in converted(model).graph.initializer)


def test_metadata_is_kept():
    assert {entry.key: entry.value for entry in converted(decoder(matrices(1, 1))).metadata_props} == METADATA


def test_tensors_that_a_branch_reads_stay_in_float32():
    """The body of an If names tensors of the graph around it."""
    model = decoder(matrices(1, 1, 1))
    branch = helper.make_graph(
        [helper.make_node("Mul", ["layer1", "layer1"], ["squares"])],
        "branch",
        [],
        [helper.make_tensor_value_info("squares", TensorProto.FLOAT, None)],
    )
    condition = numpy_helper.from_array(np.array(True), "condition")
    model.graph.initializer.append(condition)
    node = helper.make_node("If", ["condition"], ["chosen"], then_branch=branch, else_branch=branch)
    position = next(i for i, node in enumerate(model.graph.node) if node.output[0] == "relu1")
    model.graph.node[position].input[0] = "chosen"
    model.graph.node.insert(position, node)
    half = converted(model)
    np.testing.assert_allclose(on_onnxruntime(half), on_onnxruntime(model), atol=2e-3)
    np.testing.assert_allclose(in_float16(half), on_onnxruntime(model), atol=2e-3)
    assert types(half)["layer1"] == TensorProto.FLOAT


def test_convolutions():
    """The weights of a transposed convolution count their outputs on the second axis."""
    weights = np.full((1, 2, 3, 3), 1e4, np.float32)
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"])
    assert _half.largest_sum(node, {"w": weights}, {"x": 2.0}) == 2 * 9e4
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    assert _half.largest_sum(node, {"w": weights}, {"x": 2.0}) == 2 * 18e4
