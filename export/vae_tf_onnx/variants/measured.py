"""The measurements of a variant: its errors against float32, and its latency."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from vae_tf_onnx.bundle import Bundle
from vae_tf_onnx.runtime import Decoder, Graph
from vae_tf_onnx.variants.inputs import BATCH, Inputs
from vae_tf_onnx.variants.timing import interleaved

Array = np.ndarray
Outputs = dict[str, Array]
Measurements = dict[str, Any]

MEANS = {"decoder": "mean", "encoder": "loc"}
"""The graphs that have variants, each with the output whose errors are measured."""
THREADS = 1
_LARGEST_RANGE = 65535.0  # the widest range of images; a wider one is that of counts, which has no end
_ROUNDS = 5


def outputs(graph: Graph, inputs: Inputs) -> Outputs:
    """All outputs of a graph for its inputs, `[n, ...]` each, run one batch at a time."""
    return _run(graph, inputs, inputs.arrays[graph.name])


def _run(graph: Graph, inputs: Inputs, rows: Array) -> Outputs:
    parts = [graph.run(part) for part in inputs.in_batches(rows)]
    return {name: np.concatenate([part[name] for part in parts])[: len(rows)] for name in graph.output_names}


def are_finite(values: Outputs) -> bool:
    """Whether no output is NaN or infinite."""
    return all(bool(np.isfinite(array).all()) for array in values.values())


def unit(bundle: Bundle, graph: str, expected: Outputs) -> tuple[float, str]:
    """The unit of a tolerance, and its name.

    For the decoder it is the width of the data range. For the encoder, and for counts, whose range has no end, it is
    the width of the range of the float32 graph's values.
    """
    low, high = map(float, bundle.manifest["data_range"])
    if graph == "decoder" and high - low <= _LARGEST_RANGE:
        return high - low, "the data range"
    return float(np.ptp(expected[MEANS[graph]])) or 1.0, f"the range of {MEANS[graph]}"


def errors(graph: str, received: Outputs, expected: Outputs) -> Measurements:
    """The errors of a graph.

    They are the largest and the mean absolute error of the mean (`loc` for an encoder), the largest error of `scale` as
    a share of it (None without such an output), and the number of rows.
    """
    name = MEANS[graph]
    difference = np.abs(received[name].astype(np.float64) - expected[name])
    return {
        "max_abs_error": rounded(difference.max()),
        "mean_abs_error": rounded(difference.mean()),
        "scale_error": _scale_error(received, expected),
        "num_inputs": len(difference),
    }


def no_errors(inputs: Array) -> Measurements:
    """The entries that stand for the errors of a graph whose outputs for these inputs are not finite."""
    return dict.fromkeys(("max_abs_error", "mean_abs_error", "scale_error")) | {"num_inputs": len(inputs)}


def _scale_error(received: Outputs, expected: Outputs) -> float | None:
    if "scale" not in received:
        return None
    scale = expected["scale"].astype(np.float64)
    return rounded((np.abs(received["scale"] - scale) / np.maximum(scale, np.finfo(np.float32).tiny)).max())


def log_probs(bundle: Bundle, graph: Graph, inputs: Inputs) -> Array | None:
    """log p(x|z) in nats of the data at their latents, `[m]`, run one batch at a time; None if it is undefined."""
    if graph.name != "decoder" or bundle.manifest["likelihood"].get("family") is None or not len(inputs.x):
        return None
    parameters = _run(graph, inputs, inputs.z)
    try:
        values = Decoder(bundle).likelihood.log_prob(inputs.x, parameters)
    except ValueError:  # the data lie outside of the support
        return None
    return values.reshape(len(inputs.x), -1).sum(axis=1)


def log_prob_error(received: Array | None, expected: Array | None) -> float | None:
    """The largest difference in nats; None if a value is undefined, or float32's is not finite."""
    if received is None or expected is None or not np.isfinite(expected).all():
        return None
    return rounded(np.abs(received - expected).max())


def latencies(graphs: Mapping[str, Graph], inputs: Inputs) -> dict[str, dict[str, float]]:
    """The median milliseconds of a run of each graph at batch 1 and 32, or at the bundle's fixed batch size."""
    medians: dict[str, dict[str, float]] = {name: {} for name in graphs}
    for batch in batch_sizes(inputs):
        calls = {name: bare_run(graph, inputs, batch) for name, graph in graphs.items()}
        for name, seconds in interleaved(calls, _ROUNDS).items():
            medians[name][str(batch)] = rounded(1e3 * float(np.median(seconds)))
    return medians


def batch_sizes(inputs: Inputs, wanted: tuple[int, ...] = (1, BATCH)) -> tuple[int, ...]:
    """The wanted batch sizes, or the one batch size that the bundle allows."""
    return wanted if inputs.batch == BATCH else (inputs.batch,)


def bare_run(graph: Graph, inputs: Inputs, batch: int) -> Callable[[], Any]:
    """A call of onnxruntime, and of nothing else, that computes the mean of the first rows of the inputs."""
    session, names = graph.session, [MEANS[graph.name]]
    feed = {name: rows_of(inputs, graph.name, batch) for name in graph.input_shapes}
    return lambda: session.run(names, feed)


def rows_of(inputs: Inputs, graph: str, batch: int) -> Array:
    """The first rows of a graph's input, as many as `batch`."""
    return np.take(inputs.arrays[graph], range(batch), axis=0, mode="wrap")


def rounded(value: Any) -> float:
    """A number to four digits, for the manifest; NaN and infinity, which JSON lacks, become the largest float."""
    return float(f"{float(value):.4g}") if math.isfinite(value) else float(np.finfo(np.float64).max)
