"""A measurement of how exact and how fast the variants of a bundle are on this machine."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from vae_tf_onnx.bundle import FP32, VARIANTS, Bundle, open_bundle
from vae_tf_onnx.runtime import Decoder, Encoder, Graph
from vae_tf_onnx.variants import measured
from vae_tf_onnx.variants.inputs import Inputs, measuring
from vae_tf_onnx.variants.timing import interleaved
from vae_tf_onnx.verification import relative_error

__all__ = ["bench"]

_METHODS = {"decoder": "decode", "encoder": "encode"}
_OVERHEAD_ROUNDS = 100
_SAME_MODEL = 1e-3


@dataclass
class _Line:
    """A line of the table: size and errors of a contender; by batch size its median and 95th percentile in ms."""

    name: str
    size: int | None = None
    errors: dict[str, Any] = field(default_factory=dict)
    log_prob_error: float | None = None
    latency: dict[int, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Keras:
    """Ways to run the Keras model on an input `[B, ...]`, by name, and a description of TensorFlow."""

    calls: dict[str, Callable[[np.ndarray], Any]]
    described: str


def bench(
    folder: str | Path,
    *,
    graph: str = "decoder",
    batches: Sequence[int] = (1, 32),
    threads: int = 1,
    model: str | Path | None = None,
    rounds: int = 20,
) -> str:
    """Measures each variant of a graph and returns the table as text.

    The errors are those of `vae_tf_onnx.add_variants`, measured again on this machine because 8-bit kernels differ
    between processors. All contenders take turns in one process.

    Args:
        folder: Folder of a bundle.
        graph: "decoder" or "encoder".
        batches: Batch sizes to measure. A bundle of a fixed batch size is measured at that one.
        threads: Number of threads of onnxruntime and, if it is not loaded yet, of TensorFlow.
        model: Path of the `.keras` file that the bundle was exported from, to be measured too. This needs TensorFlow.
        rounds: Number of turns of each contender.

    Raises:
        BundleError: For a bundle that is damaged or has no such graph.
        ValueError: For numbers below 1, for another graph, or for a model that computes something else.
    """
    for name, value in (("threads", threads), ("rounds", rounds), *(("batch", batch) for batch in batches)):
        if value < 1:
            raise ValueError(f"{name}: expected a whole number of at least 1, received {value}. Pass 1.")
    if graph not in _METHODS:
        raise ValueError(f"graph: expected {' or '.join(_METHODS)}, received {graph!r}. Only these have variants.")
    bundle = open_bundle(folder)
    names = [FP32, *(name for name in VARIANTS if bundle.holds(graph, name))]
    graphs = {name: Graph(bundle, graph, variant=name, threads=threads) for name in names}
    inputs = measuring(bundle)
    keras = None if model is None else _keras(model, graph, threads)
    lines = _measured(bundle, graphs, inputs)
    lines += _keras_lines(keras, graph, measured.outputs(graphs[FP32], inputs), inputs) if keras else []
    for batch in measured.batch_sizes(inputs, tuple(batches)):
        calls = {name: measured.bare_run(variant, inputs, batch) for name, variant in graphs.items()}
        calls |= {name: _call(run, inputs, graph, batch) for name, run in keras.calls.items()} if keras else {}
        for line, seconds in zip(lines, interleaved(calls, rounds).values(), strict=True):
            line.latency[batch] = (1e3 * float(np.median(seconds)), 1e3 * float(np.percentile(seconds, 95)))
    parts = [_heading(bundle, graphs[FP32], inputs, threads, keras), _table(lines)]
    parts += [_speeds(lines)] if keras else []
    return "\n\n".join([*parts, _overhead(bundle, graph, inputs, threads)])


def _measured(bundle: Bundle, graphs: dict[str, Graph], inputs: Inputs) -> list[_Line]:
    expected = measured.outputs(graphs[FP32], inputs)
    log_prob = measured.log_probs(bundle, graphs[FP32], inputs)
    lines = []
    for name, graph in graphs.items():
        received = measured.outputs(graph, inputs)
        line = _Line(name, size=len(bundle.read(bundle.file(graph.name, name))))
        if measured.are_finite(received):
            line.errors = measured.errors(graph.name, received, expected)
            line.log_prob_error = measured.log_prob_error(measured.log_probs(bundle, graph, inputs), log_prob)
        lines.append(line)
    return lines


def _keras(path: str | Path, graph: str, threads: int) -> _Keras:
    """The model's three ways to compute a mean (though `predict` returns a sample of the distribution)."""
    chosen = "tensorflow" not in sys.modules
    if chosen:
        os.environ |= {"TF_NUM_INTRAOP_THREADS": str(threads), "TF_NUM_INTEROP_THREADS": "1"}
    try:
        from vae_tf import quiet
    except ImportError as missing:
        raise ImportError(
            f"bench --model: expected the package {missing.name}, received no such package. "
            "Install vae_tf beside this package: pip install vae-tf."
        ) from missing
    quiet.import_tensorflow()
    import tensorflow as tf

    import vae_tf

    vae = vae_tf.load(Path(path))
    network = getattr(vae, graph)
    compiled = tf.function(lambda rows: network(rows, training=False).mean(), reduce_retracing=True)
    calls = {
        f"vae.{_METHODS[graph]}": getattr(vae, _METHODS[graph]),
        f"vae.{graph}.predict": lambda rows: network.predict(rows, verbose=0),
        "tf.function": lambda rows: compiled(tf.constant(rows)).numpy(),
    }
    return _Keras(calls, f"TensorFlow {tf.__version__} on {_threads(threads) if chosen else 'threads of its choice'}")


