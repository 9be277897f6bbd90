"""The conversion to 8-bit weights and activations, by onnxruntime's quantiser.

These choices were measured on decoders and encoders of digits and MNIST (x86 with VNNI, onnxruntime 1.31, one thread):

- The outputs of layers are not rounded to 8 bits. The layer behind rounds its input anyway, and the last one, whose
  output is the mean or a posterior's scale, would saturate at the range of the calibration data: an error of 0.2 of the
  data range instead of 0.04.
- A small first layer stays in float32, because the rounding of z is felt everywhere: the error is 0.02, and 0.05 if it
  is quantised.
- Only layers with weights are quantised, and dynamically only matrix products: `ConvInteger` took three times as long
  as the float32 convolution.
- Static weights have one scale per tensor: with one per channel onnxruntime unpacks some layers anew in every run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

_LAYERS = ["Conv", "ConvTranspose", "Gemm", "MatMul"]
_SMALL = 1 / 8  # share of the weights, below which a layer is small


def quantize(source: Path, path: Path, calibration: Iterable[Mapping[str, np.ndarray]] | None = None) -> None:
    """Writes the model of the file `source` in 8 bits.

    Args:
        source: File of the model in float32.
        path: File to write.
        calibration: Inputs by name, one batch at a time, from which the ranges of activations are taken once and for
            all. With None each run takes them from its own batch, so that a row's result depends on its neighbours.
    """
    with tempfile.TemporaryDirectory() as scratch:
        fused = Path(scratch) / "model.onnx"  # matrix product and bias in one node, which onnxruntime has in 8 bits
        quant_pre_process(source, fused, skip_symbolic_shape=True)
        excluded = _name_nodes(fused)
        if calibration is None:
            quantize_dynamic(fused, path, op_types_to_quantize=["MatMul"], nodes_to_exclude=excluded, per_channel=True)
        else:
            quantize_static(
                fused,
                path,
                _Reader(calibration),
                op_types_to_quantize=_LAYERS,
                nodes_to_exclude=excluded,
                activation_type=QuantType.QUInt8,
                extra_options={"OpTypesToExcludeOutputQuantization": _LAYERS},
            )


def _name_nodes(path: Path) -> list[str]:
    """Gives each node of a file a name of its own; returns the names of the nodes to leave in float32."""
    model = onnx.load(path)
    for index, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{index}"
    onnx.save(model, path)
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in model.graph.initializer}
    layers = {
        node.name: sum(sizes.get(name, 0) for name in node.input)
        for node in model.graph.node
        if node.op_type in _LAYERS
    }
    first = next(iter(layers), None)
    if first is None or layers[first] > _SMALL * sum(layers.values()):
        return []
    return [first, f"{first}_MatMul"]  # what the dynamic quantiser calls the product of a Gemm


class _Reader(CalibrationDataReader):
    def __init__(self, batches: Iterable[Mapping[str, np.ndarray]]) -> None:
        self._batches = iter(batches)

    def get_next(self) -> Mapping[str, np.ndarray] | None:
        """The next batch; None at the end."""
        return next(self._batches, None)
