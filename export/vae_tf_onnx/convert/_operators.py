"""Custom tf2onnx handlers for TensorFlow operators that it does not know, or that onnxruntime lacks in float64.

The handlers are given to one conversion. Nothing is registered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from vae_tf_onnx.convert import _special
from vae_tf_onnx.convert._values import Value, where

_Handler = Callable[[Any, Any, str, Any], None]


def handlers() -> dict[str, tuple[_Handler, list[Any]]]:
    """The handlers by operator, as tf2onnx's `custom_op_handlers` takes them."""
    functions: dict[str, Callable[..., Value]] = {
        "Erfc": _special.erfc,
        "Erfinv": _special.erfinv,
        "Expm1": _special.expm1,
        "Lgamma": _special.lgamma,
        "Log1p": _special.log1p,
        "MulNoNan": _special.mul_no_nan,
        "Ndtri": _special.ndtri,
        "Xdivy": _special.xdivy,
        "Xlog1py": _special.xlog1py,
        "Xlogy": _special.xlogy,
    }
    wide = {"Erf": _special.erf, "Softplus": _special.softplus}
    made: dict[str, tuple[_Handler, list[Any]]] = {
        name: (_replacing(function), []) for name, function in functions.items()
    }
    made |= {name: (_replacing_float64(function), []) for name, function in wide.items()}
    made["BroadcastArgs"] = (_broadcast_args, [])
    made["LowerBound"] = (_counting("Less"), [])
    made["UpperBound"] = (_counting("LessOrEqual"), [])
    made["MatrixTriangularSolve"] = (_triangular_solve, [])
    return made


def _replace(graph: Any, node: Any, make: Callable[..., Value]) -> None:
    """Replaces a node by the value that `make` returns for its inputs."""
    inputs, (output,) = [Value(graph, name) for name in node.input], node.output
    shape, dtype = graph.get_shape(output), graph.get_dtype(output)
    graph.remove_node(node.name)
    result = make(*inputs)
    graph.make_node("Identity", [result.name], outputs=[output], name=node.name, shapes=[shape], dtypes=[dtype])


def _replacing(function: Callable[..., Value]) -> _Handler:
    def handle(graph: Any, node: Any, name: str, arguments: Any) -> None:
        _replace(graph, node, function)

    return handle


def _replacing_float64(function: Callable[..., Value]) -> _Handler:
    """A handler for float64 alone: for other types ONNX has an operator of the same name."""

    def handle(graph: Any, node: Any, name: str, arguments: Any) -> None:
        if Value(graph, node.input[0]).dtype == np.float64:
            _replace(graph, node, function)

    return handle


def _broadcast_args(graph: Any, node: Any, name: str, arguments: Any) -> None:
    """The shape that two shapes broadcast to; their lengths must be known."""
    (first,), (second,) = (graph.get_shape(source) for source in node.input)
    length = max(first, second)

    def make(*shapes: Value) -> Value:
        full = []
        for shape, rank in zip(shapes, (first, second), strict=True):
            ones = shape.like(np.ones(length - rank, shape.dtype))
            full.append(ones.node("Concat", shape, axis=0) if length > rank else shape)
        return where(full[0].equals(1), full[1], full[0])

    _replace(graph, node, make)


def _counting(comparison: str) -> _Handler:
    """A handler that counts, for each value `[N, n]`, the elements of its sorted row `[N, L]` that compare so."""

    def make(rows: Value, values: Value) -> Value:
        columns = rows.node("Unsqueeze", np.array([1]))
        passed = columns.node(comparison, values.node("Unsqueeze", np.array([2])), dtype=bool)
        return passed.cast(np.int32).node("ReduceSum", np.array([2]), keepdims=0)

    def handle(graph: Any, node: Any, name: str, arguments: Any) -> None:
        dtype = Value(graph, node.output[0]).dtype
        _replace(graph, node, lambda rows, values: make(rows, values).cast(dtype))

    return handle


def _triangular_solve(graph: Any, node: Any, name: str, arguments: Any) -> None:
    """Solves a triangular system row by row; the number of rows must be known."""
    count = graph.get_shape(node.input[1])[-2]
    rank = len(graph.get_shape(node.input[0]))
    lower, adjoint = bool(node.get_attr_value("lower")), bool(node.get_attr_value("adjoint"))
    order = list(range(count) if lower != adjoint else reversed(range(count)))

    def make(matrix: Value, right: Value) -> Value:
        if adjoint:
            matrix = matrix.node("Transpose", perm=[*range(rank - 2), rank - 1, rank - 2])
        solved: list[Value] = []
        for done, i in enumerate(order):
            row, rest = (value.node("Gather", np.array([i]), axis=-2) for value in (matrix, right))
            pivot = row.node("Gather", np.array([i]), axis=-1)
            if done:
                known = solved[0].node("Concat", *solved[1:], axis=-2)
                rest = rest - row.node("Gather", np.array(order[:done]), axis=-1) @ known
            solved.append(rest / pivot)
        upwards = solved if order[0] == 0 else solved[::-1]
        return upwards[0].node("Concat", *upwards[1:], axis=-2)

    _replace(graph, node, make)