def _keras_lines(keras: _Keras, graph: str, expected: measured.Outputs, inputs: Inputs) -> list[_Line]:
    name = measured.MEANS[graph]
    received = keras.calls[f"vae.{_METHODS[graph]}"](inputs.arrays[graph])
    error = relative_error(received, expected[name])
    if not error < _SAME_MODEL:
        raise ValueError(
            f"model: expected the one that the bundle was exported from, received one whose {graph} differs by "
            f"{error:.2g} of the largest value. Pass its .keras file."
        )
    lines = [_Line(call) for call in keras.calls]
    lines[0].errors = measured.errors(graph, {name: received}, expected)
    return lines


def _call(run: Callable[[np.ndarray], Any], inputs: Inputs, graph: str, batch: int) -> Callable[[], Any]:
    array = measured.rows_of(inputs, graph, batch)
    return lambda: run(array)


def _heading(bundle: Bundle, graph: Graph, inputs: Inputs, threads: int, keras: _Keras | None) -> str:
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    engine = f"onnxruntime {onnxruntime.__version__} ({graph.session.get_providers()[0]}) on {_threads(threads)}"
    return "\n".join(
        [
            f"The {graph.name} of {bundle.folder}",
            ", ".join([engine, *([keras.described] if keras else [])]),
            f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs{load} at the end of the run",
            f"Errors of {measured.MEANS[graph.name]} against fp32 on {len(inputs.arrays[graph.name])} inputs, of log p "
            f"in nats on {len(inputs.x)} examples; milliseconds: median (95th percentile), and times that of fp32",
        ]
    )


def _table(lines: list[_Line]) -> str:
    batches = list(lines[0].latency)
    header = ["", "kB", "max error", "mean error", "nats", *(f"ms at batch {batch}" for batch in batches)]
    cells = [header]
    for line in lines:
        cells.append(
            [
                line.name,
                "" if line.size is None else f"{line.size / 1000:,.1f}",
                *(_error(line, key) for key in ("max_abs_error", "mean_abs_error")),
                "" if line.log_prob_error is None else _digits(line.log_prob_error),
                *(_latency(line.latency[batch], lines[0].latency[batch]) for batch in batches),
            ]
        )
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(map(_aligned, row, widths, range(len(row)))).rstrip() for row in cells)


def _latency(latency: tuple[float, float], reference: tuple[float, float]) -> str:
    median, late = latency
    return f"{median:.3f} ({late:.3f}) {median / reference[0]:.2f} x"


def _aligned(cell: str, width: int, column: int) -> str:
    return cell.ljust(width) if column == 0 else cell.rjust(width)


def _error(line: _Line, key: str) -> str:
    if line.size is not None and not line.errors:
        return "not finite"
    return _digits(line.errors[key]) if key in line.errors else ""


def _digits(error: float) -> str:
    """An error to two digits; the largest float stands for NaN and infinity, see measured.rounded."""
    return f"{error:.2g}" if error < sys.float_info.max else "not finite"


def _speeds(lines: list[_Line]) -> str:
    """Sentences that say how many times faster float32 is than each way to run the Keras model."""
    sentences = []
    for line in lines:
        if line.size is None:
            ratios = [
                f"{ms / lines[0].latency[batch][0]:.1f} at batch {batch}" for batch, (ms, _) in line.latency.items()
            ]
            sentences.append(f"fp32 is faster than {line.name} by a factor of {', '.join(ratios)}.")
    return "\n".join(sentences)


def _overhead(bundle: Bundle, graph: str, inputs: Inputs, threads: int) -> str:
    """A sentence about the time that the runtime adds to a run of onnxruntime, at the smallest batch."""
    wrapped = Decoder(bundle, threads=threads) if graph == "decoder" else Encoder(bundle, threads=threads)
    batch = measured.batch_sizes(inputs)[0]
    array = measured.rows_of(inputs, graph, batch)
    method = getattr(wrapped, _METHODS[graph])
    calls = {"method": lambda: method(array), "bare": measured.bare_run(wrapped, inputs, batch)}
    times = {name: float(np.median(s)) for name, s in interleaved(calls, _OVERHEAD_ROUNDS).items()}
    added = times["method"] - times["bare"]
    name = f"{type(wrapped).__name__}.{_METHODS[graph]}"
    return (
        f"{name} at batch {batch}: {1e6 * times['method']:.1f} us, a bare onnxruntime session "
        f"{1e6 * times['bare']:.1f} us: {1e6 * added:+.1f} us ({added / times['bare']:+.1%})"
    )


def _threads(count: int) -> str:
    return f"{count} thread" + ("s" if count > 1 else "")
