"""Custom tf2onnx rewriters, which replace patterns of TensorFlow operators before tf2onnx maps them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from tf2onnx.graph_matcher import GraphMatcher, OpTypePattern

from vae_tf_onnx.convert._values import Value

_PATTERN = OpTypePattern(
    "Mul",
    name="gelu",
    inputs=[
        OpTypePattern("Mul", name="halved", inputs=[OpTypePattern("Const", name="half"), OpTypePattern("*", name="x")]),
        OpTypePattern(
            "Erfc",
            inputs=[
                OpTypePattern(
                    "Mul",
                    inputs=[OpTypePattern("Neg", name="negated"), OpTypePattern("Const", name="root")],
                )
            ],
        ),
    ],
)


def rewrite_gelu(graph: Any, operations: list[Any]) -> list[Any]:
    """Rewrites GELU, `0.5 x erfc(-x / sqrt(2))`, as `0.5 x (1 + erf(x / sqrt(2)))`, one kernel of onnxruntime.

    The sum cancels where x is far below 0 and GELU is almost 0. There the error is absolute, 1e-7 of x, as is the error
    of the network around it.
    """
    for match in GraphMatcher(_PATTERN, allow_reorder=True).match_ops(operations):
        gelu, negated = match.get_op("gelu"), match.get_op("negated")
        (source,) = negated.input
        half, root = (match.get_op(name).get_tensor_value() for name in ("half", "root"))
        if source not in match.get_op("halved").input or not np.allclose(
            (half, root), (0.5, math.sqrt(0.5)), atol=1e-3
        ):
            continue
        x = Value(graph, source)
        _put(graph, gelu, x * ((x / math.sqrt(2)).node("Erf") + 1) * 0.5)
    return graph.get_nodes()


def rewrite_gather(graph: Any, operations: list[Any]) -> list[Any]:
    """Rewrites a gather along the last axis, with all other axes as batch axes, as GatherElements.

    tf2onnx's own translation of it is invalid.
    """
    for gather in [operation for operation in operations if operation.type == "GatherV2"]:
        batch_axes = gather.get_attr_value("batch_dims", 0)
        axis = gather.inputs[2]
        rank = graph.get_rank(gather.input[0])
        if not (batch_axes and axis.is_const() and rank == graph.get_rank(gather.input[1]) == batch_axes + 1):
            continue
        if int(axis.get_tensor_value()) % rank != batch_axes:
            continue
        _put(
            graph, gather, Value(graph, gather.input[0]).node("GatherElements", Value(graph, gather.input[1]), axis=-1)
        )
    return graph.get_nodes()


def _put(graph: Any, node: Any, result: Value) -> None:
    """Replaces a node by a value."""
    (output,) = node.output
    shape, dtype = graph.get_shape(output), graph.get_dtype(output)
    graph.remove_node(node.name)
    graph.make_node("Identity", [result.name], outputs=[output], name=node.name, shapes=[shape], dtypes=[dtype])
