"""The draft of a bundle: a folder that takes the bundle's place when it is whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vae_tf_onnx._folders import replacing
from vae_tf_onnx.bundle import is_bundle_only
from vae_tf_onnx.errors import BundleError


@contextmanager
def bundle_draft(folder: Path) -> Iterator[Path]:
    """A draft folder beside `folder` that takes its place when the block ends well and vanishes otherwise.

    Raises:
        BundleError: For a folder that exists and is no bundle, and for a bundle with other files in it.
    """
    if folder.exists() and not is_bundle_only(folder):
        raise BundleError(
            f"Folder {folder}: expected a bundle or nothing, received something else. Choose another folder.",
            str(folder),
        )
    with replacing(folder) as draft:
        yield draft
