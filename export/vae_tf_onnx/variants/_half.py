"""The conversion to float16, of layers with weights and what lies between them, where float16 holds every number.

The usual converters round all tensors. Then a weight above 65,504 is clipped, an activation above it becomes infinite,
and images turn black or NaN; numbers below 6e-8 become 0. Here the largest magnitude of every tensor is measured first,
and a node that touches a tensor outside of float16's range stays in float32. So do the first and the last steps, which
cost nothing: sigma, and the sigmoids and exponentials of the outputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from vae_tf_onnx._nodes import nodes

Array = np.ndarray

LARGEST = float(np.finfo(np.float16).max)
"""The largest float16, 65,504."""
SMALLEST = float(np.finfo(np.float16).tiny)
"""The magnitude, 6.1e-5, below which float16 loses digits: the largest magnitude of a tensor must be above it."""
_MARGIN = 8.0  # because other inputs than the measured ones lead to larger values
_OUTPUT_AXES = {"Conv": 0, "ConvTranspose": 1, "Gemm": 1, "MatMul": -1}
"""Operators with weights, and the axis of the weights that is also an axis of the output."""
_ELEMENTWISE = ("Add", "Clip", "Elu", "Identity", "LeakyRelu", "Mul", "Relu", "Sigmoid", "Sub", "Tanh")
_POOLING = ("AveragePool", "MaxPool")
_MOVING = ("Concat", "Flatten", "Pad", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze")
_RESIZING = ("DepthToSpace", "SpaceToDepth")
_BETWEEN = frozenset((*_ELEMENTWISE, *_POOLING, *_MOVING, *_RESIZING))
"""Operators that may follow the precision of the layers around them: each keeps its digits in float16."""


def largest_magnitudes(model: onnx.ModelProto, feeds: Iterable[Mapping[str, Array]]) -> dict[str, float]:
    """The largest magnitude of every float32 tensor, including weights, over these inputs; infinite for NaN.

    Args:
        model: Model with inferred shapes and types.
        feeds: Inputs by name, one batch at a time.
    """
    largest = {name: _largest(array) for name, array in _weights(model).items()}
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    outputs = {value.name for value in model.graph.output}
    inner = [v for v in model.graph.value_info if v.name not in outputs and _is_float(v)]
    probe.graph.output.extend(inner)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(probe.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [value.name for value in (*model.graph.output, *inner) if _is_float(value)]
    for feed in feeds:
        arrays = dict(zip(names, session.run(names, dict(feed)), strict=True)) | dict(feed)
        for name, array in arrays.items():
            largest[name] = max(largest.get(name, 0.0), _largest(array))
    return largest


def convert(model: onnx.ModelProto, largest: Mapping[str, float]) -> onnx.ModelProto:
    """The model with float16 weights and activations where they are safe; inputs and outputs stay float32.

    Args:
        model: Model with inferred shapes and types.
        largest: Largest magnitudes of its float32 tensors; see largest_magnitudes.
    """
    half = _half_nodes(model, largest)
    weights = _weights(model)
    present = {value.name for value in (*model.graph.input, *model.graph.initializer)}
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []

    def provide(name: str, precise: bool) -> str:
        """The name of this float32 tensor in the wanted precision; it is cast if it is not there yet."""
        wanted, other = (name, _half_name(name)) if precise else (_half_name(name), name)
        if wanted not in present:
            if name in weights:
                constants.append(numpy_helper.from_array(weights[name].astype(np.float16), wanted))
            else:
                to = TensorProto.FLOAT if precise else TensorProto.FLOAT16
                nodes.append(helper.make_node("Cast", [other], [wanted], name=f"{wanted}/Cast", to=to))
            present.add(wanted)
        return wanted

    for index, original in enumerate(model.graph.node):
        node = onnx.NodeProto()
        node.CopyFrom(original)
        inputs = [provide(name, index not in half) if name in largest else name for name in node.input]
        outputs = [_half_name(name) if index in half and name in largest else name for name in node.output]
        node.input[:], node.output[:] = inputs, outputs
        present.update(outputs)
        nodes.append(node)
    for value in model.graph.output:
        if value.name in largest:
            provide(value.name, True)
    return _assembled(model, nodes, constants)


def _assembled(
    model: onnx.ModelProto, nodes: list[onnx.NodeProto], constants: list[onnx.TensorProto]
) -> onnx.ModelProto:
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    used = {name for node in nodes for name in node.input} | _captured(model)
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    for field, values in ((graph.node, nodes), (graph.initializer, [*kept, *constants])):
        del field[:]
        field.extend(values)
    del graph.value_info[:]
    return result


def _half_nodes(model: onnx.ModelProto, largest: Mapping[str, float]) -> set[int]:
    """Indices of the nodes that may run in float16."""
    nodes, weights, captured = list(model.graph.node), _weights(model), _captured(model)

    def is_safe(node: onnx.NodeProto) -> bool:
        values = [name for name in (*node.input, *node.output) if name in largest]
        limits = {name: LARGEST if name in weights else LARGEST / _MARGIN for name in values}
        in_range = all(largest[name] == 0 or SMALLEST <= largest[name] <= limits[name] for name in values)
        return in_range and set(node.output) <= set(values) - captured

    layers = {
        i
        for i, node in enumerate(nodes)
        if node.op_type in _OUTPUT_AXES and is_safe(node) and largest_sum(node, weights, largest) <= LARGEST
    }
    between = {i for i, node in enumerate(nodes) if node.op_type in _BETWEEN and is_safe(node)}
    after: set[str] = set()
    follows = set()
    for i, node in enumerate(nodes):
        if i in layers or (i in between and not after.isdisjoint(node.input)):
            follows.add(i)
            after.update(node.output)
    before: set[str] = set()
    leads = set()
    for i, node in reversed(list(enumerate(nodes))):
        if i in layers or (i in between and not before.isdisjoint(node.output)):
            leads.add(i)
            before.update(node.input)
    return layers | (follows & leads)


def largest_sum(node: onnx.NodeProto, weights: Mapping[str, Array], largest: Mapping[str, float]) -> float:
    """A bound on every partial sum of a layer, whatever the order and the signs of its terms."""
    if len(node.input) < 2 or node.input[1] not in weights:
        return 0.0
    matrix = np.abs(weights[node.input[1]].astype(np.float64))
    transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
    axis = (0 if transposed else _OUTPUT_AXES[node.op_type]) % matrix.ndim
    sums = matrix.sum(axis=tuple(i for i in range(matrix.ndim) if i != axis))
    return float(largest[node.input[0]] * sums.max(initial=0.0))


def _captured(model: onnx.ModelProto) -> set[str]:
    """The names that the bodies of If, Loop and Scan refer to. Those tensors stay as they are."""
    return {
        name
        for node in model.graph.node
        for attribute in node.attribute
        for body in (attribute.g, *attribute.graphs)
        for inner in nodes(body)
        for name in inner.input
    }


def _weights(model: onnx.ModelProto) -> dict[str, Array]:
    tensors = model.graph.initializer
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in tensors if tensor.data_type == TensorProto.FLOAT}


def _is_float(value: onnx.ValueInfoProto) -> bool:
    return value.type.tensor_type.elem_type == TensorProto.FLOAT


def _largest(array: Array) -> float:
    value = float(np.abs(array).max(initial=0.0))
    return value if np.isfinite(value) else float("inf")


def _half_name(name: str) -> str:
    return f"{name}/float16"
