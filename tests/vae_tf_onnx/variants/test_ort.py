"""ONNX Runtime's own format, saved for every machine."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from vae_tf_onnx.variants import _ort

LAYOUT_OF_THIS_MACHINE = b"ReorderOutput"
"""An operator of the layouts that onnxruntime picks for the processor at hand."""


@pytest.fixture
def convolution(tmp_path):
    """A file with one convolution of 16 channels."""
    channels = np.random.default_rng(0).normal(size=(32, 16, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        "convolution",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 16, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 32, 6, 6])],
        [numpy_helper.from_array(channels, "w")],
    )
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_it_computes_the_same_and_holds_on_every_machine(convolution, tmp_path):
    path = tmp_path / "model.ort"
    _ort.save(convolution, path)
    x = np.random.default_rng(1).normal(size=(2, 16, 8, 8)).astype(np.float32)
    received, expected = (onnxruntime.InferenceSession(str(p)).run(None, {"x": x})[0] for p in (path, convolution))
    np.testing.assert_allclose(received, expected, rtol=1e-5, atol=1e-5)
    content = path.read_bytes()
    assert b"ORTM" in content[:16]
    assert LAYOUT_OF_THIS_MACHINE not in content


def test_that_test_can_fail(convolution, tmp_path):
    """At its default level onnxruntime writes layouts of this machine into the file."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "model.ort")
    options.log_severity_level = 3
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(str(convolution), options)
    assert LAYOUT_OF_THIS_MACHINE in (tmp_path / "model.ort").read_bytes()
