"""The versions of the ONNX operator set (opsets) that a graph can be written in."""

from __future__ import annotations

import functools

import onnx
import onnxruntime

OLDEST_OPSET = 13
CONVERTER_OPSET = 18
"""The newest opset of tf2onnx; onnx's version converter goes on from there."""


@functools.cache
def newest_opset() -> int:
    """The newest opset that onnx defines and the installed onnxruntime loads."""
    for opset in range(onnx.defs.onnx_opset_version(), CONVERTER_OPSET, -1):
        if _loads(opset):
            return opset
    return CONVERTER_OPSET


def _loads(opset: int) -> bool:
    imports = [onnx.helper.make_opsetid("", opset)]
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy")
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "identity", [x], [y])
    ir = onnx.helper.find_min_ir_version_for(imports)
    model = onnx.helper.make_model(graph, opset_imports=imports, ir_version=ir)
    try:
        onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    except Exception:  # onnxruntime's exceptions share no narrower class
        return False
    return True
