"""The opsets that a graph can be written in."""

import onnx

from vae_tf_onnx.convert import newest_opset


def test_the_newest_opset_is_one_that_onnxruntime_loads():
    assert 18 < newest_opset() <= onnx.defs.onnx_opset_version()
