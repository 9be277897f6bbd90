"""The one door for data: whatever holds examples comes out of it as checked batches.

Data that can be indexed (arrays, tensors, lists, data frames, sparse matrices, memory maps) become `Rows`, which read
a batch at a time and copy nothing else. Data that come in an order of their own (`tf.data.Dataset`,
`keras.utils.Sequence`, generators) become a `Stream`. Both know targets and weights, and check the same things with
the same messages, so that a mistake is found whatever the container.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras
from scipy import sparse

from vae_tf import _checks

_BLOCK_BYTES = 16 * 2**20
"""Memory of the rows that are checked, or read by `Rows.blocks`, at a time."""
_CONTAINERS = (
    "numbers in an array, a tensor, a list, a data frame, a scipy.sparse matrix, a tf.data.Dataset, a keras Sequence "
    "or a generator"
)


class Table:
    """Examples that can be indexed: `table[indices]` is a numpy array `[b, *E]`, and nothing else is copied.

    Args:
        data: An array of numbers or what numpy makes one of, a tensor, a pandas data frame or series, or a scipy.sparse
            matrix (whose rows become dense a batch at a time).
        what: Name of the data in messages.

    Raises:
        TypeError: If the data are no real numbers.
        ValueError: If there is no example.
    """

    def __init__(self, data: Any, what: str) -> None:
        self._rows = _indexable(data, what)
        self.shape: tuple[int, ...] = tuple(self._rows.shape)
        self.dtype: np.dtype = np.dtype(self._rows.dtype)
        if not self.shape or self.shape[0] == 0:
            received = f"shape {list(self.shape)}"
            remedy = "Check how the data were read or selected."
            raise ValueError(_checks.problem(what, expected="at least 1 example", received=received, remedy=remedy))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        rows = self._rows[index]
        return rows.toarray() if sparse.issparse(rows) else np.asarray(rows)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)

    def reshaped(self, example_shape: tuple[int, ...]) -> Table:
        """The same examples, each of this shape."""
        if self.shape[1:] != example_shape:
            self._rows = self._rows.reshape((len(self), *example_shape))
            self.shape = (len(self), *example_shape)
        return self

    def part(self, part: slice) -> Table:
        """Some of the examples, not copied."""
        return Table(self._rows[part], "Data")

    def blocks(self) -> Iterator[np.ndarray]:
        """All examples in order, in arrays of at most 16 MiB (or of one example)."""
        size = max(1, _BLOCK_BYTES // max(1, int(np.prod(self.shape[1:])) * self.dtype.itemsize))
        return (self[start : start + size] for start in range(0, len(self), size))


@dataclass(frozen=True)
class Rows:
    """Examples that can be indexed, with the targets and weights that belong to them.

    Attributes:
        x: Inputs of the encoder.
        target: Data to be scored; None where they are the inputs.
        weight: Weights of the examples, `[n]`; None weighs them equally.
    """

    x: Table
    target: Table | None = None
    weight: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, index: Any) -> tuple[np.ndarray, ...]:
        """The examples of these numbers as Keras takes them: `(x,)`, `(x, target)` or `(x, target, weight)`."""
        x = self.x[index]
        if self.target is None and self.weight is None:
            return (x,)
        target = x if self.target is None else self.target[index]
        return (x, target) if self.weight is None else (x, target, self.weight[index])

    def signature(self) -> tuple[tf.TensorSpec, ...]:
        """Shapes and dtypes of `batch`."""
        target = self.x if self.target is None else self.target
        specs = [tf.TensorSpec((None, *table.shape[1:]), table.dtype) for table in (self.x, target)]
        if self.weight is not None:
            return (*specs, tf.TensorSpec((None,), self.weight.dtype))
        return tuple(specs[:1] if self.target is None else specs)

    def split(self, share: float) -> tuple[Rows, Rows]:
        """The first examples, and the last ones, which are about this share of all."""
        cut = round(len(self) * (1 - share))
        if not 0 < cut < len(self):
            raise ValueError(
                _checks.problem(
                    "validation_split",
                    expected="a share that leaves examples to train on and to validate on",
                    received=f"{share:g} of {len(self)} examples",
                    remedy="Choose another share, or pass validation_data.",
                )
            )
        return self._part(slice(None, cut)), self._part(slice(cut, None))

    def _part(self, part: slice) -> Rows:
        target = None if self.target is None else self.target.part(part)
        return Rows(self.x.part(part), target, None if self.weight is None else self.weight[part])


@dataclass(frozen=True)
class Stream:
    """Batches that come in an order of their own.

    Attributes:
        batches: A `tf.data.Dataset`, a `keras.utils.Sequence` or a generator, each batch checked when it passes.
        steps: Number of batches in a pass; None where nobody knows or there is no end.
        faults: Errors that a check inside a `tf.data.Dataset` raised, for TensorFlow hides them.
    """

    batches: Any
    steps: int | None = None
    faults: list[Exception] = field(default_factory=list)

    def __iter__(self) -> Iterator[Any]:
        """The batches of one pass."""
        if isinstance(self.batches, keras.utils.Sequence):
            return (self.batches[i] for i in range(len(self.batches)))
        if _repeats_for_ever(self.batches):
            raise ValueError(
                _checks.problem(
                    "Data",
                    expected="an end",
                    received="a tf.data.Dataset that repeats for ever",
                    remedy="Take so many batches of it, dataset.take(100), or leave repeat() out.",
                )
            )
        return iter(self.batches)


@dataclass(frozen=True)
class Adapter:
    """The door of one model: it knows which data the encoder and the likelihood take.

    Attributes:
        event_shape: Shape of one example of the likelihood.
        input_shape: Shape of one input of the encoder; None where the encoder does not say.
        check_values: Raises ValueError for data `[n, *E]` that the likelihood gives no probability to.
    """

    event_shape: tuple[int, ...]
    input_shape: tuple[int | None, ...] | None
    check_values: Callable[[np.ndarray], None]

    def open(self, x: Any, y: Any = None, sample_weight: Any = None) -> Rows | Stream:
        """Data to train on or to score.

        Args:
            x: Inputs, in any of the containers that the module names.
            y: Data to be scored where they are not the inputs (denoising); for data that can be indexed only.
            sample_weight: Weights `[n]` or `[n, 1]`; for data that can be indexed only.

        Raises:
            TypeError: If the container, or what it holds, is nothing to train on.
            ValueError: If shapes, values or lengths do not fit the model.
        """
        if isinstance(x, Rows | Stream):
            return x
        if isinstance(x, Table):
            return Rows(x)
        if not _is_stream(x):
            return self._read_rows(x, y, sample_weight)
        for name, value in (("y", y), ("sample_weight", sample_weight)):
            if value is not None:
                remedy = f"Put it into the batches: (x, y, sample_weight) in each of the {type(x).__name__}."
                raise ValueError(_checks.problem(name, expected="None beside batches", received="one", remedy=remedy))
        return self._stream(x)

    def rows(self, x: Any, y: Any = None, sample_weight: Any = None) -> Rows:
        """As `open`, for data that can be indexed only: a TypeError for batches."""
        opened = self.open(x, y, sample_weight)
        if isinstance(opened, Stream):
            expected, remedy = "data that can be indexed, such as an array", "Pass some examples of it as an array."
            raise TypeError(_checks.problem("Data", expected=expected, received=f"a {type(x).__name__}", remedy=remedy))
        return opened

    def unpacked(self, data: Any) -> Rows | Stream:
        """Data as `validation_data` holds them: as for `open`, or in a tuple `(x, y)` or `(x, y, sample_weight)`."""
        if isinstance(data, tuple) and 1 <= len(data) <= 3:
            return self.open(*data)
        return self.open(data)

    def inputs(self, x: Any) -> Iterator[np.ndarray] | Table:
        """Inputs of the encoder alone: a table, or the `x` of each batch of a stream. Values must be finite."""
        return _inputs(x, "Data", self._check_input_shape, self.input_shape or self.event_shape)

    def examples(self, x: Any, *, at_least: int = 1) -> Table:
        """Data to be scored, `[n, *E]`, that can be indexed: a stream is read to its end.

        Raises:
            TypeError: As `open`.
            ValueError: As `open`, and if there are fewer than `at_least` examples.
        """
        opened = self.open(x)
        if isinstance(opened, Rows):
            table = opened.x
        else:
            parts = [np.asarray(_parts(batch)[0]) for batch in opened]
            for part in parts:
                self._check_target(part)
            table = Table(np.concatenate(parts) if parts else np.empty((0, *self.event_shape)), "Data")
        if len(table) < at_least:
            raise ValueError(
                _checks.problem(
                    "Data",
                    expected=f"at least {at_least} example{'s' * (at_least > 1)}",
                    received=str(len(table)),
                    remedy="Pass as many as time allows: these are statistics over the data.",
                )
            )
        return table

    # --- data that can be indexed ----------------------------------------------------------------------

    def _read_rows(self, x: Any, y: Any, sample_weight: Any) -> Rows:
        table = _fitting(Table(x, "Data"), self.input_shape or self.event_shape)
        target = None if y is None else _fitting(Table(y, "Target"), self.event_shape)
        self._check_input_shape(table.shape)
        check_lengths(table, target, sample_weight)
        self.check_shape((table if target is None else target).shape)
        for block in (table if target is None else target).blocks():
            self.check_values(block)
        if target is not None:
            for block in table.blocks():
                check_finite(block, "Inputs of the encoder")
        return Rows(table, target, None if sample_weight is None else weights(sample_weight, len(table)))

    # --- data that come in batches ---------------------------------------------------------------------

    def _stream(self, x: Any) -> Stream:
        if isinstance(x, tf.data.Dataset):
            return self._dataset(x)
        if isinstance(x, keras.utils.Sequence):
            if len(x) == 0:
                raise _empty("a Sequence of length 0")
            self._check_batch(x[0])
            return Stream(x, len(x))
        batches = iter(x)
        first = next(batches, None)
        if first is None:
            raise _empty(f"a {type(x).__name__} without any")
        self._check_batch(first)
        return Stream(itertools.chain([first], batches))

    def _dataset(self, dataset: tf.data.Dataset) -> Stream:
        """The dataset with a check on the first batch of each pass: looking ahead would take it from the user."""
        count = int(dataset.cardinality())
        if count == 0:
            raise _empty("an empty tf.data.Dataset")
        x, target, _ = _parts(dataset.element_spec)
        self._check_input_shape(x.shape)
        self.check_shape(target.shape)
        faults: list[Exception] = []

        def look(values: np.ndarray) -> np.bool_:
            try:
                self._check_target(values)
            except Exception as error:
                faults.append(error)
                raise
            return np.True_

        def pass_on(index: tf.Tensor, batch: Any) -> Any:
            target = _parts(batch)[1]
            looked = tf.cond(index == 0, lambda: tf.numpy_function(look, [target], tf.bool), lambda: tf.constant(True))
            with tf.control_dependencies([looked]):
                return tf.nest.map_structure(tf.identity, batch)

        checked = dataset.enumerate().map(pass_on, num_parallel_calls=1)
        return Stream(checked, count if count > 0 else None, faults)

    def _check_batch(self, batch: Any) -> None:
        x, target, weight = _parts(batch)
        x, target = (np.asarray(_indexable(part, "Data")[:]) for part in (x, target))
        self._check_input_shape(x.shape)
        self._check_target(target)
        if weight is not None:
            weights(weight, len(x))

    # --- what is checked -------------------------------------------------------------------------------

    def _check_target(self, values: np.ndarray) -> None:
        self.check_shape(values.shape)
        if len(values) == 0:
            raise _empty("a batch without examples")
        self.check_values(values)

    def check_shape(self, shape: Any) -> None:
        """Raises ValueError for data of another shape than `[B, *E]`; None is a shape that nobody knows."""
        _check_shape("Data", shape, self.event_shape, "the likelihood's event_shape")

    def _check_input_shape(self, shape: Any) -> None:
        if self.input_shape is not None:
            _check_shape("Data", shape, self.input_shape, "the shape of the encoder's input")


def latents(z: Any, latent_dim: int) -> Iterator[np.ndarray] | Table:
    """Latents to decode: a table, or the `z` of each batch of a stream. Values must be finite."""

    def check(shape: Any) -> None:
        _check_shape("Latents", shape, (latent_dim,), "latents of the prior's latent_dim")

    return _inputs(z, "Latents", check, (latent_dim,))


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
        ValueError: If there is not one number of at least 0 for each example.
    """
    array = np.asarray(_indexable(sample_weight, "sample_weight")[:])
    if array.shape not in ((count,), (count, 1)):
        raise ValueError(
            _checks.problem(
                "sample_weight",
                expected=f"one weight for each example, shape [{count}] or [{count}, 1]",
                received=f"shape {list(array.shape)}",
                remedy="A weight for each dimension has no meaning here: the likelihood's scale weighs the dimensions.",
            )
        )
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


