"""Does a bundle still compute what the Keras model computed? Asked and answered without TensorFlow."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path

import numpy as np

from vae_tf_onnx.bundle import GOLDEN, Bundle, open_bundle
from vae_tf_onnx.errors import BundleError, ParityError
from vae_tf_onnx.runtime import Decoder, Encoder, Graph

TOLERANCE = 1e-5
LOG_PROB_TOLERANCE = 1e-4


def relative_error(received: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference over the largest expected magnitude; infinite where a value is not finite."""
    if received.shape != expected.shape or not np.isfinite(received).all():
        return float("inf")
    difference = np.abs(received.astype(np.float64) - expected).max()
    return float(difference / max(np.abs(expected).max(), np.finfo(np.float32).tiny))


def check_parity(tensor: str, received: np.ndarray, expected: np.ndarray, tolerance: float = TOLERANCE) -> float:
    """The relative error, or a ParityError where it is above `tolerance`."""
    error = relative_error(received, expected)
    if not error <= tolerance:
        raise ParityError(tensor, error, tolerance)
    return error


def verify(folder: str | Path) -> dict[str, float]:
    """Replays the golden set of a bundle; returns the relative error of every output.

    Every file is compared with its checksum first.

    Raises:
        BundleError: for a bundle that is damaged or newer.
        ParityError: where an output differs by more than 1e-5, or a log-probability by more than 1e-4, relative.
    """
    bundle = open_bundle(folder)
    for name in bundle.manifest["files"]:
        bundle.read(name)
    decoder = Decoder(bundle)
    graphs: dict[str, Graph] = {"decoder": decoder}
    graphs |= {name: Graph(bundle, name) for name in ("prior", "posterior") if bundle.holds(name)}
    graphs |= {"encoder": Encoder(bundle)} if bundle.holds("encoder") else {}
    inputs = {name: [_golden_name(name, source) for source in graph.input_shapes] for name, graph in graphs.items()}
    wanted = {"z", "x", "log_prob"}.union(*inputs.values())
    golden = _golden(
        bundle, wanted.union(f"{name}/{output}" for name, graph in graphs.items() for output in graph.output_names)
    )
    errors = {}
    for name, graph in graphs.items():
        for output, received in graph.run(*(golden[source] for source in inputs[name])).items():
            key = f"{name}/{output}"
            errors[key] = check_parity(key, received, golden[key])
    log_prob = decoder.log_prob(golden["x"], golden["z"])
    return errors | {"log_prob": check_parity("log_prob", log_prob, golden["log_prob"], LOG_PROB_TOLERANCE)}


def _golden_name(graph: str, source: str) -> str:
    """Under which name the golden set holds an input of a graph."""
    return f"{graph}/noise" if source == "noise" else source


def _golden(bundle: Bundle, names: set[str]) -> dict[str, np.ndarray]:
    content = bundle.read(GOLDEN)
    try:
        with zipfile.ZipFile(io.BytesIO(content)), np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            golden = {name: arrays[name] for name in names}
    except (ValueError, LookupError, OSError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _golden_error(bundle, names, str(error)) from error
    kinds = {array.dtype.kind for array in golden.values()}
    rows = {array.shape[:1] for array in golden.values()}
    shapes = (golden["z"].shape[1:], golden["x"].shape[1:])
    if kinds != {"f"} or len(rows) != 1 or rows <= {(), (0,)} or shapes != ((bundle.latent_dim,), bundle.event_shape):
        raise _golden_error(bundle, names, f"types {kinds}, rows {rows}, shapes of z and x {shapes}")
    return golden


def _golden_error(bundle: Bundle, names: set[str], received: str) -> BundleError:
    path = str(bundle.folder / GOLDEN)
    return BundleError(
        f"Bundle file {path}: expected numeric arrays {sorted(names)}, received {received}. Export again.", path
    )
