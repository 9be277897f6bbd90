"""The check that a bundle still computes what the Keras model computed, made without TensorFlow."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path

import numpy as np

from vae_tf_onnx.bundle import GOLDEN, GRAPHS, Bundle, open_bundle
from vae_tf_onnx.errors import BundleError, ParityError
from vae_tf_onnx.runtime import Decoder, Encoder, Graph

TOLERANCE = 1e-5
LOG_PROB_TOLERANCE = 1e-4
_NATS = ("log_prob", "elbo", "distortion", "rate")
"""The outputs in nats: sums over an example, whose terms may cancel."""
_TINY = float(np.finfo(np.float32).tiny)


def relative_error(received: np.ndarray, expected: np.ndarray, floor: float = _TINY) -> float:
    """The largest difference over the largest expected magnitude; infinite where a value is not finite.

    Args:
        received: Values to judge.
        expected: Values that they should have, of the same shape.
        floor: Smallest magnitude to divide by.
    """
    if received.shape != expected.shape or not np.isfinite(received).all():
        return float("inf")
    difference = np.abs(received.astype(np.float64) - expected).max()
    return float(difference / max(np.abs(expected).max(), floor))


def check_output(tensor: str, received: np.ndarray, expected: np.ndarray, where: str = "") -> float:
    """The relative error of an output of a graph; a ParityError if it is too large.

    At most 1e-5 is allowed. For quantities in nats it is 1e-4, relative to one nat where they are smaller than that.

    Args:
        tensor: Name of the output, as "graph/output".
        received: Values that the graph gives.
        expected: Values that the model gives.
        where: Text that follows the name in an error.

    Raises:
        ParityError: If the error is larger than that.
    """
    is_in_nats = tensor.rpartition("/")[2] in _NATS
    tolerance, floor = (LOG_PROB_TOLERANCE, 1.0) if is_in_nats else (TOLERANCE, _TINY)
    error = relative_error(received, expected, floor)
    if not error <= tolerance:
        raise ParityError(f"{tensor}{where}", error, tolerance)
    return error


def verify(folder: str | Path) -> dict[str, float]:
    """Replays the golden set of a bundle; returns the relative error of every output.

    Every file is compared with its checksum first. A bundle whose likelihood is unstated (from `export_keras`) has
    no log p(x|z) to compare.

    Raises:
        BundleError: For a bundle that is damaged or newer.
        ParityError: If the relative error of an output is above 1e-5, or that of a log-probability above 1e-4.
    """
    bundle = open_bundle(folder)
    for name in bundle.manifest["files"]:
        bundle.read(name)
    decoder = Decoder(bundle)
    graphs: dict[str, Graph] = {"decoder": decoder}
    graphs |= {"encoder": Encoder(bundle)} if bundle.holds("encoder") else {}
    graphs |= {name: Graph(bundle, name) for name in GRAPHS if bundle.holds(name) and name not in graphs}
    inputs = {name: [_golden_name(name, source) for source in graph.input_shapes] for name, graph in graphs.items()}
    has_likelihood = bundle.manifest["likelihood"].get("family") is not None
    outputs = {f"{name}/{output}" for name, graph in graphs.items() for output in graph.output_names}
    golden = _golden(bundle, outputs.union(("z",), ("x", "log_prob") if has_likelihood else (), *inputs.values()))
    errors = {}
    for name, graph in graphs.items():
        for output, received in graph.run(*(golden[source] for source in inputs[name])).items():
            key = f"{name}/{output}"
            errors[key] = check_output(key, received, golden[key])
    if has_likelihood:
        log_prob = decoder.log_prob(golden["x"], golden["z"])
        errors["log_prob"] = check_output("log_prob", log_prob, golden["log_prob"])
    return errors


def _golden_name(graph: str, source: str) -> str:
    """The name under which the golden set holds an input of a graph."""
    if source in ("x", "z"):
        return source
    return f"{graph}/{source}" if source.endswith("noise") else f"decoder/{source}"


def _golden(bundle: Bundle, names: set[str]) -> dict[str, np.ndarray]:
    content = bundle.read(GOLDEN)
    try:
        with zipfile.ZipFile(io.BytesIO(content)), np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            golden = {name: arrays[name] for name in names}
    except (ValueError, LookupError, OSError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _golden_error(bundle, names, str(error)) from error
    kinds = {array.dtype.kind for array in golden.values()}
    rows = {array.shape[:1] for array in golden.values()}
    expected = {"z": (bundle.latent_dim,), "x": bundle.event_shape}
    shapes = {name: golden[name].shape[1:] for name in expected if name in golden}
    if kinds != {"f"} or len(rows) != 1 or rows <= {(), (0,)} or any(shapes[name] != expected[name] for name in shapes):
        raise _golden_error(bundle, names, f"types {kinds}, rows {rows}, shapes {shapes}")
    return golden


def _golden_error(bundle: Bundle, names: set[str], received: str) -> BundleError:
    path = str(bundle.folder / GOLDEN)
    return BundleError(
        f"Bundle file {path}: expected numeric arrays {sorted(names)}, received {received}. Export again.", path
    )
