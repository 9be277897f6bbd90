"""Images in numpy's files and in arrays: checked, and scaled to [0, 1] when they are read."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError
from typing import BinaryIO
from urllib.error import URLError
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import numpy as np

from vae_tf._checks import problem
from vae_tf.data._decoding import scaled
from vae_tf.data._mapped import rows_of
from vae_tf.data._regular import open_regular
from vae_tf.data.lazy import LazyImages, progress

__all__ = ["KEYS", "RESAVE", "ArrayImages", "explained", "stored_arrays"]

KEYS = (("x_train", "x_test"), ("x_train",), ("x",))
RESAVE = "Save it again with np.savez(path, x_train=..., x_test=...)"
_MAGIC = (np.lib.format.MAGIC_PREFIX, b"PK\x03\x04", b"PK\x05\x06")
_BROKEN = (OSError, ValueError, EOFError, RuntimeError, MemoryError, BadZipFile, TokenError, zlib.error)
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_MAPPED_BYTES = 256 * 2**20
"""A member of an .npz file that is larger is mapped into memory, if it is not compressed."""


class ArrayImages(LazyImages):
    """Images of an array or a memory map, `[n, H, W]` or `[n, H, W, C]`, scaled to [0, 1] when they are read.

    uint8 is divided by 255, and bools become 0 and 1; neither needs to be looked at before. Floats are read through
    once, a block at a time, to see that they are in [0, 1].

    Args:
        array: The array.
        what: Name of the array in messages.

    Raises:
        ValueError: For another shape or dtype, no image, and floats that are not finite or not in [0, 1].
    """

    def __init__(self, array: np.ndarray, what: str) -> None:
        if array.size == 0:
            received = f"an empty array of shape {array.shape}"
            raise _error(what, "at least one image", received, "Check what was saved.")
        shape = (*array.shape, 1) if array.ndim == 3 else array.shape
        if len(shape) != 4 or shape[-1] not in (1, 3):
            remedy = "Reshape it; x.transpose(0, 2, 3, 1) moves channels that come first to the end."
            expected = "[n, H, W] or [n, H, W, C] with C 1 or 3"
            raise _error(f"{what}: wrong shape", expected, array.shape, remedy)
        if array.dtype != np.uint8 and array.dtype.kind not in "bf":
            remedy = "Convert it first: x.astype(np.uint8) if its values are whole numbers from 0 to 255."
            raise _error(what, "dtype uint8, bool or float", array.dtype, remedy)
        levels = {"u": scaled(np.arange(256, dtype=np.uint8)), "b": np.array([0, 1], np.float32)}
        super().__init__(shape, levels.get(array.dtype.kind))
        self._array = array
        if array.dtype.kind == "f":
            self._check_range(what)

    def _read(self, numbers: np.ndarray) -> np.ndarray:
        images = np.asarray(rows_of(self._array, numbers)).reshape(len(numbers), *self.shape[1:])
        if images.dtype == np.uint8:
            return scaled(images)
        return np.clip(images.astype(np.float32), 0, 1)

    def _check_range(self, what: str) -> None:
        """Raises ValueError for values that exceed [0, 1] by more than float32 rounding; smaller ones are clipped."""
        step = max(1, 4 * 2**20 * len(self) // self.size)
        bad, low, high = 0, np.inf, -np.inf
        with progress(len(self), f"Checking {what}") as bar:
            for start in range(0, len(self), step):
                block = np.asarray(self._array[start : start + step])
                bad += block.size - int(np.count_nonzero(np.isfinite(block)))
                low, high = min(low, float(block.min())), max(high, float(block.max()))
                bar.update(len(block))
        if bad:
            raise _error(
                what, "finite values", f"{bad} NaN or infinite of {self._array.size}", "Remove or replace them."
            )
        slack = float(np.finfo(np.float32).eps)
        if low < -slack or high > 1 + slack:
            remedy = "Divide by 255 if its values run from 0 to 255; take (x + 1) / 2 if they run from -1 to 1."
            raise _error(what, "floats in [0, 1]", f"values from {low:.9g} to {high:.9g}", remedy)


def stored_arrays(
    path: Path, choices: tuple[tuple[str, ...], ...] = KEYS, optional: tuple[str, ...] = ()
) -> dict[str, np.ndarray]:
    """The arrays of a .npy or .npz file by key; of a .npy file the key is "". Nothing is unpickled.

    A .npy file is mapped into memory, and so are large arrays of an .npz file that are not compressed; the checksum of
    those is not verified.

    Args:
        path: Path of the file.
        choices: Sets of keys; those of the first that the file has are read.
        optional: Keys that are read as well, if they are there.

    Raises:
        ValueError: For a file that is not regular, cannot be read or has none of these keys.
    """
    remedy = f"{RESAVE}, as numbers: object arrays are not loaded, because unpickling can run code."
    with explained(f"{path}", "arrays of numbers that numpy can read", remedy, _BROKEN), open_regular(path) as file:
        magic = file.read(6)
        if not magic.startswith(_MAGIC):
            raise ValueError("it does not begin as a .npy or .npz file does")
        file.seek(0)
        if magic.startswith(_MAGIC[0]):
            return {"": _mapped(file, 0, os.fstat(file.fileno()).st_size)}
        with ZipFile(file) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
            keys = next((keys for keys in choices if set(keys) <= set(names)), ())
            wanted = (*keys, *(key for key in optional if keys and key in names))
            arrays = {key: _member(file, archive, key) for key in wanted}
    if not keys:
        expected = "the arrays " + ", or ".join(" and ".join(keys) for keys in choices)
        raise _error(f"{path}", expected, ", ".join(names) or "no arrays", f"{RESAVE}.")
    return arrays


def _member(file: BinaryIO, archive: ZipFile, key: str) -> np.ndarray:
    """An array of an .npz file, mapped into memory where it is large."""
    name = f"{key}.npy" if f"{key}.npy" in archive.namelist() else key
    info = archive.getinfo(name)
    if info.compress_type == ZIP_STORED and info.file_size > _MAPPED_BYTES:
        file.seek(info.header_offset + 26)  # the lengths of name and extra field, as the local header has them
        lengths = [int.from_bytes(file.read(2), "little") for _ in range(2)]
        return _mapped(file, info.header_offset + 30 + sum(lengths), info.file_size)
    if info.file_size > _physical_memory() // 2:
        raise MemoryError(f"{key} takes {info.file_size:,} bytes, and it is compressed: np.savez makes a file to map")
    with archive.open(info) as member:
        if member.read(6) != np.lib.format.MAGIC_PREFIX:
            return np.array(b"")
        member.seek(0)
        return np.lib.format.read_array(member, allow_pickle=False)


def _mapped(file: BinaryIO, offset: int, size: int) -> np.ndarray:
    """The array that is stored in a file from `offset` on, in `size` bytes with its header, as a memory map."""
    file.seek(offset)
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"version {version} of numpy's format")
    shape, is_fortran, dtype = _HEADERS[version](file)
    start = file.tell()
    if dtype.hasobject:
        raise ValueError("an array of Python objects")
    if np.prod(shape, dtype=object) * dtype.itemsize > offset + size - start:
        raise ValueError(f"an array of shape {shape}, and fewer bytes")
    if 0 in shape:
        return np.empty(shape, dtype)
    return np.memmap(file, dtype, "r", start, shape, "F" if is_fortran else "C")


def _physical_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@contextmanager
def explained(what: str, expected: str, remedy: str, errors: tuple[type[Exception], ...]) -> Iterator[None]:
    """A block whose `errors` come out as a ValueError that says `what` failed, and the `remedy`."""
    try:
        yield
    except Exception as error:
        # A failed download in tf_keras is a bare Exception, known by the URLError that it wraps.
        offline = type(error) is Exception and isinstance(error.__context__, URLError)
        if offline or isinstance(error, errors):
            raise _error(what, expected, f"{type(error).__name__} ({error})", remedy) from error
        raise


def _error(what: str, expected: str, received: object, remedy: str) -> ValueError:
    return ValueError(problem(what, expected=expected, received=received, remedy=remedy))