def check_finite(values: np.ndarray, what: str) -> None:
    """Raises ValueError where numbers are NaN or infinite."""
    bad = values.size - np.count_nonzero(np.isfinite(values)) if values.dtype.kind not in "biu" else 0
    if bad:
        received = f"{bad} values that are NaN or infinite"
        raise ValueError(
            _checks.problem(what, expected="finite numbers", received=received, remedy="Drop or fill them.")
        )


def _parts(batch: Any) -> tuple[Any, Any, Any]:
    """Inputs, targets (the inputs where there are none) and weights of a batch."""
    if isinstance(batch, list) and 1 <= len(batch) <= 3 and all(hasattr(part, "shape") for part in batch):
        batch = tuple(batch)
    x, target, weight = keras.utils.unpack_x_y_sample_weight(batch)
    if isinstance(x, dict | list | tuple):
        raise TypeError(
            _checks.problem(
                "A batch",
                expected="x, (x,), (x, target) or (x, target, weight), each one array",
                received=f"a {type(x).__name__} of {len(x)}",
                remedy="Models of several inputs are not supported: map the batches to one array.",
            )
        )
    return x, x if target is None else target, weight


def _inputs(
    data: Any, what: str, check_shape: Callable[..., None], shape: tuple[int | None, ...]
) -> Iterator[np.ndarray] | Table:
    if isinstance(data, Table):
        return data
    if isinstance(data, Rows):
        return data.x
    if not _is_stream(data):
        table = _fitting(Table(data, what), shape)
        check_shape(table.shape)
        for block in table.blocks():
            check_finite(block, what)
        return table

    def parts() -> Iterator[np.ndarray]:
        for batch in Stream(data):
            part = np.asarray(_indexable(_parts(batch)[0], what)[:])
            check_shape(part.shape)
            check_finite(part, what)
            yield part

    return parts()


