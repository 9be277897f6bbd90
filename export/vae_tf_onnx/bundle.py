"""The bundle: the folder that an exported model is, its manifest, and the check of each file that is read."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from vae_tf_onnx.errors import BundleError

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
GOLDEN = "golden.npz"
EXAMPLES = "examples.npz"
EXTERNAL = ".data"
"""The ending that a file of weights (of a graph of more than 2 GB) adds to the name of its graph."""
GRAPHS = {
    name: f"{name}/1/model.onnx"
    for name in ("decoder", "encoder", "sampler", "reconstructor", "scorer", "prior", "posterior", "observation")
}
"""The path of each graph in the bundle, which has the layout of a Triton model repository."""
CARD, CONFIG, INFERENCE_SERVICE = "README.md", "config.pbtxt", "inference_service.yaml"
PRECISIONS = ("fp16", "int8-dynamic", "int8-static")
FP32, ORT = "fp32", "ort"
VARIANTS = (*PRECISIONS, ORT, *(f"{precision}-ort" for precision in PRECISIONS))
"""The further files that a graph may have: in another precision, in ONNX Runtime's own format, or in both."""
_GRAPH_FILE = rf"model(\.({'|'.join(PRECISIONS)}))?\.(onnx({re.escape(EXTERNAL)})?|{ORT})"
_FILES = re.compile(
    rf"({'|'.join(GRAPHS)})/({re.escape(CONFIG)}|1/{_GRAPH_FILE})"
    + "".join(f"|{re.escape(name)}" for name in (GOLDEN, EXAMPLES, CARD, INFERENCE_SERVICE))
)
"""The files that belong to a bundle."""
_KEYS = {
    "data_range": list,
    "event_shape": list,
    "files": dict,
    "graphs": dict,
    "latent_dim": int,
    "likelihood": dict,
    "prior": dict,
}


@dataclass(frozen=True)
class Bundle:
    """A bundle whose manifest has been read and checked. Each file is checked when it is read.

    Attributes:
        folder: Path of the bundle.
        manifest: The content of `manifest.json`.
    """

    folder: Path
    manifest: dict[str, Any]

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return tuple(self.manifest["event_shape"])

    @property
    def latent_dim(self) -> int:
        """Number of latents D."""
        return int(self.manifest["latent_dim"])

    @property
    def columns(self) -> list[str] | None:
        """Names of the columns of the table that the model was trained on, in the order of the examples; or None."""
        return self.manifest.get("columns")

    @property
    def batch(self) -> int | None:
        """The batch size that the graphs were exported for; None where they take any."""
        return self.manifest.get("batch")

    def holds(self, graph: str, variant: str = FP32) -> bool:
        """Whether the bundle has this graph (a key of `GRAPHS`) in this variant."""
        return self.file(graph, variant) in self.manifest["files"]

    def file(self, graph: str, variant: str = FP32) -> str:
        """The name of the file of a graph (a key of `GRAPHS`) in a variant ("fp32" or one of `VARIANTS`).

        Raises:
            ValueError: For an unknown variant.
        """
        if variant == FP32:
            return GRAPHS[graph]
        if variant not in VARIANTS:
            raise ValueError(
                f"variant: expected {FP32}, {', '.join(VARIANTS)}, received {variant!r}. Choose one of them."
            )
        precision = variant.removesuffix(ORT).removesuffix("-")
        ending = ORT if variant.endswith(ORT) else "onnx"
        return str(PurePosixPath(GRAPHS[graph]).with_name(".".join(filter(None, ("model", precision, ending)))))

    def read(self, name: str) -> bytes:
        """The content of one file of the bundle, after its checksum has been verified.

        Raises:
            BundleError: For a file that the manifest does not list, that is missing or outside, or that changed.
        """
        expected = self.manifest["files"].get(name)
        path = self.folder / name
        if expected is None:
            raise _error(path, expected="a file that the manifest lists", received="one that it does not")
        content = _read(self.folder, name)
        received = sha256(content)
        if received != expected:
            raise _error(path, expected=f"sha256 {expected}", received=received)
        return content


