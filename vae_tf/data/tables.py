"""Numbers that can be indexed: whatever holds them, they are read a part at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from scipy import sparse

from vae_tf import _checks
from vae_tf.data._mapped import rows_of
from vae_tf.data._on_disk import OnDisk, is_on_disk
from vae_tf.data.lazy import LazyImages

_BLOCK_BYTES = 16 * 2**20
"""Memory of the rows that `Table.blocks` reads at a time."""
CONTAINERS = (
    "numbers in an array, a tensor, a list, a data frame, a scipy.sparse matrix, an HDF5 dataset, a tf.data.Dataset, a "
    "keras Sequence or a generator"
)
"""The containers that the door takes, in words."""
_ONE_EACH = "A weight for each dimension has no meaning here: the likelihood's scale weighs the dimensions."
WEIGHTS_FAULT = _checks.problem(
    "sample_weight",
    expected="one finite number of at least 0 for each example",
    received="a batch of others",
    remedy="A weight of 0 leaves an example out.",
)
"""The error of weights that are found wrong inside a step."""


class Table:
    """Examples that can be indexed: `table[indices]` is a numpy array `[b, *E]`.

    Arrays, memory maps, tensors and data frames of one dtype are not copied; lists and other data frames become one
    array. The rows of a scipy.sparse matrix become dense when they are asked for; then lazy images are decoded, and the
    rows of an HDF5 file, as AnnData has them in its backed mode, are read.

    Args:
        data: An array of numbers or what numpy makes one of, a tensor, a pandas data frame or series, or a scipy.sparse
            matrix.
        what: Name of the data in messages.

    Raises:
        TypeError: If the data are no real numbers.
        ValueError: If there is no example.
    """

    def __init__(self, data: Any, what: str = "Data") -> None:
        self._rows = numbers_in(data, what)
        self.columns = column_names(data)
        self.shape: tuple[int, ...] = tuple(self._rows.shape)
        self.dtype: np.dtype = np.dtype(self._rows.dtype)
        if not self.shape or self.shape[0] == 0:
            raise no_examples(f"shape {list(self.shape)}", what)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        rows = rows_of(self._rows, index) if isinstance(self._rows, np.ndarray) else self._rows[index]
        return dense(rows)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)

    def as_column(self) -> Table:
        """Numbers `[n]` as `[n, 1]`."""
        return Table(self._rows.reshape((len(self), 1)))

    def part(self, part: slice) -> Table:
        """Some of the examples, not copied."""
        return Table(self._rows.part(part) if isinstance(self._rows, LazyImages | OnDisk) else self._rows[part])

    @property
    def values(self) -> np.ndarray | None:
        """Values that stand for all that there are, where they are known without reading; see LazyImages."""
        return self._rows.values if isinstance(self._rows, LazyImages) else None

    def blocks(self) -> Iterator[np.ndarray]:
        """All examples in order, in arrays of at most 16 MiB (or of one example)."""
        if isinstance(self._rows, LazyImages):
            return self._rows.blocks("Reading images")
        return map(dense, self._row_blocks())

    def value_blocks(self) -> Iterator[np.ndarray]:
        """All values, for checks that judge each by itself: arrays `[k, *E]`, as `blocks`.

        Of a sparse matrix they hold only the numbers that are stored, some of them repeated to fill the shape, and 0
        where any number is not stored: nothing becomes dense.
        """
        parts: Iterator[Any] = self.blocks() if isinstance(self._rows, LazyImages) else self._row_blocks()
        for rows in parts:
            if not sparse.issparse(rows):
                yield np.asarray(rows)
                continue
            stored = rows.data if rows.nnz == np.prod(rows.shape) else np.append(rows.data, rows.dtype.type(0))
            width = rows.shape[1]
            yield np.resize(stored, (-(-len(stored) // width), width))

    def _row_blocks(self) -> Iterator[Any]:
        size = max(1, _BLOCK_BYTES // max(1, int(np.prod(self.shape[1:])) * self.dtype.itemsize))
        return (self._rows[start : start + size] for start in range(0, len(self), size))


def column_names(data: Any) -> tuple[str, ...] | None:
    """The names of the columns of a data frame; None for other data, and for names that are not all text."""
    names = tuple(data.columns) if hasattr(data, "to_numpy") and getattr(data, "ndim", 0) == 2 else ()
    return names if names and all(isinstance(name, str) for name in names) else None


def check_columns(columns: tuple[str, ...] | None, known: tuple[str, ...] | None, what: str, whose: str) -> None:
    """Raises ValueError where both have names, and they are not the same in the same order.

    Args:
        columns: Names of the columns of the data; None where they have none.
        known: Names that are expected; None where any will do.
        what: Name of the data in messages.
        whose: Words that say which names are expected.
    """
    if columns is None or known is None or columns == known:
        return
    place = next((i for i, pair in enumerate(zip(columns, known, strict=False)) if pair[0] != pair[1]), len(known))
    ordered = sorted(columns) == sorted(known)
    received = "the same in another order" if ordered else "others"
    if place < min(len(columns), len(known)):
        received += f": {columns[place]!r} in place of {known[place]!r}, at column {place + 1}"
    order = "Pass frame[list(vae.columns)]" if ordered else "Select and name them as they were"
    remedy = f"{order}; frame.to_numpy() if only the names differ."
    raise ValueError(_checks.problem(f"{what}: columns", expected=whose, received=received, remedy=remedy))


def is_array_like(data: Any) -> bool:
    """Whether numpy or scipy has an array of it without guessing."""
    arrays = isinstance(data, list | tuple | np.ndarray | np.generic) or sparse.issparse(data)
    return arrays or hasattr(data, "__array__")


def numbers_in(data: Any, what: str) -> Any:
    """An array of real numbers, or a sparse matrix in rows; tensors, lists and data frames become arrays.

    Raises:
        TypeError: If the data are no real numbers.
    """
    if isinstance(data, LazyImages):
        return data
    if hasattr(data, "layers") and hasattr(data, "obs_names"):
        remedy = "Pass the matrix that is meant: adata.X, or adata.layers['counts']."
        raise no_numbers(what, "an AnnData", "one matrix of numbers", remedy)
    if isinstance(data, OnDisk) or is_on_disk(data):
        array: Any = data if isinstance(data, OnDisk) else OnDisk(data, what)
    elif not is_array_like(data) or isinstance(data, tf.RaggedTensor):
        raise no_numbers(what, "None" if data is None else f"a {type(data).__name__}", CONTAINERS)
    elif sparse.issparse(data):
        array = _in_rows(data)
    elif isinstance(data, np.ma.MaskedArray) and np.ma.is_masked(data):
        raise no_numbers(what, f"{np.ma.count_masked(data)} masked values", remedy="Fill them: x.filled(...).")
    elif hasattr(data, "to_numpy"):
        array = _of_frame(data, what)
    else:
        try:
            array = np.asarray(data)
        except ValueError as error:  # lists of different lengths
            raise no_numbers(what, f"a {type(data).__name__} of unequal parts", CONTAINERS) from error
    if array.dtype.kind == "V" and array.dtype.names is None and array.dtype.itemsize <= 2:
        array = array.astype(np.float32)  # bfloat16 and its kind
    if array.dtype.kind not in "biuf":
        raise no_numbers(what, f"dtype {array.dtype} in a {type(data).__name__}", CONTAINERS)
    return array


def _in_rows(matrix: Any) -> Any:
    """A sparse matrix in rows, in which every place is stored once at most."""
    rows = matrix.tocsr()
    if rows.has_canonical_format:
        return rows
    rows = rows.copy()
    rows.sum_duplicates()
    return rows


def _of_frame(frame: Any, what: str) -> np.ndarray:
    """The numbers of a data frame or series; a missing value becomes NaN."""
    array = frame.to_numpy()
    if array.dtype.kind in "biuf":
        return array
    columns = dict(frame.dtypes.items()) if getattr(frame, "ndim", 0) == 2 else {frame.name: frame.dtype}
    odd = [f"{name!r} ({kind})" for name, kind in columns.items() if kind.kind not in "biuf"]
    if odd:
        remedy = "Leave them out, or encode them as numbers."
        raise no_numbers(what, f"columns of other kinds: {', '.join(odd[:5])}", remedy=remedy)
    return frame.to_numpy(np.float64, na_value=np.nan)  # nullable columns, or numbers beside bools


def dense(rows: Any) -> np.ndarray:
    """An array, or a sparse matrix, as an array."""
    return rows.toarray() if sparse.issparse(rows) else np.asarray(rows)


def check_finite(values: np.ndarray, what: str) -> None:
    """Raises ValueError where numbers are NaN or infinite."""
    bad = values.size - np.count_nonzero(np.isfinite(values)) if values.dtype.kind not in "biu" else 0
    if bad:
        received = f"{bad} values that are NaN or infinite"
        raise ValueError(
            _checks.problem(what, expected="finite numbers", received=received, remedy="Drop or fill them.")
        )


def check_lengths(x: Any, target: Any, sample_weight: Any) -> None:
    """Raises ValueError unless targets and weights belong to as many examples as there are."""
    lengths = [len(x)]
    lengths += [len(target)] if target is not None else []
    lengths += [np.shape(sample_weight)[0]] if np.ndim(sample_weight) and sample_weight is not None else []
    if len(set(lengths)) > 1:
        raise ValueError(
            _checks.problem(
                "Number of examples",
                expected="the same in all arrays, at least 1",
                received=" and ".join(map(str, lengths)),
                remedy="Pass one target and one weight for each image.",
            )
        )


def weights(sample_weight: Any, count: int) -> np.ndarray:
    """Weights of examples as `[count]`.

    Raises:
        ValueError: If there is not one finite number of at least 0 for each example.
    """
    array = dense(numbers_in(sample_weight, "sample_weight"))
    if array.shape not in ((count,), (count, 1)):
        raise not_one_each(f"[{count}]", array.shape)
    if not (np.isfinite(array) & (array >= 0)).all():
        raise ValueError(
            _checks.problem(
                "sample_weight",
                expected="finite numbers of at least 0",
                received=f"values from {array.min():g} to {array.max():g}",
                remedy="A weight of 0 leaves an example out.",
            )
        )
    return array.reshape(count).astype(np.float32)


def not_one_each(expected: str, shape: Any) -> ValueError:
    """The refusal of weights of another shape than one number for each example."""
    column = f"{expected[:-1]}, 1]"
    return ValueError(
        _checks.problem(
            "sample_weight",
            expected=f"one weight for each example, shape {expected} or {column}",
            received=f"shape {list(shape)}",
            remedy=_ONE_EACH,
        )
    )


def no_numbers(
    what: str, received: str, expected: str = "real numbers", remedy: str = "Convert the data to one array of numbers."
) -> TypeError:
    """The refusal of data that are no real numbers."""
    return TypeError(_checks.problem(what, expected=expected, received=received, remedy=remedy))


def no_weight() -> ValueError:
    """The refusal of data whose examples all have the weight 0."""
    expected, remedy = "a weight above 0", "A weighted mean needs some weight."
    return ValueError(_checks.problem("sample_weight", expected=expected, received="only 0", remedy=remedy))


def no_examples(received: str, what: str = "Data") -> ValueError:
    """The refusal of data without an example."""
    remedy = "Check how the data were read or selected."
    return ValueError(_checks.problem(what, expected="at least 1 example", received=received, remedy=remedy))
