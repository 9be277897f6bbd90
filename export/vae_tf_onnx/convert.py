"""From a Keras VAE to a bundle, checked before it is written. Needs TensorFlow, vae_tf, onnx and tf2onnx."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

try:
    import onnx
    import tf2onnx
except ImportError as missing:
    raise ImportError(
        f"Export: expected the package {missing.name}, received no such package. "
        'Install it: pip install "vae-tf-onnx[convert]".'
    ) from missing
import onnxruntime
import tensorflow as tf
import tf_keras

import vae_tf
import vae_tf_onnx
from vae_tf_onnx.bundle import GOLDEN, GRAPHS, is_bundle_only, write_manifest
from vae_tf_onnx.errors import BundleError, UnsupportedOpError
from vae_tf_onnx.families import POSTERIORS
from vae_tf_onnx.verification import check_parity, verify

PARITY_BATCHES = (1, 3, 17)
_GOLDEN_ROWS = 8


def export(
    vae: vae_tf.VAE,
    folder: str | Path,
    *,
    opset: int = 17,
    data_range: tuple[float, float] | None = None,
) -> Path:
    """Writes `vae` as a bundle: ONNX decoder and encoder, manifest, golden set. Returns the folder.

    The graphs are compared with the Keras model at batch 1, 3 and 17 before the folder appears; a failed export
    leaves nothing behind (but the folder's parents) and an older bundle in that place untouched.

    Args:
        vae: a trained model.
        folder: where to write it; a bundle that is there, and nothing else in it, is replaced; all else is refused.
        opset: of ONNX, 13 to 18.
        data_range: smallest and largest value of the data the model was trained on; the likelihood's by default.

    Raises:
        ValueError: for an opset or range that cannot be.
        BundleError: for a folder that exists and is no bundle.
        UnsupportedOpError: for a layer that ONNX has no operators for.
        ParityError: where a graph differs from the model by more than 1e-5 relative.
    """
    folder = Path(folder)
    low, high = map(float, vae.likelihood.data_range if data_range is None else data_range)
    if not 13 <= opset <= 18:
        raise ValueError(f"opset: expected 13 to 18, received {opset}. 17 suits most runtimes.")
    if not low < high:
        raise ValueError(f"data_range: expected (low, high) with low < high, received {data_range}. Pass (0.0, 1.0).")
    facts = _facts(vae, opset, (low, high))
    with _replacing(folder) as draft:
        functions = _functions(vae)
        examples = {name: _inputs(vae, function, (low, high)) for name, function in functions.items()}
        layers = {module.name for module in vae.submodules if isinstance(module, tf_keras.layers.Layer)}
        described = {}
        for name, function in functions.items():
            described[name] = _write_graph(draft / GRAPHS[name], function, examples[name], opset, facts, layers)
        golden = _golden(vae, functions, examples, (low, high))
        np.savez(draft / GOLDEN, allow_pickle=False, **golden)
        write_manifest(draft, facts | {"graphs": described})
        verify(draft)
    return folder


def _functions(vae: vae_tf.VAE) -> dict[str, Any]:
    """What becomes a graph: decoder and encoder, and what numpy cannot do of the prior and the posterior."""
    functions = {"decoder": _decoder(vae), "encoder": _encoder(vae)}
    if not isinstance(vae.prior, vae_tf.priors.StandardNormal):
        functions["prior"] = _prior(vae)
    if type(vae.posterior).__name__ not in POSTERIORS:
        functions["posterior"] = _posterior(vae)
    return functions


def _decoder(vae: vae_tf.VAE) -> Any:
    @tf.function(input_signature=[_spec("z", vae.latent_dim)])
    def decoder(z: tf.Tensor) -> dict[str, tf.Tensor]:
        parameters = vae.likelihood.parameters_of(vae.decoder(z, training=False))
        mean = vae.likelihood.mean(parameters)
        full, rank = tf.shape(mean), mean.shape.rank
        outputs = {"mean": mean} | {
            name: value if value.shape.rank > rank else tf.broadcast_to(value, full)
            for name, value in parameters.items()
        }
        return {name: tf.identity(value, name=name) for name, value in outputs.items()}

    return decoder


def _encoder(vae: vae_tf.VAE) -> Any:
    @tf.function(input_signature=[_spec("x", *vae.event_shape)])
    def encoder(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return vae.posterior.parameters_of(vae.encoder(x, training=False))

    return encoder


def _prior(vae: vae_tf.VAE) -> Any:
    width = vae.prior.noise(np.random.default_rng(0), 1).shape[1]

    @tf.function(input_signature=[_spec("noise", width)])
    def prior(noise: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"z": vae.prior.from_noise(noise)}

    return prior


def _posterior(vae: vae_tf.VAE) -> Any:
    @tf.function(input_signature=[_spec("x", *vae.event_shape), _spec("noise", vae.latent_dim)])
    def posterior(x: tf.Tensor, noise: tf.Tensor) -> dict[str, tf.Tensor]:
        z, log_prob = vae.posterior.draw(noise, vae.posterior.parameters_of(vae.encoder(x, training=False)))
        return {"z": z, "log_prob": log_prob}

    return posterior


def _spec(name: str, *shape: int) -> tf.TensorSpec:
    return tf.TensorSpec((None, *shape), tf.float32, name=name)


def _write_graph(
    path: Path, function: Any, examples: Any, opset: int, facts: dict[str, Any], layers: set[str]
) -> dict[str, Any]:
    """Converts, checks and writes one graph; returns its description for the manifest."""
    model, _ = tf2onnx.convert.from_function(function, function.input_signature, opset=opset)
    _name_batch_axis(model)
    check_operators(model, layers)
    onnx.helper.set_model_props(model, {"vae_tf_onnx": json.dumps(facts)})
    onnx.checker.check_model(model, full_check=True)
    errors = _check_parity(path.parts[-3], model.SerializeToString(), function, examples)
    path.parent.mkdir(parents=True)
    onnx.save(model, path)
    return {
        "file": path.relative_to(path.parents[2]).as_posix(),
        "inputs": [_describe(value) for value in model.graph.input],
        "outputs": [_describe(value) for value in model.graph.output],
        "parity": errors,
    }


def check_operators(model: onnx.ModelProto, layers: set[str]) -> None:
    """Raises UnsupportedOpError for the first node that is no operator of the model's ONNX opset.

    tf2onnx only logs such nodes and returns a model that no runtime loads.

    Args:
        model: what tf2onnx returned.
        layers: names of the Keras layers, one of which the error is to name.
    """
    opset = {entry.domain: entry.version for entry in model.opset_import}[""]
    for node in _nodes(model.graph):
        if node.domain not in ("", "ai.onnx") or not onnx.defs.has(node.op_type, opset, ""):
            scope = [part for part in node.name.split("/") if part in layers]
            raise UnsupportedOpError(node.op_type, scope[-1] if scope else node.name, opset)


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)


def _name_batch_axis(model: onnx.ModelProto) -> None:
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    del model.graph.value_info[:]


def _describe(value: onnx.ValueInfoProto) -> dict[str, Any]:
    tensor = value.type.tensor_type
    shape = [dim.dim_param or dim.dim_value for dim in tensor.shape.dim]
    return {"name": value.name, "dtype": onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name, "shape": shape}


def _check_parity(name: str, content: bytes, function: Any, examples: Any) -> dict[str, float]:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    errors = dict.fromkeys(names, 0.0)
    for batch in PARITY_BATCHES:
        inputs = examples(batch, seed=batch)
        received = dict(zip(names, session.run(names, inputs), strict=True))
        for output, expected in function(*map(tf.constant, inputs.values())).items():
            error = check_parity(f"{name}/{output} at batch {batch}", received[output], expected.numpy())
            errors[output] = max(errors[output], error)
    return errors


def _inputs(vae: vae_tf.VAE, function: Any, data_range: tuple[float, float]) -> Any:
    """A function (batch, seed) -> random inputs by name, of the kind that the graph is for."""
    low, high = data_range

    def inputs(batch: int, *, seed: int) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(seed)
        arrays = {}
        for spec in function.input_signature:
            shape = (batch, *spec.shape[1:])
            if spec.name == "x":
                arrays["x"] = (low + min(high - low, 255.0) * rng.random(shape)).astype(np.float32)
            elif spec.name == "noise" and shape[1] != vae.latent_dim:
                arrays["noise"] = vae.prior.noise(rng, batch)
            else:
                arrays[spec.name] = rng.standard_normal(shape, np.float32)
        return arrays

    return inputs


def _golden(
    vae: vae_tf.VAE, functions: dict[str, Any], examples: dict[str, Any], data_range: tuple[float, float]
) -> dict[str, np.ndarray]:
    """Inputs, and what the Keras model makes of them."""
    z = np.random.default_rng(0).standard_normal((_GOLDEN_ROWS, vae.latent_dim), dtype=np.float32)
    x = np.clip(vae.sample(_GOLDEN_ROWS, seed=1), *data_range).astype(np.float32)
    golden = {"z": z, "x": x, "log_prob": vae.likelihood.given(vae.decoder(z), x).log_prob(x).numpy()}
    for name, function in functions.items():
        inputs = examples[name](_GOLDEN_ROWS, seed=0) | {"z": z, "x": x}
        golden |= {f"{name}/noise": inputs["noise"]} if "noise" in inputs else {}
        sources = [tf.constant(inputs[spec.name]) for spec in function.input_signature]
        golden |= {f"{name}/{key}": value.numpy() for key, value in function(*sources).items()}
    return golden


def _facts(vae: vae_tf.VAE, opset: int, data_range: tuple[float, float]) -> dict[str, Any]:
    equivalence = vae.likelihood.equivalence()
    return {
        "event_shape": list(vae.event_shape),
        "latent_dim": vae.latent_dim,
        "data_range": list(data_range),
        "likelihood": _part(vae.likelihood) | {"equivalence": None if equivalence is None else vars(equivalence)},
        "posterior": _part(vae.posterior),
        "prior": _part(vae.prior),
        "opset": opset,
        "versions": {
            module.__name__: module.__version__
            for module in (vae_tf, vae_tf_onnx, tf, tf_keras, tf2onnx, onnx, onnxruntime, np)
        },
    }


def _part(layer: Any) -> dict[str, Any]:
    config = layer.get_config()
    ignored = ("name", "dtype", "trainable")
    return {
        "family": type(layer).__name__,
        "parameters": {key: value for key, value in config.items() if key not in ignored},
    }


@contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """A draft folder beside `folder` that takes its place when the block ends well, and vanishes otherwise."""
    if folder.exists() and not is_bundle_only(folder):
        raise BundleError(
            f"Folder {folder}: expected a bundle or nothing, received something else. Choose another folder.",
            str(folder),
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=f".{folder.name}.", dir=folder.parent, ignore_cleanup_errors=True
    ) as scratch:
        draft, older = Path(scratch) / "new", Path(scratch) / "old"
        draft.mkdir()
        yield draft
        if folder.exists():
            folder.rename(older)
        try:
            draft.rename(folder)
        except OSError:
            if older.exists():
                older.rename(folder)
            raise


__all__ = ["PARITY_BATCHES", "check_operators", "export"]
