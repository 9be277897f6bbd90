"""Configuration files with which a bundle is a model repository for Triton Inference Server, or a KServe service."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vae_tf_onnx._templates import render
from vae_tf_onnx.bundle import CONFIG, GRAPHS, INFERENCE_SERVICE, Bundle, open_bundle, write_manifest
from vae_tf_onnx.errors import BundleError
from vae_tf_onnx.runtime import Graph

MAX_BATCH_SIZE = 256
"""The most rows that Triton runs at once, and therefore the most that one request may have."""
_STORAGE_URI = re.compile(r"[a-z][a-z0-9+.-]*://[^\s\x00-\x1f]+")
_FLOAT = "tensor(float)"


@dataclass(frozen=True)
class _Tensor:
    name: str
    dims: list[int]


def write(folder: str | Path, *, gpu: bool = False, kserve: str | None = None) -> None:
    """Writes `GRAPH/config.pbtxt` for each graph of the bundle, so that its folder is a Triton model repository.

    Requests that are waiting run together (dynamic batching), at most `MAX_BATCH_SIZE` rows at once. On a CPU each
    graph has two instances of one thread. Each instance is warmed up with one row and with `MAX_BATCH_SIZE` rows.

    Two kinds of graphs are not batched, and their requests have the whole shapes of the graph, as with
    `vae_tf_onnx.serve`: graphs with a fixed batch size, which take just that many rows; and graphs with a scalar per
    example (scorer, posterior), whose `[B]` a batching Triton would turn into `[B, 1]`. For these graphs Triton does
    not notice when two inputs have different numbers of rows.

    Triton has read the configuration for a GPU, but has not run it on one yet.

    Args:
        folder: Folder of the bundle. Each file is compared with its checksum first, and the manifest is written anew.
        gpu: Whether to run one instance on each GPU, by TensorRT in float32 (which keeps its engines in /tmp/tensorrt)
            and by CUDA for what TensorRT does not support.
        kserve: Place where the bundle will be stored, as a URI that KServe reads (s3://, gs://, pvc://, ...). If it is
            given, `inference_service.yaml` is written: an InferenceService on KServe's Triton runtime.

    Raises:
        ValueError: If `kserve` is no URI.
        BundleError: For a bundle that is damaged or newer.
        ImportError: If the package jinja2 is not installed.
    """
    bundle = open_bundle(folder)
    for name in bundle.manifest["files"]:
        bundle.read(name)
    texts = {f"{graph}/{CONFIG}": _config(bundle, graph, gpu=gpu) for graph in GRAPHS if bundle.holds(graph)}
    if kserve is not None:
        texts[INFERENCE_SERVICE] = _inference_service(kserve, gpu=gpu)
    for name, text in texts.items():
        draft = bundle.folder / f"{name}.new"
        draft.write_text(text, encoding="utf-8")
        os.replace(draft, bundle.folder / name)
    write_manifest(bundle.folder, bundle.manifest)


def _config(bundle: Bundle, name: str, *, gpu: bool) -> str:
    """The configuration of one graph."""
    session = Graph(bundle, name, threads=1).session
    inputs, outputs = (
        [_tensor(bundle, name, value) for value in get()] for get in (session.get_inputs, session.get_outputs)
    )
    batched = bundle.batch is None and all(len(output.dims) > 1 for output in outputs)
    sizes = [bundle.batch] if bundle.batch else [1, MAX_BATCH_SIZE]
    first = 1 if batched else 0
    return _render(
        "config.pbtxt.j2",
        name=name,
        gpu=gpu,
        max_batch=MAX_BATCH_SIZE if batched else 0,
        inputs=[_Tensor(tensor.name, tensor.dims[first:]) for tensor in inputs],
        outputs=[_Tensor(tensor.name, tensor.dims[first:]) for tensor in outputs],
        warm_up=[
            {
                "name": f"batch {size}",
                "batch_size": size if batched else 1,
                "inputs": [_Tensor(tensor.name, [size, *tensor.dims[1:]][first:]) for tensor in inputs],
            }
            for size in sizes
        ],
    )


def _tensor(bundle: Bundle, name: str, value: Any) -> _Tensor:
    """An input or output of onnxruntime with its whole shape, in which -1 stands for the batch."""
    if value.type != _FLOAT:
        path = str(bundle.folder / GRAPHS[name])
        raise BundleError(
            f"Bundle file {path}: expected float32 tensors, received {value.name} of {value.type}. Export again.", path
        )
    return _Tensor(value.name, [-1 if isinstance(size, str) or size is None else size for size in value.shape])


def _inference_service(uri: str, *, gpu: bool) -> str:
    if not isinstance(uri, str) or not _STORAGE_URI.fullmatch(uri):
        raise ValueError(
            f"kserve: expected the URI of the folder in the cluster's storage, received {uri!r}. "
            "Pass one such as s3://bucket/model or pvc://claim/model."
        )
    return _render("inference_service.yaml.j2", name=_service_name(uri), uri=uri, gpu=gpu)


def _service_name(uri: str) -> str:
    """The last part of a URI as a Kubernetes name: lower-case letters, digits and hyphens, beginning with a letter."""
    last = re.sub("[^a-z0-9]+", "-", uri.rstrip("/").rpartition("/")[2].lower()).strip("-")
    return (last if last[:1].isalpha() else f"vae-{last}")[:50].strip("-")


def _render(template: str, **values: Any) -> str:
    return render(template, values, what="Triton")
