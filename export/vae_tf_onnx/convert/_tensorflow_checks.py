"""The refusal of TensorFlow operations that must not be in a graph that becomes ONNX."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from vae_tf_onnx.errors import UnsupportedOpError

_RANDOM = re.compile(
    "Random(?!Get)|Rng|Multinomial|StandardNormal|TruncatedNormal|StatefulUniform|StatelessShuffle|NonDeterministicInts"
)

BFLOAT16 = "one in bfloat16, which onnxruntime does not compute in on a CPU"


def check_tensorflow(function: Any, layers: set[str], opset: int) -> None:
    """Raises UnsupportedOpError for operations that generate random numbers, and for numbers in bfloat16.

    tf2onnx turns some random operations into others that ignore the seed, and drops some as dropout. A graph is
    deterministic: its noise is an input.

    Args:
        function: A `tf.function` with an input signature.
        layers: Names of the Keras layers. The error names one of them.
        opset: ONNX opset, for the error.
    """
    for node in _nodes(function.get_concrete_function().graph.as_graph_def()):
        if _RANDOM.search(node.op):
            received = "one that generates random numbers, where a graph is deterministic"
            raise UnsupportedOpError(node.op, layer_of(node.name, layers), opset, received)
        if any(tf.bfloat16.as_datatype_enum in _types(value) for value in node.attr.values()):
            raise UnsupportedOpError(node.op, layer_of(node.name, layers), opset, BFLOAT16)


def layer_of(node: str, layers: set[str]) -> str:
    """The innermost layer in the name of a node; the name itself if it names no layer."""
    scope = [part for part in node.split("/") if part in layers]
    return scope[-1] if scope else node


def _nodes(graph: Any) -> Iterator[Any]:
    yield from graph.node
    for function in graph.library.function:
        yield from function.node_def


def _types(attribute: Any) -> list[int]:
    return [attribute.type, *attribute.list.type]
