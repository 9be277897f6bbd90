"""The conversion of a TensorFlow function to an ONNX file that is checked and compared with the function."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import tensorflow as tf
import tf2onnx
import tf_keras
from onnx import version_converter

from vae_tf_onnx._nodes import nodes
from vae_tf_onnx.bundle import GRAPHS
from vae_tf_onnx.convert._fold import fold_batch_normalization
from vae_tf_onnx.convert._graph_inputs import MakeInputs
from vae_tf_onnx.convert._large import convert_large, move_weights
from vae_tf_onnx.convert._operators import handlers
from vae_tf_onnx.convert._opsets import CONVERTER_OPSET
from vae_tf_onnx.convert._rewriters import rewrite_gather, rewrite_gelu
from vae_tf_onnx.convert._standard import to_standard
from vae_tf_onnx.convert._tensorflow_checks import check_tensorflow, layer_of
from vae_tf_onnx.errors import UnsupportedOpError
from vae_tf_onnx.verification import check_output

PARITY_BATCHES = (1, 3, 17)
EXTERNAL_BYTES = 2**31 - 2**24
"""Weights of more bytes than this lie in a file of their own, because a protobuf holds less than 2 GB."""
_METADATA = "vae_tf_onnx"


class Conversion:
    """Writes the graphs of one model.

    Args:
        model: Model whose weights the functions use.
        opset: ONNX opset.
        batch: Size of the batch axis; None where it is open.
        facts: Facts for the metadata of each graph.
    """

    def __init__(self, model: tf.Module, *, opset: int, batch: int | None, facts: dict[str, Any]) -> None:
        self.opset = opset
        self.batch = batch
        self.facts = facts
        self.layers = {module.name for module in model.submodules if isinstance(module, tf_keras.layers.Layer)}
        self.is_large = (
            sum(weight.dtype.size * weight.shape.num_elements() for weight in model.weights) > EXTERNAL_BYTES
        )

    def write(self, draft: Path, name: str, function: Any, reference: Any, inputs: MakeInputs) -> dict[str, Any]:
        """Converts, checks, writes and compares one graph, and returns its description for the manifest.

        Args:
            draft: Folder of the bundle.
            name: Name of the graph.
            function: A `tf.function` with an input signature.
            reference: Function whose values the graph must give, for any batch size.
            inputs: Function that makes the inputs on which the two are compared.

        Raises:
            UnsupportedOpError: For an operation that ONNX or onnxruntime lacks, or that generates random numbers.
            ParityError: For an output that differs from the reference.
        """
        path = draft / GRAPHS[name]
        path.parent.mkdir(parents=True)
        check_tensorflow(function, self.layers, self.opset)
        model = self._convert(function)
        if self.is_large:
            move_weights(model, path)
        if self.opset > CONVERTER_OPSET:
            model = version_converter.convert_version(model, self.opset)
        # onnxruntime loads a long graph ten times faster with the shapes in it
        model = onnx.shape_inference.infer_shapes(model)
        outputs = reference(*inputs(self.batch or 1, 0).values())
        name_axes(model, self.batch, {key: tuple(value.shape[1:]) for key, value in outputs.items()})
        onnx.helper.set_model_props(model, {_METADATA: json.dumps(self.facts)})
        onnx.save(model, path)
        self._check(path)
        described = {
            "inputs": list(map(_describe, model.graph.input)),
            "outputs": list(map(_describe, model.graph.output)),
        }
        parity = self._parity(path, name, reference, inputs)
        return {"file": GRAPHS[name]} | described | {"parity": parity, "variants": {}}

    def _convert(self, function: Any) -> onnx.ModelProto:
        options = {
            "opset": min(self.opset, CONVERTER_OPSET),
            "custom_op_handlers": handlers(),
            "custom_rewriter": [rewrite_gelu, rewrite_gather],
        }
        if self.is_large:
            model = convert_large(function, **options)
        else:
            model, _ = tf2onnx.convert.from_function(function, function.input_signature, **options)
        del model.graph.value_info[:]  # tf2onnx names their axes at random
        check_operators(model, self.layers)
        to_standard(model)
        fold_batch_normalization(model)
        return model

    def _parity(self, path: Path, name: str, reference: Any, inputs: MakeInputs) -> dict[str, float]:
        """The largest relative error of each output."""
        session = self._session(path)
        names = [output.name for output in session.get_outputs()]
        errors = dict.fromkeys(names, 0.0)
        for batch in PARITY_BATCHES if self.batch is None else (self.batch,):
            arrays = inputs(batch, batch)
            received = dict(zip(names, session.run(names, arrays), strict=True))
            for output, value in reference(*arrays.values()).items():
                expected = _finite(f"{name}/{output}", value.numpy())
                error = check_output(f"{name}/{output}", received[output], expected, f" at batch {batch}")
                errors[output] = max(errors[output], error)
        return errors

    def _check(self, path: Path) -> None:
        try:
            onnx.checker.check_model(path, full_check=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            operator, node = _culprit(str(error), "op_type:", ",", "node name: ", ")")
            raise UnsupportedOpError(operator, layer_of(node, self.layers), self.opset) from error

    def _session(self, path: Path) -> onnxruntime.InferenceSession:
        try:
            return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions share no narrower class
            operator, node = _culprit(str(error), "implementation for ", "(", "'", "'")
            received = "one that onnxruntime does not have for these types"
            raise UnsupportedOpError(operator, layer_of(node, self.layers), self.opset, received) from error


def _finite(tensor: str, value: np.ndarray) -> np.ndarray:
    if np.isfinite(value).all():
        return value
    wrong = np.count_nonzero(~np.isfinite(value))
    raise ValueError(
        f"The model's {tensor}: expected finite numbers, received {wrong} NaN or infinite of {value.size}. "
        "Check its weights: training may have diverged."
    )


def check_operators(model: onnx.ModelProto, layers: set[str]) -> None:
    """Raises UnsupportedOpError for the first node that is no operator of the model's ONNX opset.

    tf2onnx only logs such nodes, and returns a model that no runtime loads.

    Args:
        model: Model that tf2onnx returned.
        layers: Names of the Keras layers. The error names one of them.
    """
    opset = {entry.domain: entry.version for entry in model.opset_import}[""]
    for node in nodes(model.graph):
        if node.domain not in ("", "ai.onnx") or not onnx.defs.has(node.op_type, opset, ""):
            raise UnsupportedOpError(node.op_type, layer_of(node.name, layers), opset)


def name_axes(model: onnx.ModelProto, batch: int | None, outputs: dict[str, tuple[int, ...]]) -> None:
    """Names the first axis of inputs and outputs, or states its size, and states the sizes of the outputs' other axes.

    Args:
        model: Model to change.
        batch: Size of the first axis; None if it is open, and then it is called "batch".
        outputs: Shapes of the outputs without that axis.
    """
    for value in (*model.graph.input, *model.graph.output):
        first, *others = value.type.tensor_type.shape.dim
        if batch is None:
            first.dim_param = "batch"
        else:
            first.dim_value = batch
        for axis, size in zip(others, outputs.get(value.name, ()), strict=False):
            axis.dim_value = size


def _describe(value: onnx.ValueInfoProto) -> dict[str, Any]:
    tensor = value.type.tensor_type
    shape = [dim.dim_param or dim.dim_value for dim in tensor.shape.dim]
    return {"name": value.name, "dtype": onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name, "shape": shape}


def _culprit(message: str, *marks: str) -> tuple[str, str]:
    """Operator and node in a library's message, each between two marks; the first line if it names neither."""
    before, after, start, end = marks
    _, found, rest = message.partition(before)
    operator, _, rest = rest.partition(after)
    node, _, _ = rest.partition(start)[2].partition(end)
    return (operator, node) if found else (message.splitlines()[0], "unknown")