def _repeats_for_ever(data: Any) -> bool:
    return isinstance(data, tf.data.Dataset) and int(data.cardinality()) == tf.data.INFINITE_CARDINALITY


def _is_stream(data: Any) -> bool:
    """Whether the data come in batches of their own."""
    if isinstance(data, tf.data.Dataset | keras.utils.Sequence):
        return True
    return hasattr(data, "__iter__") and not hasattr(data, "__getitem__") and not _is_array_like(data)


def _is_array_like(data: Any) -> bool:
    """Whether numpy makes an array of it without guessing."""
    return isinstance(data, list | tuple | np.ndarray | np.generic) or hasattr(data, "__array__")


def _indexable(data: Any, what: str) -> Any:
    """An array of real numbers, or a sparse matrix in rows; tensors, lists and data frames become arrays."""
    if sparse.issparse(data):
        data = data.tocsr()
        if data.dtype.kind not in "biuf":
            raise _no_numbers(what, f"dtype {data.dtype}")
        return data
    if not _is_array_like(data) or isinstance(data, tf.RaggedTensor):
        raise _no_numbers(what, "None" if data is None else f"a {type(data).__name__}", _CONTAINERS)
    if isinstance(data, np.ma.MaskedArray) and np.ma.is_masked(data):
        raise _no_numbers(what, f"{np.ma.count_masked(data)} masked values", remedy="Fill them: x.filled(...).")
    if hasattr(data, "to_numpy"):
        array = data.to_numpy()
        if array.dtype.kind not in "biuf" and hasattr(data, "dtypes"):
            odd = [f"{name!r} ({kind})" for name, kind in dict(data.dtypes).items() if kind.kind not in "biuf"]
            raise _no_numbers(what, f"columns of other kinds: {', '.join(odd[:5])}")
    else:
        try:
            array = np.asarray(data)
        except ValueError as error:  # lists of different lengths
            raise _no_numbers(what, f"a {type(data).__name__} of unequal parts", _CONTAINERS) from error
    if array.dtype.kind == "V" and array.dtype.names is None and array.dtype.itemsize <= 2:
        array = array.astype(np.float32)  # bfloat16 and its kind
    if array.dtype.kind not in "biuf":
        raise _no_numbers(what, f"dtype {array.dtype} in a {type(data).__name__}", _CONTAINERS)
    return array


