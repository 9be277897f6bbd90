"""The last step of an export: manifest, variants, Triton's files and model card beside the converted graphs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import vae_tf
from vae_tf_onnx import card, triton, variants
from vae_tf_onnx.bundle import write_manifest
from vae_tf_onnx.verification import verify

_MEASURED = 1024


@dataclass(frozen=True)
class Extras:
    """The files that a bundle holds beside its graphs; see `export`."""

    variants: tuple[str, ...] = ()
    tolerance: float | None = None
    force: bool = False
    gpu: bool = False
    kserve: str | None = None


def finish(draft: Path, manifest: dict[str, Any], x: np.ndarray | None, extras: Extras) -> None:
    """Writes the manifest of the draft, adds the files that are asked for, and verifies the whole bundle.

    Args:
        draft: Folder with all graphs and the golden set.
        manifest: Content of the manifest, without the list of files.
        x: Data on which variants are calibrated and measured.
        extras: Files to add.
    """
    write_manifest(draft, manifest)
    if extras.variants:
        verify(draft)
        if isinstance(x, vae_tf.data.LazyImages):  # as many as variants are measured on
            x = x[np.linspace(0, len(x) - 1, min(len(x), _MEASURED)).astype(int)]
        variants.add(draft, extras.variants, x=x, tolerance=extras.tolerance, force=extras.force)
    triton.write(draft, gpu=extras.gpu, kserve=extras.kserve)
    card.write(draft)
    verify(draft)
