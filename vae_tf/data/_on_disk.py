"""Rows of numbers in an HDF5 file, read when they are asked for, as AnnData keeps them in its backed mode."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

from vae_tf import _checks


def is_on_disk(data: Any) -> bool:
    """Whether it is an HDF5 dataset, or a sparse matrix in an HDF5 file as the package anndata hands it out."""
    return isinstance(data, h5py.Dataset) or (hasattr(data, "format") and hasattr(data, "to_memory"))


class OnDisk:
    """Some rows of a dataset in a file; `rows[index]` reads them, as an array or a scipy.sparse matrix.

    Args:
        data: Dataset `[n, ...]` for which `is_on_disk` holds.
        what: Name of the data in messages.
        first: Number of the first row.
        count: Number of rows; None takes all from the first on.

    Raises:
        ValueError: For a sparse matrix that is stored in columns.
    """

    def __init__(self, data: Any, what: str, first: int = 0, count: int | None = None) -> None:
        if getattr(data, "format", "csr") != "csr":
            raise ValueError(
                _checks.problem(
                    what,
                    expected="a sparse matrix that is stored in rows (csr), if it is to be read a batch at a time",
                    received=f"one on disk in the format {data.format}",
                    remedy="Read it into memory with .to_memory(), or write it as csr.",
                )
            )
        self._data, self._what, self._first = data, what, first
        self.shape = (len_of(data) - first if count is None else count, *data.shape[1:])
        self.dtype = np.dtype(data.dtype)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            numbers = np.arange(self.shape[0])[index]
            if len(numbers) and index.step in (None, 1):
                return self._data[self._first + int(numbers[0]) : self._first + int(numbers[-1]) + 1]
        else:
            numbers = np.arange(self.shape[0])[np.asarray(index)]
        once, places = np.unique(numbers, return_inverse=True)  # a file is read in order, each row once
        return self._data[self._first + once][places]

    def part(self, part: slice) -> OnDisk:
        """Neighbouring rows, not read."""
        start, stop, _ = part.indices(self.shape[0])
        return OnDisk(self._data, self._what, self._first + start, max(0, stop - start))

    def reshape(self, shape: tuple[int, ...]) -> np.ndarray:
        """All rows, read, in another shape."""
        return np.asarray(self[:]).reshape(shape)


def len_of(data: Any) -> int:
    """Number of rows; h5py's `len` fails for datasets without an axis."""
    return int(data.shape[0]) if data.shape else 0