def _no_numbers(
    what: str, received: str, expected: str = "real numbers", remedy: str = "Convert the data to one array of numbers."
) -> TypeError:
    return TypeError(_checks.problem(what, expected=expected, received=received, remedy=remedy))


def _fitting(table: Table, shape: tuple[int | None, ...]) -> Table:
    """The table; a single column `[n]` becomes `[n, 1]` where that is what the model takes, as Keras does."""
    return table.reshaped((1,)) if len(table.shape) == 1 and shape == (1,) else table


def _check_shape(what: str, shape: Any, expected: tuple[int | None, ...], whose: str) -> None:
    received = tf.TensorShape(shape)
    if received.is_compatible_with((None, *expected)):
        return
    axes = ", ".join(map(str, expected))
    unbatched = received.is_compatible_with(expected)
    remedy = (
        "Add the batch axis: dataset.batch(32), or x[None]."
        if unbatched
        else "Pass the images once, fit(x): no labels are needed."
    )
    raise ValueError(
        _checks.problem(
            what, expected=f"shape [B, {axes}], {whose}", received=f"shape {received.as_list()}", remedy=remedy
        )
    )


def _empty(received: str) -> ValueError:
    remedy = "Check how the data were read or selected."
    return ValueError(_checks.problem("Data", expected="at least 1 example", received=received, remedy=remedy))
