"""The exceptions that a caller may want to catch.

ValueError
├── BundleError         a bundle that cannot be trusted or read
├── ParityError         a graph that does not compute what the model computes
├── UnsupportedOpError  a model with an operation that cannot become a graph
└── ProviderError       an execution provider that is not available
"""

from __future__ import annotations


class BundleError(ValueError):
    """A bundle that cannot be trusted or read.

    Attributes:
        path: The file or folder at fault.
    """

    def __init__(self, message: str, path: str) -> None:
        super().__init__(message)
        self.path = path


_DO_NOT_USE = "The ONNX graph does not compute what the model does; do not use it, and report the layers involved."


class ParityError(ValueError):
    """An ONNX graph that does not compute what the Keras model computes, or a variant that is too far from it.

    Attributes:
        tensor: The output at fault, as graph/name.
        error: The largest difference, relative to the largest expected value or in the unit that the message names.
        tolerance: The largest error that was allowed.
    """

    def __init__(
        self,
        tensor: str,
        error: float,
        tolerance: float,
        *,
        kind: str = "a relative error",
        remedy: str = _DO_NOT_USE,
    ) -> None:
        super().__init__(f"Parity of {tensor}: expected {kind} of at most {tolerance:g}, received {error:g}. {remedy}")
        self.tensor = tensor
        self.error = error
        self.tolerance = tolerance


class UnsupportedOpError(ValueError):
    """A model with an operation that cannot become a graph.

    Attributes:
        op: The operation.
        layer: The layer that it comes from, as far as its name tells.
    """

    def __init__(self, op: str, layer: str, opset: int, received: str = "one that it does not have") -> None:
        super().__init__(
            f"Operation {op} of layer {layer!r}: expected an operator of ONNX opset {opset}, received {received}. "
            "Replace the layer or its activation by one in plain operations (relu, tanh, softplus, ...)."
        )
        self.op = op
        self.layer = layer


class ProviderError(ValueError):
    """An execution provider of onnxruntime (a GPU, say) that is not available. Nothing falls back to the CPU."""

    def __init__(self, expected: str, received: str, remedy: str) -> None:
        super().__init__(f"Execution provider: expected {expected}, received {received}. {remedy}")
