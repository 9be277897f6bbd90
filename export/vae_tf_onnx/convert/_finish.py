"""What makes a bundle of converted graphs: manifest, variants, Triton's files, model card."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vae_tf_onnx import card, triton, variants
from vae_tf_onnx.bundle import write_manifest
from vae_tf_onnx.verification import verify


@dataclass(frozen=True)
class Extras:
    """What a bundle holds besides; see `export`."""

    variants: tuple[str, ...] = ()
    tolerance: float | None = None
    force: bool = False
    gpu: bool = False
    kserve: str | None = None


def finish(draft: Path, manifest: dict[str, Any], x: np.ndarray | None, extras: Extras) -> None:
    """Writes the manifest of the draft, verifies it, adds what is asked for and verifies the whole.

    Args:
        draft: the folder, with all graphs and the golden set.
        manifest: without its files.
        x: data to calibrate and measure variants on.
        extras: what to add.
    """
    write_manifest(draft, manifest)
    if extras.variants:
        verify(draft)
        variants.add(draft, extras.variants, x=x, tolerance=extras.tolerance, force=extras.force)
    triton.write(draft, gpu=extras.gpu, kserve=extras.kserve)
    card.write(draft)
    verify(draft)
