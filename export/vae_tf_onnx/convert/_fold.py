"""The folding of a batch normalisation into the weights of the transposed convolution before it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper


def fold_batch_normalization(model: onnx.ModelProto) -> None:
    """Folds every constant scale and shift per channel behind a ConvTranspose into its kernel and bias, in place.

    Those are the operators BatchNormalization, Mul and Add with constants. Neither tf2onnx nor onnxruntime folds them.
    """
    graph = model.graph
    while any(_fold_one(graph, node) for node in graph.node if node.op_type == "ConvTranspose"):
        continue
    _drop_unused(graph)


def _fold_one(graph: onnx.GraphProto, convolution: onnx.NodeProto) -> bool:
    constants = _constants(graph)
    weights = [constants.get(name) for name in convolution.input[1:] if name]
    following = _only_reader(graph, convolution.output[0])
    if following is None or not all(map(_is_float32, weights)) or _attribute(convolution, "group", 1) != 1:
        return False
    kernel, *biases = map(_value, weights)
    affine = _affine(following, convolution.output[0], constants, kernel.shape)
    if affine is None:
        return False
    scale, shift = affine
    bias = biases[0] if biases else np.zeros(kernel.shape[1])
    folded = {"kernel": kernel * scale.reshape(_per_channel(kernel.ndim)), "bias": bias * scale + shift}
    del convolution.input[1:]
    for name, value in folded.items():
        unique = f"{following.name}/{name}"
        graph.initializer.append(numpy_helper.from_array(value.astype(np.float32), unique))
        convolution.input.append(unique)
    convolution.output[0] = following.output[0]
    graph.node.remove(following)
    return True


def _only_reader(graph: onnx.GraphProto, name: str) -> onnx.NodeProto | None:
    """The one node that reads a tensor; None if several do, or an inner graph does, or the tensor is an output."""
    readers = [node for node in graph.node if name in node.input]
    others = {output.name for output in graph.output}.union(*map(_names, _inner_graphs(graph)))
    return readers[0] if len(readers) == 1 and name not in others else None


def _affine(
    node: onnx.NodeProto, source: str, constants: dict[str, onnx.TensorProto], kernel_shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Scale and shift `[C]`, float64, of a node that only scales and shifts; None for other nodes."""
    names = [name for name in node.input if name != source]
    if any(name not in constants for name in names):
        return None
    values = [_value(constants[name]) for name in names]
    if node.op_type == "BatchNormalization":
        gamma, beta, mean, variance = values
        scale = gamma / np.sqrt(variance + _attribute(node, "epsilon", 1e-5))
        return scale, beta - mean * scale
    if node.op_type not in ("Mul", "Add") or len(values) != 1:
        return None
    (value,), channels, rank = values, kernel_shape[1], len(kernel_shape)
    shape = (1,) * (rank - value.ndim) + value.shape
    if shape not in (_per_channel(rank, 1), _per_channel(rank, channels)):
        return None
    constant = np.broadcast_to(value.ravel(), (channels,))
    one, zero = np.ones(channels), np.zeros(channels)
    return (constant, zero) if node.op_type == "Mul" else (one, constant)


def _per_channel(rank: int, channels: int = -1) -> tuple[int, ...]:
    """The shape of one number per channel, whose axis is the second."""
    return (1, channels, *(1 for _ in range(rank - 2)))


def _constants(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    return {tensor.name: tensor for tensor in graph.initializer if tensor.data_location != onnx.TensorProto.EXTERNAL}


def _value(tensor: onnx.TensorProto) -> np.ndarray:
    return numpy_helper.to_array(tensor).astype(np.float64)


def _is_float32(tensor: onnx.TensorProto | None) -> bool:
    return tensor is not None and tensor.data_type == onnx.TensorProto.FLOAT


def _attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    found = [onnx.helper.get_attribute_value(entry) for entry in node.attribute if entry.name == name]
    return found[0] if found else default


def _drop_unused(graph: onnx.GraphProto) -> None:
    used = _names(graph) | {output.name for output in graph.output}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _names(graph: onnx.GraphProto) -> set[str]:
    """The names of all tensors that nodes read, including the nodes of inner graphs."""
    names = {name for node in graph.node for name in node.input}
    return names.union(*map(_names, _inner_graphs(graph)))


def _inner_graphs(graph: onnx.GraphProto) -> list[onnx.GraphProto]:
    return [attribute.g for node in graph.node for attribute in node.attribute if attribute.HasField("g")]
