"""Variants of a bundle's decoder and encoder: float16, 8 bits, ONNX Runtime's format, each with what it costs.

A variant lies beside the float32 file, which stays. Its measurements in the manifest were made on the file as written.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import onnxruntime

from vae_tf_onnx import card
from vae_tf_onnx.bundle import CARD, FP32, VARIANTS, Bundle, open_bundle, sha256, write_manifest
from vae_tf_onnx.errors import ParityError
from vae_tf_onnx.runtime import Graph
from vae_tf_onnx.variants import measured
from vae_tf_onnx.variants.inputs import CALIBRATION_ROWS, Inputs, calibration, checked_data, measuring
from vae_tf_onnx.variants.measured import Measurements
from vae_tf_onnx.variants.tolerances import NATS, SCALES, TOLERANCES, beyond, limits, precision

__all__ = ["NATS", "SCALES", "TOLERANCES", "add"]

_STATIC = "int8-static"


def add(
    folder: str | Path,
    names: Iterable[str],
    *,
    x: Any = None,
    tolerance: float | None = None,
    force: bool = False,
) -> dict[str, Measurements]:
    """Writes variants of the decoder (and of the encoder, if there is one) into a bundle and measures them.

    Returns the measurements of the decoder's variants, by name.

    The measurements of a variant are:

    - `file` and `bytes`;
    - `max_abs_error` and `mean_abs_error` of the mean (`loc` for the encoder), against the float32 graph on
      `num_inputs` >= 256 inputs;
    - `scale_error`, the largest error of an output `scale`, as a share of it;
    - `log_prob_error`, the largest error of log p(x|z) of an example, in nats;
    - `finite`, whether all outputs are finite;
    - `latency_ms`, medians at batch 1 and 32, with `threads` threads of the version `onnxruntime`;
    - `tolerances` of the three errors (that of log p(x|z) per dimension of x), and `within_tolerances`.

    A number that is not defined is None. "fp32" is measured beside the others. The measurements go to
    `graphs[graph]["variants"]` of the manifest. All other graphs stay in float32. Either all variants are written, or
    none. The model card is written anew if the bundle has one.

    Args:
        folder: Folder of a bundle.
        names: Names of variants, some of `vae_tf_onnx.bundle.VARIANTS`: fp16, int8-dynamic, int8-static, ort, ...
        x: Data `[n, *E]`. One half calibrates int8-static, which needs 64 of them; the other half is measured on. By
            default the examples in the bundle are measured on. Without an encoder z is sampled from the prior.
        tolerance: Largest `max_abs_error` in units of the data range (for the encoder and for counts in units of the
            range of the float32 values); by default `TOLERANCES`. Besides, `log_prob_error` may be at most `NATS` per
            dimension of x, and `scale_error` at most `SCALES`, whatever the tolerance.
        force: Whether to keep a variant that is beyond a tolerance. One with NaN or infinite values is never kept.

    Raises:
        BundleError: For a bundle that is damaged.
        ImportError: If the package onnx is not installed.
        ParityError: For a variant that is beyond a tolerance, or has values that are not finite.
        ValueError: For an unknown name, an impossible tolerance, data of another shape, int8-static without data, or
            weights of more than 2 GB.
    """
    bundle = open_bundle(folder)
    names = _checked_names([names] if isinstance(names, str) else list(names))
    if tolerance is not None and not (math.isfinite(tolerance) and tolerance > 0):
        raise ValueError(f"tolerance: expected a number above 0, received {tolerance!r}. Pass 0.05.")
    for name in bundle.manifest["files"]:
        bundle.read(name)
    static = any(precision(name) == _STATIC for name in names)
    if static and x is None and bundle.holds("encoder"):
        raise ValueError("int8-static: expected data x to calibrate on, received None. Pass images, x=x_test.")
    x = None if x is None else checked_data(bundle, x, least=CALIBRATION_ROWS if static else 1)
    measurements = _add(bundle, names, x, tolerance, force)
    if CARD in bundle.manifest["files"]:
        card.write(folder)
    return measurements


def _add(bundle: Bundle, names: list[str], x: Any, tolerance: float | None, force: bool) -> dict[str, Measurements]:
    inputs = measuring(bundle, x)
    calibrating = calibration(bundle, x) if any(precision(name) == _STATIC for name in names) else None
    folder = bundle.folder
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
        draft = _draft(bundle, names, Path(scratch), inputs, calibrating)
        found = {graph: _measured(bundle, draft, graph, names, inputs, tolerance, force) for graph in inputs.arrays}
        for graph in found:
            for name in names:
                os.replace(draft.folder / draft.file(graph, name), folder / draft.file(graph, name))
    graphs = bundle.manifest["graphs"]
    described = {
        graph: graphs.get(graph, {}) | {"variants": graphs.get(graph, {}).get("variants", {}) | found[graph]}
        for graph in found
    }
    write_manifest(folder, bundle.manifest | {"graphs": graphs | described})
    return found["decoder"]


def _draft(bundle: Bundle, names: list[str], scratch: Path, inputs: Inputs, calibrating: Inputs | None) -> Bundle:
    """A bundle in a scratch folder that holds the variants."""
    try:
        from vae_tf_onnx.variants import _make
    except ImportError as missing:
        raise ImportError(
            f"Variants: expected the package {missing.name}, received no such package. "
            'Install it: pip install "vae-tf-onnx[convert]".'
        ) from missing
    paths = [_make.make(bundle, graph, name, scratch, inputs, calibrating) for graph in inputs.arrays for name in names]
    files = {path.relative_to(scratch).as_posix(): sha256(path.read_bytes()) for path in paths}
    return Bundle(scratch, bundle.manifest | {"files": files})


def _measured(
    bundle: Bundle, draft: Bundle, graph: str, names: list[str], inputs: Inputs, tolerance: float | None, force: bool
) -> dict[str, Measurements]:
    """The measurements of a graph's variants, loaded from their files; ParityError for one that must not be kept."""
    loaded = {FP32: Graph(bundle, graph, threads=measured.THREADS)}
    loaded |= {name: Graph(draft, graph, variant=name, threads=measured.THREADS) for name in names}
    expected = measured.outputs(loaded[FP32], inputs)
    expected_log_prob = measured.log_probs(bundle, loaded[FP32], inputs)
    found = {}
    for name, variant in loaded.items():
        received = measured.outputs(variant, inputs)
        finite = measured.are_finite(received)
        if name != FP32 and not finite:
            raise _not_finite(graph, name)
        log_prob = measured.log_probs(bundle, variant, inputs) if finite else None
        errors = measured.errors(graph, received, expected) if finite else measured.no_errors(inputs.arrays[graph])
        errors |= {"log_prob_error": measured.log_prob_error(log_prob, expected_log_prob)}
        if name != FP32:
            allowed = limits(name, tolerance)
            error = beyond(bundle, graph, name, errors, expected, allowed)
            if error and not force:
                raise error
            errors |= {"tolerances": allowed, "within_tolerances": error is None}
        found[name] = errors | {
            "file": draft.file(graph, name),
            "bytes": len((bundle if name == FP32 else draft).read(draft.file(graph, name))),
            "finite": finite,
            "threads": measured.THREADS,
            "onnxruntime": onnxruntime.__version__,
        }
    for name, medians in measured.latencies(loaded, inputs).items():
        found[name]["latency_ms"] = medians
    return found


def _checked_names(names: list[str]) -> list[str]:
    unknown = [name for name in names if name not in VARIANTS]
    if unknown or not names:
        received = ", ".join(map(repr, unknown)) or "none"
        raise ValueError(f"Variants: expected {', '.join(VARIANTS)}, received {received}. Choose among them.")
    return list(dict.fromkeys(names))


def _not_finite(graph: str, name: str) -> ParityError:
    return ParityError(
        f"{graph} in {name}",
        math.inf,
        0.0,
        kind="NaN and infinite values in numbers",
        remedy="Such a variant is never kept, not even by force. Choose another one.",
    )
