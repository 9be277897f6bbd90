"""The arrays of a bundle's .npz files: how they are read, checked, and written as JSON."""

from __future__ import annotations

import base64
import io
import zipfile
import zlib
from typing import Any

import numpy as np

from vae_tf_onnx.bundle import Bundle
from vae_tf_onnx.errors import BundleError

Arrays = dict[str, np.ndarray]
_MOST_BYTES = 2**21  # of one array on the page


def load(bundle: Bundle, name: str, wanted: dict[str, tuple[int, ...]]) -> Arrays:
    """Arrays `[n, *shape]` of an .npz file of the bundle, float32, by name; all with the same n.

    Args:
        bundle: An opened bundle.
        name: Name of the file.
        wanted: Shapes of the arrays behind the first axis, by name.

    Raises:
        BundleError: For a damaged file, and for arrays that are missing, not finite, or of other shapes.
    """
    content = bundle.read(name)
    try:
        with zipfile.ZipFile(io.BytesIO(content)), np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {key: np.asarray(file[key], np.float32) for key in wanted}
    except (ValueError, LookupError, OSError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _error(bundle, name, wanted, repr(error)) from error
    shapes = {key: array.shape for key, array in arrays.items()}
    rows = {shape[:1] for shape in shapes.values()}
    if len(rows) != 1 or rows <= {(), (0,)} or any(shapes[key][1:] != shape for key, shape in wanted.items()):
        raise _error(bundle, name, wanted, f"the shapes {shapes}")
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise _error(bundle, name, wanted, "values that are not finite")
    return arrays


def packed(array: np.ndarray) -> dict[str, Any]:
    """An array as JSON: its shape, and its numbers as little-endian float32 in base64."""
    return {"shape": list(array.shape), "float32": base64.b64encode(array.astype("<f4").tobytes()).decode()}


def first_rows(arrays: Arrays) -> Arrays:
    """The first rows of each array, as many as a page has room for: 2 MiB of the largest array, but at least two."""
    rows = max(2, _MOST_BYTES // max(array[0].nbytes for array in arrays.values()))
    return {name: array[:rows] for name, array in arrays.items()}


def _error(bundle: Bundle, name: str, wanted: dict[str, tuple[int, ...]], received: str) -> BundleError:
    path = str(bundle.folder / name)
    expected = f"numeric arrays, the shapes behind the first axis {wanted}"
    return BundleError(f"Bundle file {path}: expected {expected}, received {received}. Export again.", path)
