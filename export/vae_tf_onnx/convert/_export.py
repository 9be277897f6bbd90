"""`export`: a VAE as a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import vae_tf
from vae_tf_onnx.bundle import EXAMPLES, GOLDEN
from vae_tf_onnx.convert import _checks, _facts
from vae_tf_onnx.convert._draft import replacing
from vae_tf_onnx.convert._examples import Examples
from vae_tf_onnx.convert._finish import Extras, finish
from vae_tf_onnx.convert._float32 import check_twin, computes_in, full_precision, in_float32
from vae_tf_onnx.convert._graphs import functions
from vae_tf_onnx.convert._onnx import Conversion

_GOLDEN_ROWS = 8
_EXAMPLE_ROWS = 32
_DRAWN = 256
_DRAWN_SOURCE = "samples of the model"


@full_precision()
def export(
    vae: vae_tf.VAE,
    folder: str | Path,
    *,
    graphs: Sequence[str] = ("decoder", "encoder"),
    opset: int = 17,
    data_range: tuple[float, float] | None = None,
    fixed_batch: int | None = None,
    x: Any = None,
    data: str | None = None,
    variants: Sequence[str] = (),
    tolerance: float | None = None,
    force: bool = False,
    gpu: bool = False,
    kserve: str | None = None,
) -> Path:
    """Writes `vae` as a bundle: ONNX graphs, manifest, golden set, examples, model card. Returns the folder.

    The graphs are compared with the Keras model at batch 1, 3 and 17 before the folder appears; a failed export
    leaves nothing behind (but the folder's parents) and an older bundle in that place untouched. Graphs are
    deterministic: noise is an input. They compute in float32, also where the model's policy is mixed_float16.

    Args:
        vae: a trained model.
        folder: where to write it; a bundle that is there, and nothing else in it, is replaced; all else is refused.
        graphs: names among "decoder" (always there), "encoder", "sampler", "reconstructor" and "scorer". Beside them
            come "prior", "posterior" and "observation", where decoder and encoder need them.
        opset: of ONNX, from 13; above 18 the graph is converted at 18 and lifted.
        data_range: smallest and largest value of the data the model was trained on; the likelihood's by default.
        fixed_batch: size of the batch axis of every graph; None leaves it open.
        x: examples `[n, *E]`, of the test set: the model is scored on them, and 32 of them lie in the bundle.
        data: their name, for the model card.
        variants: further files of the graphs; see `variants.add`.
        tolerance: of the variants; see `variants.add`.
        force: whether to keep a variant beyond it.
        gpu: whether the Triton configuration is for a GPU.
        kserve: storage URI of the bundle, for an `inference_service.yaml`; None writes none.

    Raises:
        ValueError: for a graph, opset, range or batch that cannot be, and for data that do not fit the model.
        BundleError: for a folder that exists and is no bundle.
        UnsupportedOpError: for a layer that ONNX has no operators for, that draws random numbers, or in bfloat16.
        ParityError: where a graph differs from the model by more than 1e-5 relative (1e-4 for log-probabilities).
    """
    names = _checks.graphs(graphs)
    limits = _checks.data_range(vae.likelihood.data_range if data_range is None else data_range)
    _checks.opset(opset)
    batch = _checks.batch(fixed_batch)
    x = None if x is None else _checks.examples(vae, x)
    extras = Extras(tuple(variants), tolerance=tolerance, force=force, gpu=gpu, kserve=kserve)
    policy = computes_in(vae, opset)
    vae = vae if policy == "float32" else _in_float32(vae)
    shared = {"data_range": list(limits), "opset": opset, "batch": batch, "compute_dtype": policy, "data": data}
    facts = _facts.parts(vae) | shared | {"versions": _facts.versions()}
    with replacing(Path(folder)) as draft:
        manifest = facts | _write(draft, vae, names, facts, x)
        finish(draft, manifest, x, extras)
    return Path(folder)


def _write(
    draft: Path, vae: vae_tf.VAE, names: tuple[str, ...], facts: dict[str, Any], x: np.ndarray | None
) -> dict[str, Any]:
    """Writes graphs, golden set and examples; returns what the manifest says of them."""
    batch = facts["batch"]
    made = functions(vae, names)
    examples = Examples(vae, made, facts["data_range"])
    conversion = Conversion(vae, opset=facts["opset"], batch=batch, facts=facts)
    described = {
        name: conversion.write(draft, name, function, made[name], examples.of(name))
        for name, function in (made if batch is None else functions(vae, names, batch)).items()
    }
    np.savez(draft / GOLDEN, allow_pickle=False, **_golden(vae, made, examples))
    shown, source = (examples.x(_DRAWN, seed=2), _DRAWN_SOURCE) if x is None else (x, "x")
    np.savez(draft / EXAMPLES, allow_pickle=False, **_examples(vae, shown))
    return {
        "evaluation": None if x is None else _facts.evaluation(vae, x),
        "latents": _facts.latents(vae, shown, source),
        "graphs": described,
    }


def _in_float32(vae: vae_tf.VAE) -> vae_tf.VAE:
    """The twin of a model that computes in float16."""
    x = np.clip(vae.sample(_GOLDEN_ROWS, seed=0), *vae.likelihood.data_range).astype(np.float32)
    twin = in_float32(vae, lambda twin: (twin.encoder(x), twin.decoder(np.zeros((1, vae.latent_dim), np.float32))))
    z = np.random.default_rng(0).standard_normal((_GOLDEN_ROWS, vae.latent_dim), np.float32)
    check_twin("decoder/mean", twin.decode(z), vae.decode(z))
    check_twin("encoder/mean", twin.encode(x), vae.encode(x))
    return twin


def _golden(vae: vae_tf.VAE, made: dict[str, Any], examples: Examples) -> dict[str, np.ndarray]:
    """Inputs, and what the Keras model makes of them; observation reads the decoder's outputs."""
    z = np.random.default_rng(0).standard_normal((_GOLDEN_ROWS, vae.latent_dim), dtype=np.float32)
    x = examples.x(_GOLDEN_ROWS, seed=1)
    golden = {"z": z, "x": x, "log_prob": vae.likelihood.given(vae.decoder(z), x).log_prob(x).numpy()}
    for name, function in made.items():
        inputs = examples.inputs(name, _GOLDEN_ROWS, 0, z=z, x=x)
        golden |= {f"{name}/{key}": value for key, value in inputs.items() if key.endswith("noise")}
        golden |= {f"{name}/{key}": value.numpy() for key, value in function(*inputs.values()).items()}
    return golden


def _examples(vae: vae_tf.VAE, x: np.ndarray) -> dict[str, np.ndarray]:
    """Examples spread over x, and their posterior means."""
    x = x[np.linspace(0, len(x) - 1, min(len(x), _EXAMPLE_ROWS)).astype(int)]
    return {"x": x, "z": vae.encode(x)}
