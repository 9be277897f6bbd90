"""`export`, which writes a VAE as a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import vae_tf
from vae_tf_onnx.bundle import EXAMPLES, GOLDEN
from vae_tf_onnx.convert import _arguments, _model_facts
from vae_tf_onnx.convert._conversion import Conversion
from vae_tf_onnx.convert._draft import bundle_draft
from vae_tf_onnx.convert._finish import Extras, finish
from vae_tf_onnx.convert._float32 import check_twin, computes_in, full_precision, in_float32
from vae_tf_onnx.convert._functions import functions
from vae_tf_onnx.convert._graph_inputs import GraphInputs

_GOLDEN_ROWS = 8
_EXAMPLE_ROWS = 32
_SAMPLES = 256
_SAMPLES_SOURCE = "samples of the model"


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

    The graphs are compared with the Keras model at batch 1, 3 and 17 before the folder appears. A failed export leaves
    nothing behind (except the folder's parents), and it leaves an older bundle in that place as it was. Graphs are
    deterministic: their noise is an input. They compute in float32, even if the model's policy is mixed_float16.

    Args:
        vae: Trained model.
        folder: Folder to write. A bundle in that place is replaced if no other file is in it; anything else is refused.
        graphs: Names of graphs among "decoder" (which is always there), "encoder", "sampler", "reconstructor" and
            "scorer". The graphs "prior", "posterior" and "observation" come with them if they are needed.
        opset: ONNX opset, from 13. Above 18 the graph is converted at 18 and then lifted.
        data_range: Smallest and largest value of the data that the model was trained on; by default the likelihood's.
        fixed_batch: Size of the batch axis of every graph; None leaves it open.
        x: Examples `[n, *E]` of the test set: the model is scored on them, and 32 of them are stored in the bundle.
        data: Name of the data, for the model card.
        variants: Names of variants to write too, see `variants.add`.
        tolerance: Tolerance of the variants, see `variants.add`.
        force: Whether to keep a variant that is beyond a tolerance.
        gpu: Whether Triton's configuration is for a GPU.
        kserve: URI of the bundle's storage, for an `inference_service.yaml`; None writes no such file.

    Raises:
        ValueError: For an impossible graph, opset, range or batch size, and for data that do not fit the model.
        BundleError: For a folder that exists and is no bundle.
        UnsupportedOpError: For a layer that has no ONNX operators, generates random numbers, or computes in bfloat16.
        ParityError: If the relative error of a graph is above 1e-5 (1e-4 for log-probabilities).
    """
    names = _arguments.graphs(graphs)
    limits = _arguments.data_range(vae.likelihood.data_range if data_range is None else data_range)
    _arguments.opset(opset)
    batch = _arguments.batch(fixed_batch)
    x = None if x is None else _arguments.data(vae, x)
    extras = Extras(tuple(variants), tolerance=tolerance, force=force, gpu=gpu, kserve=kserve)
    policy = computes_in(vae, opset)
    vae = vae if policy == "float32" else _in_float32(vae)
    shared = {"data_range": list(limits), "opset": opset, "batch": batch, "compute_dtype": policy, "data": data}
    facts = _model_facts.parts(vae) | shared | {"versions": _model_facts.versions()}
    with bundle_draft(Path(folder)) as draft:
        manifest = facts | _write(draft, vae, names, facts, x)
        finish(draft, manifest, x, extras)
    return Path(folder)


def _write(
    draft: Path, vae: vae_tf.VAE, names: tuple[str, ...], facts: dict[str, Any], x: np.ndarray | None
) -> dict[str, Any]:
    """Writes graphs, golden set and examples, and returns the manifest's entries about them."""
    batch = facts["batch"]
    made = functions(vae, names)
    inputs = GraphInputs(vae, made, facts["data_range"])
    conversion = Conversion(vae, opset=facts["opset"], batch=batch, facts=facts)
    described = {
        name: conversion.write(draft, name, function, made[name], inputs.maker(name))
        for name, function in (made if batch is None else functions(vae, names, batch)).items()
    }
    np.savez(draft / GOLDEN, allow_pickle=False, **_golden(vae, made, inputs))
    shown, source = (inputs.x(_SAMPLES, seed=2), _SAMPLES_SOURCE) if x is None else (x, "x")
    np.savez(draft / EXAMPLES, allow_pickle=False, **_examples(vae, shown))
    return {
        "evaluation": None if x is None else _model_facts.evaluation(vae, x),
        "latents": _model_facts.latents(vae, shown, source),
        "graphs": described,
    }


def _in_float32(vae: vae_tf.VAE) -> vae_tf.VAE:
    """A float32 twin of a model that computes in float16."""
    x = np.clip(vae.sample(_GOLDEN_ROWS, seed=0), *vae.likelihood.data_range).astype(np.float32)
    twin = in_float32(vae, lambda twin: (twin.encoder(x), twin.decoder(np.zeros((1, vae.latent_dim), np.float32))))
    z = np.random.default_rng(0).standard_normal((_GOLDEN_ROWS, vae.latent_dim), np.float32)
    check_twin("decoder/mean", twin.decode(z), vae.decode(z))
    check_twin("encoder/mean", twin.encode(x), vae.encode(x))
    return twin


def _golden(vae: vae_tf.VAE, made: dict[str, Any], inputs: GraphInputs) -> dict[str, np.ndarray]:
    """Inputs of the graphs, and the Keras model's outputs for them; observation reads the decoder's outputs."""
    z = np.random.default_rng(0).standard_normal((_GOLDEN_ROWS, vae.latent_dim), dtype=np.float32)
    x = inputs.x(_GOLDEN_ROWS, seed=1)
    golden = {"z": z, "x": x, "log_prob": vae.likelihood.given(vae.decoder(z), x).log_prob(x).numpy()}
    for name, function in made.items():
        given = inputs.sample(name, _GOLDEN_ROWS, 0, z=z, x=x)
        golden |= {f"{name}/{key}": value for key, value in given.items() if key.endswith("noise")}
        golden |= {f"{name}/{key}": value.numpy() for key, value in function(*given.values()).items()}
    return golden


def _examples(vae: vae_tf.VAE, x: np.ndarray) -> dict[str, np.ndarray]:
    """Examples that are spread evenly over x, and their posterior means."""
    x = x[np.linspace(0, len(x) - 1, min(len(x), _EXAMPLE_ROWS)).astype(int)]
    return {"x": x, "z": vae.encode(x)}
