"""Other files of a bundle's decoder and encoder: float16, 8 bits, ONNX Runtime's format; each with what it costs.

A variant lies beside the float32 file, which stays. Its row in the manifest was measured on the file as written.
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
from vae_tf_onnx.variants import rows as measured
from vae_tf_onnx.variants.inputs import CALIBRATION_ROWS, Inputs, calibration, checked_data, measuring
from vae_tf_onnx.variants.rows import Row
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
) -> dict[str, Row]:
    """Writes variants of the decoder and, where there is one, the encoder into a bundle; returns the decoder's rows.

    A row holds `file`, `bytes`, `max_abs_error` and `mean_abs_error` of the mean (`loc` for the encoder) against the
    float32 graph on `num_inputs` >= 256 inputs, `scale_error` (the largest error of an output `scale`, as a share of
    it), `log_prob_error` (the largest error of log p(x|z) of an example in nats), `finite`, and `latency_ms`, medians
    at batch 1 and 32 with `threads` of `onnxruntime`; None where something is not defined. It also holds the
    `tolerances` of the three errors (of log p(x|z): per dimension of x) and `within_tolerances`. The row "fp32" is
    measured beside the others. Rows go to `graphs[graph]["variants"]` of the manifest. All other graphs stay
    in float32. All variants are written, or none. The model card is written anew where the bundle has one.

    Args:
        folder: of a bundle.
        names: of `vae_tf_onnx.bundle.VARIANTS`: fp16, int8-dynamic, int8-static, ort, fp16-ort, ...
        x: data `[n, *E]`: one half calibrates int8-static, which needs 64 of them, on the other the rows are measured.
            By default they are measured on the examples in the bundle. Without an encoder z is drawn from the prior.
        tolerance: largest `max_abs_error` in units of the data range (for the encoder and for counts: of the range of
            the float32 values); by default `TOLERANCES`. Besides, `log_prob_error` may be at most `NATS` per dimension
            of x, and `scale_error` at most `SCALES`, whatever the tolerance.
        force: keeps a variant beyond all of them; one with NaN or infinite values is never kept.

    Raises:
        BundleError: for a bundle that is damaged.
        ImportError: without the package onnx.
        ParityError: for a variant beyond a tolerance, or with values that are not finite.
        ValueError: for an unknown name or tolerance, data of another shape, int8-static without data, or weights of
            more than 2 GB.
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
    rows = _add(bundle, names, x, tolerance, force)
    if CARD in bundle.manifest["files"]:
        card.write(folder)
    return rows


def _add(bundle: Bundle, names: list[str], x: Any, tolerance: float | None, force: bool) -> dict[str, Row]:
    inputs = measuring(bundle, x)
    calibrating = calibration(bundle, x) if any(precision(name) == _STATIC for name in names) else None
    folder = bundle.folder
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
        draft = _draft(bundle, names, Path(scratch), inputs, calibrating)
        rows = {graph: _rows(bundle, draft, graph, names, inputs, tolerance, force) for graph in inputs.arrays}
        for graph in rows:
            for name in names:
                os.replace(draft.folder / draft.file(graph, name), folder / draft.file(graph, name))
    graphs = bundle.manifest["graphs"]
    described = {
        graph: graphs.get(graph, {}) | {"variants": graphs.get(graph, {}).get("variants", {}) | rows[graph]}
        for graph in rows
    }
    write_manifest(folder, bundle.manifest | {"graphs": graphs | described})
    return rows["decoder"]


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


def _rows(
    bundle: Bundle, draft: Bundle, graph: str, names: list[str], inputs: Inputs, tolerance: float | None, force: bool
) -> dict[str, Row]:
    """The rows of a graph, each variant loaded from its file; raises ParityError for one that is not to be kept."""
    loaded = {FP32: Graph(bundle, graph, threads=measured.THREADS)}
    loaded |= {name: Graph(draft, graph, variant=name, threads=measured.THREADS) for name in names}
    expected = measured.outputs(loaded[FP32], inputs)
    expected_log_prob = measured.log_probs(bundle, loaded[FP32], inputs)
    rows = {}
    for name, variant in loaded.items():
        received = measured.outputs(variant, inputs)
        finite = measured.are_finite(received)
        if name != FP32 and not finite:
            raise _not_finite(graph, name)
        log_prob = measured.log_probs(bundle, variant, inputs) if finite else None
        row = measured.errors(graph, received, expected) if finite else measured.no_errors(inputs.arrays[graph])
        row |= {"log_prob_error": measured.log_prob_error(log_prob, expected_log_prob)}
        if name != FP32:
            allowed = limits(name, tolerance)
            error = beyond(bundle, graph, name, row, expected, allowed)
            if error and not force:
                raise error
            row |= {"tolerances": allowed, "within_tolerances": error is None}
        rows[name] = row | {
            "file": draft.file(graph, name),
            "bytes": len((bundle if name == FP32 else draft).read(draft.file(graph, name))),
            "finite": finite,
            "threads": measured.THREADS,
            "onnxruntime": onnxruntime.__version__,
        }
    for name, medians in measured.latencies(loaded, inputs).items():
        rows[name]["latency_ms"] = medians
    return rows


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
