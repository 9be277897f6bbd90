"""Arithmetic that writes ONNX nodes, for the operators that tf2onnx lacks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import helper
from tf2onnx.utils import make_name


class Value:
    """A tensor of a graph that tf2onnx is making; arithmetic on it adds nodes of ONNX opset 13.

    Numbers take the type of the tensor that they meet.

    Args:
        graph: Graph of tf2onnx.
        name: Name of the tensor.
        dtype: Type of its elements; None asks the graph.
    """

    def __init__(self, graph: Any, name: str, dtype: Any = None) -> None:
        self.graph = graph
        self.name = name
        self.dtype = np.dtype(dtype or helper.tensor_dtype_to_np_dtype(graph.get_dtype(name)))

    def node(self, operator: str, *others: Any, dtype: Any = None, **attributes: Any) -> Value:
        """The output of an operator for this tensor and others (tensors, arrays or numbers)."""
        names = [self.name, *(self.like(other).name for other in others)]
        dtype = np.dtype(dtype or self.dtype)
        made = self.graph.make_node(
            operator, names, attr=attributes, dtypes=[helper.np_dtype_to_tensor_dtype(dtype)], infer_shape_dtype=False
        )
        return Value(self.graph, made.output[0], dtype)

    def like(self, value: Any) -> Value:
        """`value` as a tensor of this graph: numbers become constants of its type, and arrays keep theirs."""
        if isinstance(value, Value):
            return value
        array = value if isinstance(value, np.ndarray) else np.asarray(value, self.dtype)
        return Value(self.graph, self.graph.make_const(make_name("Const"), array).output[0], array.dtype)

    def __neg__(self) -> Value:
        return self.node("Neg")

    def __add__(self, other: Any) -> Value:
        return self.node("Add", other)

    def __sub__(self, other: Any) -> Value:
        return self.node("Sub", other)

    def __rsub__(self, other: Any) -> Value:
        return self.like(other) - self

    def __mul__(self, other: Any) -> Value:
        return self.node("Mul", other)

    def __truediv__(self, other: Any) -> Value:
        return self.node("Div", other)

    def __rtruediv__(self, other: Any) -> Value:
        return self.like(other) / self

    def __lt__(self, other: Any) -> Value:
        return self.node("Less", other, dtype=bool)

    def __gt__(self, other: Any) -> Value:
        return self.node("Greater", other, dtype=bool)

    def __or__(self, other: Any) -> Value:
        return self.node("Or", other)

    def __matmul__(self, other: Any) -> Value:
        return self.node("MatMul", other)

    __radd__ = __add__
    __rmul__ = __mul__

    def equals(self, other: Any) -> Value:
        """Whether each element equals this number, or the element of this tensor."""
        return self.node("Equal", other, dtype=bool)

    def cast(self, dtype: Any) -> Value:
        """The tensor in another type."""
        dtype = np.dtype(dtype)
        if dtype == self.dtype:
            return self
        return self.node("Cast", dtype=dtype, to=int(helper.np_dtype_to_tensor_dtype(dtype)))


def where(condition: Value, yes: Any, no: Any) -> Value:
    """An elementwise choice between two values, at least one of which is a tensor."""
    other = yes if isinstance(yes, Value) else no
    return condition.node("Where", other.like(yes), other.like(no), dtype=other.dtype)


def horner(x: Value, coefficients: Sequence[float]) -> Value:
    """The polynomial `c_0 + c_1 x + c_2 x^2 + ...`."""
    total = x * 0.0 + coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        total = total * x + coefficient
    return total
