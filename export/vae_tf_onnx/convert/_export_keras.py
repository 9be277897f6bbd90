"""`export_keras`, which writes any Keras decoder as a bundle without a stated likelihood."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from tensorflow_probability import distributions as tfd

from vae_tf_onnx.bundle import GOLDEN
from vae_tf_onnx.convert import _arguments, _model_facts
from vae_tf_onnx.convert._conversion import Conversion
from vae_tf_onnx.convert._draft import bundle_draft
from vae_tf_onnx.convert._finish import Extras, finish
from vae_tf_onnx.convert._float32 import check_twin, computes_in, full_precision, in_float32

_GOLDEN_ROWS = 8
_UNSTATED: dict[str, Any] = {"family": None, "parameters": {}}


@full_precision()
def export_keras(
    model: tf_keras.Model,
    folder: str | Path,
    *,
    opset: int = 17,
    data_range: tuple[float, float] = (0.0, 1.0),
    fixed_batch: int | None = None,
    data: str | None = None,
    variants: Sequence[str] = (),
    tolerance: float | None = None,
    force: bool = False,
    gpu: bool = False,
    kserve: str | None = None,
) -> Path:
    """Writes a Keras decoder of z as a bundle of one graph, z `[B, D]` -> mean `[B, *E]`. Returns the folder.

    The likelihood that the output is the mean of is not known. So the bundle states no likelihood, posterior or prior,
    and the runtime can decode, but it can neither sample nor score. Latents with several axes are taken flat, and D is
    the product of their sizes. See `export` for the checks and for the other arguments.

    Args:
        model: A tf_keras model (functional, Sequential, or subclassed and called once) with one tensor as input and
            one as output.
        folder: See `export`.
        opset: See `export`.
        data_range: Smallest and largest value of the data.
        fixed_batch: See `export`.
        data: See `export`.
        variants: See `export`.
        tolerance: See `export`.
        force: See `export`.
        gpu: See `export`.
        kserve: See `export`.

    Raises:
        TypeError: If `model` is no tf_keras model.
        ValueError: For several inputs or outputs, for a distribution as output, and for open sizes; see also `export`.
        BundleError: See `export`.
        UnsupportedOpError: See `export`.
        ParityError: See `export`.
    """
    limits = _arguments.data_range(data_range)
    _arguments.opset(opset)
    batch = _arguments.batch(fixed_batch)
    shape = _latent_shape(model)
    event_shape = _event_shape(model, shape)
    extras = Extras(tuple(variants), tolerance=tolerance, force=force, gpu=gpu, kserve=kserve)
    policy = computes_in(model, opset)
    model = model if policy == "float32" else _in_float32(model, shape)
    shared = {"data_range": list(limits), "opset": opset, "batch": batch, "compute_dtype": policy, "data": data}
    facts = _unstated_parts(shape, event_shape) | shared | {"versions": _model_facts.versions()}
    with bundle_draft(Path(folder)) as draft:
        conversion = Conversion(model, opset=opset, batch=batch, facts=facts)
        reference = _decoder(model, shape, None)
        function = reference if batch is None else _decoder(model, shape, batch)
        described = conversion.write(draft, "decoder", function, reference, lambda n, seed: {"z": _z(shape, n, seed)})
        z = _z(shape, _GOLDEN_ROWS, 0)
        mean = reference(z)["mean"].numpy()
        np.savez(draft / GOLDEN, allow_pickle=False, **{"z": z, "decoder/mean": mean})
        finish(draft, facts | {"evaluation": None, "latents": None, "graphs": {"decoder": described}}, None, extras)
    return Path(folder)


def _unstated_parts(shape: tuple[int, ...], event_shape: tuple[int, ...]) -> dict[str, Any]:
    return {
        "event_shape": list(event_shape),
        "latent_dim": math.prod(shape),
        "likelihood": _UNSTATED | {"equivalence": None},
        "posterior": _UNSTATED,
        "prior": _UNSTATED,
    }


def _z(shape: tuple[int, ...], rows: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, math.prod(shape)), np.float32)


def _decoder(model: tf_keras.Model, shape: tuple[int, ...], batch: int | None) -> Any:
    @tf.function(input_signature=[tf.TensorSpec((batch, math.prod(shape)), tf.float32, name="z")])
    def decoder(z: tf.Tensor) -> dict[str, tf.Tensor]:
        mean = model(tf.reshape(z, (-1, *shape)), training=False)
        return {"mean": tf.identity(tf.cast(mean, tf.float32), name="mean")}

    return decoder


def _in_float32(model: tf_keras.Model, shape: tuple[int, ...]) -> tf_keras.Model:
    z = np.random.default_rng(0).standard_normal((_GOLDEN_ROWS, *shape), np.float32)
    twin = in_float32(model, lambda twin: twin(z[:1], training=False))
    check_twin("decoder/mean", twin(z, training=False), model(z, training=False))
    return twin


def _latent_shape(model: Any) -> tuple[int, ...]:
    """The input's shape without its batch axis."""
    if not isinstance(model, tf_keras.Model):
        remedy = "Build it with `import tf_keras`: the standalone Keras 3 is another library."
        raise TypeError(f"model: expected a tf_keras model, received {type(model)}. {remedy}")
    spec = model.save_spec()
    arguments = [] if spec is None else [*spec[0], *spec[1].values()]
    sources = tf.nest.flatten(arguments)
    if not sources and model.built:
        sources = [tf.TensorSpec((model.get_build_config() or {}).get("input_shape"))]
    if len(sources) != 1 or sources[0].shape.rank is None:
        received = f"{len(sources)} inputs" if sources else "one that was never called"
        raise _error("model", "a model of one input, z, called once", received, "Call it on z, or wrap it so.")
    shape = tuple(sources[0].shape[1:])
    if None in shape or not shape:
        raise _error("Input of the model", "fixed sizes", f"shape {[None, *shape]}", "Build it with fixed sizes.")
    return shape


def _event_shape(model: tf_keras.Model, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The output's shape without its batch axis."""
    output = model(tf.zeros((2, *shape)), training=False)
    if isinstance(output, tfd.Distribution):
        remedy = "Make it the decoder of a vae_tf.VAE for `export`, or pass the model up to that layer."
        raise _error("Output of the model", "a tensor", f"a distribution, {type(output).__name__}", remedy)
    if not tf.is_tensor(output) or not output.dtype.is_floating:
        raise _error("Output of the model", "one tensor of floats", repr(type(output)), "Keep one of them.")
    event_shape = tuple(output.shape[1:])
    if output.shape.rank < 2 or output.shape[0] != 2:
        raise _error("Output of the model", "shape [B, *E]", f"{output.shape} for 2 rows", "Keep the batch axis first.")
    return event_shape


def _error(what: str, expected: str, received: str, remedy: str) -> ValueError:
    return ValueError(f"{what}: expected {expected}, received {received}. {remedy}")
