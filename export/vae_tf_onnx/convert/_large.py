"""The conversion of models of more than 2 GB, which are too large for one protobuf."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import onnx
import tensorflow as tf
import tf2onnx
from onnx import numpy_helper

from vae_tf_onnx.bundle import EXTERNAL

LARGE_WEIGHT = 2**20
"""Weights of at least so many bytes are kept out of the graphs that TensorFlow and tf2onnx serialise."""


def convert_large(function: Any, **options: Any) -> onnx.ModelProto:
    """Converts as `tf2onnx.convert.from_function` does, but large weights are inputs of the graph meanwhile.

    tf2onnx's own `large_model=True` fails beside numpy 2 and holds seven copies of the weights. The large kernel of a
    convolution is transposed when onnxruntime loads the graph, and nothing is folded into it. Weights that inner
    functions read lead to an UnsupportedOpError for ReadVariableOp later on.

    Args:
        function: A `tf.function` with an input signature.
        **options: Options of tf2onnx: opset, custom_op_handlers, custom_rewriter.
    """
    concrete = function.get_concrete_function()
    graph = concrete.graph.as_graph_def()
    weights = _free_of_variables(graph, concrete)
    inputs = [tensor.name for tensor in concrete.inputs if tensor.dtype != tf.resource]
    outputs = {tensor.name: name for name, tensor in concrete.structured_outputs.items()}
    model, _ = tf2onnx.convert.from_graph_def(
        graph,
        input_names=[*inputs, *weights],
        output_names=list(outputs),
        tensors_to_rename=outputs | {name: name.removesuffix(":0") for name in inputs},
        **options,
    )
    _as_initializers(model, weights)
    return model


def _free_of_variables(graph: Any, concrete: Any) -> dict[str, tf.Variable]:
    """Turns everything that a graph captures into constants and inputs, in place; returns the weights of the inputs."""
    variables = {id(variable.handle): variable for variable in concrete.variables}
    captured = {inner.op.name: variables.get(id(outer), outer) for outer, inner in concrete.graph.captures}
    weights = {}
    axis = graph.node.add(name="weights/axis", op="Const")
    _set_constant(axis, tf.constant(0))
    for node in graph.node:
        if node.name in captured and _num_bytes(captured[node.name]) < LARGE_WEIGHT:
            _set_constant(node, captured[node.name])
        elif node.name in captured:
            weights[f"{node.name}:0"] = captured[node.name]
            node.attr["dtype"].type = captured[node.name].dtype.as_datatype_enum
            node.attr["shape"].shape.CopyFrom(captured[node.name].shape.as_proto())
        elif node.op == "ReadVariableOp":
            _set_operator(node, "Identity", T="dtype")
        elif node.op == "ResourceGather":
            node.input.insert(2, axis.name)
            _set_operator(node, "GatherV2", Tparams="dtype", Tindices="Tindices")
            node.attr["Taxis"].type = tf.int32.as_datatype_enum
    return weights


def _num_bytes(value: Any) -> int:
    return value.dtype.size * value.shape.num_elements()


def _set_constant(node: Any, value: Any) -> None:
    node.op = "Const"
    node.attr.clear()
    node.attr["dtype"].type = value.dtype.as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value.numpy()))


def _set_operator(node: Any, operator: str, **attributes: str) -> None:
    """Turns a node into another operator. `attributes` names the old attribute that each is copied from."""
    kept = {name: node.attr[source].type for name, source in attributes.items()}
    node.op = operator
    node.attr.clear()
    for name, value in kept.items():
        node.attr[name].type = value


def _as_initializers(model: onnx.ModelProto, weights: dict[str, tf.Variable]) -> None:
    """Turns the inputs of a graph that are weights into constants."""
    inputs = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    for name, variable in weights.items():
        model.graph.initializer.append(numpy_helper.from_array(variable.numpy(), name))


def move_weights(model: onnx.ModelProto, path: Path) -> None:
    """Writes the weights of a model to a file beside `path`, and leaves references to them in the model.

    A graph whose weights all have less than a kilobyte gets no such file.
    """
    weights = path.with_name(path.name + EXTERNAL)
    onnx.save_model(model, path, save_as_external_data=True, all_tensors_to_one_file=True, location=weights.name)
    if weights.exists():
        shutil.copymode(path, weights)  # onnx lets only the user who writes it read it
