"""The writing of a variant's file, which needs the package onnx."""

from __future__ import annotations

from pathlib import Path

import onnx

from vae_tf_onnx.bundle import EXTERNAL, FP32, ORT, Bundle
from vae_tf_onnx.variants import _half, _integers, _ort
from vae_tf_onnx.variants.inputs import Inputs


def make(bundle: Bundle, graph: str, variant: str, folder: Path, measuring: Inputs, calibration: Inputs | None) -> Path:
    """Writes a variant of a graph into `folder`, at the place it has in a bundle; returns its path.

    Args:
        bundle: Bundle that holds the graph in float32, with its checksum verified.
        graph: "decoder" or "encoder".
        variant: One of VARIANTS.
        folder: A scratch folder.
        measuring: Inputs on which the range of float16 is checked.
        calibration: Inputs from which 8-bit ranges are taken, if they are static.

    Raises:
        ValueError: For a graph whose weights lie outside of its file.
    """
    path = folder / bundle.file(graph, variant)
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    precision = variant.removesuffix(ORT).removesuffix("-")
    if variant.endswith(ORT):
        _ort.save(make(bundle, graph, precision or FP32, folder, measuring, calibration), path)
    elif variant == FP32:
        path.write_bytes(_content(bundle, graph))
    elif variant == "fp16":
        model = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(_content(bundle, graph)))
        largest = _half.largest_magnitudes(model, measuring.batches(graph))
        onnx.save(_half.convert(model, largest), path)
    else:
        batches = calibration.batches(graph) if calibration and variant == "int8-static" else None
        _integers.quantize(make(bundle, graph, FP32, folder, measuring, calibration), path, batches)
    return path


def _content(bundle: Bundle, graph: str) -> bytes:
    name = bundle.file(graph)
    if name + EXTERNAL in bundle.manifest["files"]:
        raise ValueError(
            f"Variants of {graph}: expected a graph of less than 2 GB, whose weights are in its file, received "
            f"{name}{EXTERNAL} beside it. Keep this bundle in fp32."
        )
    return bundle.read(name)