def open_bundle(folder: str | Path) -> Bundle:
    """Reads and checks the manifest of the bundle in `folder`.

    Raises:
        BundleError: For a folder or manifest that is missing, malformed or newer than this version, or that names
            files outside the folder.
    """
    folder = Path(folder)
    path = folder / MANIFEST
    try:
        manifest = json.loads(_read(folder, MANIFEST))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise _error(path, expected="JSON", received=str(error)) from error
    version = manifest.get("format_version") if isinstance(manifest, dict) else None
    if isinstance(version, bool) or not isinstance(version, int):
        raise _error(path, expected="an object with a format_version", received="none")
    if version > FORMAT_VERSION:
        remedy = "Upgrade: pip install -U vae-tf-onnx."
        raise _error(path, expected=f"format version {FORMAT_VERSION} or older", received=str(version), remedy=remedy)
    _check_manifest(path, manifest)
    return Bundle(folder, manifest)


def _check_manifest(path: Path, manifest: dict[str, Any]) -> None:
    for key, kind in _KEYS.items():
        if not isinstance(manifest.get(key), kind):
            raise _error(path, expected=f"{key!r}, of type {kind.__name__}", received=repr(manifest.get(key)))
    for name in manifest["files"]:
        _check_name(path, name)
    batch = manifest.get("batch")
    for size in (*manifest["event_shape"], manifest["latent_dim"], 1 if batch is None else batch):
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise _error(path, expected="shapes of positive whole numbers", received=repr(size))
    columns = manifest.get("columns")
    if columns is not None:
        names = isinstance(columns, list) and all(isinstance(name, str) for name in columns)
        if not names or [len(columns)] != manifest["event_shape"]:
            raise _error(path, expected="a name for each column of an example", received=f"{columns!r:.200}")
    for part in ("likelihood", "posterior", "prior"):
        fact = manifest.get(part, {})
        if not isinstance(fact, dict) or not isinstance(fact.get("family", ""), str | None):
            raise _error(path, expected=f"the family of the {part}, a name or null", received=repr(fact))
    limits = manifest["data_range"]
    numbers = all(type(limit) in (int, float) and math.isfinite(limit) for limit in limits)
    if not numbers or len(limits) != 2 or limits[0] >= limits[1]:
        raise _error(path, expected="a data_range [low, high]", received=repr(limits))


def is_bundle_only(folder: Path) -> bool:
    """Whether `folder` holds a bundle, whole or damaged, and no other file."""
    try:
        listed = open_bundle(folder).manifest["files"]
    except BundleError:
        return False
    present = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir()}
    return present <= {MANIFEST, *listed}


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Replaces `manifest.json` by one with this content and the checksum of every file of a bundle in the folder.

    Files in the folder that do not belong to a bundle are not listed, and nothing reads them.
    """
    draft = folder / f".{MANIFEST}"
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    files = {name: sha256((folder / name).read_bytes()) for name in names if _FILES.fullmatch(name)}
    content = {"format_version": FORMAT_VERSION} | manifest | {"files": files}
    draft.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    os.replace(draft, folder / MANIFEST)


def sha256(content: bytes) -> str:
    """The SHA-256 checksum, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _check_name(manifest: Path, name: str) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or not path.parts:
        raise _error(manifest, expected="paths inside the bundle", received=repr(name))


def _read(folder: Path, name: str) -> bytes:
    path = folder / name
    if not path.is_file():
        raise _error(path, expected="a file", received="nothing there")
    if not path.resolve().is_relative_to(folder.resolve()):
        raise _error(path, expected="a file inside the bundle", received=f"a link to {path.resolve()}")
    return path.read_bytes()


def _error(path: Path, *, expected: str, received: str, remedy: str = "Export the model again.") -> BundleError:
    return BundleError(f"Bundle file {path}: expected {expected}, received {received}. {remedy}", str(path))
