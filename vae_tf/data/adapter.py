"""The one door for data: whatever holds examples comes out of it as checked batches.

Data that can be indexed (arrays, tensors, lists, data frames, sparse matrices, memory maps, lazy images) become `Rows`,
which are read a batch at a time. Data that come in batches of their own (`tf.data.Dataset`, `keras.utils.Sequence`,
generators) become a `Stream`. Both know targets and weights, and are checked for the same things with the same
messages: rows as a whole, a stream at the first batch of a pass (a loss that is not finite stops any other). Of lazy
images it is known which values they can have: where the likelihood takes all of these, nothing is read to check them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from vae_tf import _checks
from vae_tf.data.streams import Parts, Stream, in_numpy, is_stream, stream
from vae_tf.data.tables import (
    Table,
    check_columns,
    check_finite,
    check_lengths,
    no_examples,
    no_numbers,
    no_weight,
    weights,
)

_ONCE = "Pass the images once, fit(x), without labels: of batches, dataset.map(lambda x, y: x)."
_RESHAPE = "Reshape the data, or build the encoder for their shape."

__all__ = ["Adapter", "Rows", "Stream", "Table", "latents"]


@dataclass(frozen=True)
class Rows:
    """Examples that can be indexed, with the targets and weights that belong to them.

    Attributes:
        x: Inputs of the encoder.
        target: Data to be scored; None where they are the inputs.
        weight: Weights of the examples, `[n]`; None weighs them equally.
        faults: Errors of reading a batch, for TensorFlow hides them.
    """

    x: Table
    target: Table | None = None
    weight: np.ndarray | None = None
    faults: list[Exception] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, index: Any) -> tuple[np.ndarray, ...]:
        """The examples of these numbers as Keras takes them: `(x,)`, `(x, target)` or `(x, target, weight)`."""
        try:
            return self._batch(index)
        except Exception as error:
            self.faults.append(error)
            raise

    def _batch(self, index: Any) -> tuple[np.ndarray, ...]:
        x = self.x[index]
        if self.target is None and self.weight is None:
            return (x,)
        target = x if self.target is None else self.target[index]
        return (x, target) if self.weight is None else (x, target, self.weight[index])

    def sample(self) -> np.ndarray:
        """Some of the data to be scored, evenly spread over all, `[n, *E]`: up to 256, of a million numbers or so."""
        table = self.x if self.target is None else self.target
        count = max(2, min(256, len(table), 2**20 // int(np.prod(table.shape[1:]))))
        return table[np.unique(np.linspace(0, len(table) - 1, count).astype(np.int64))]

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
        parts = self._part(slice(None, cut)), self._part(slice(cut, None))
        if not all(part.weight is None or part.weight.any() for part in parts):
            raise no_weight()
        return parts

    def _part(self, part: slice) -> Rows:
        target = None if self.target is None else self.target.part(part)
        return Rows(self.x.part(part), target, None if self.weight is None else self.weight[part])


@dataclass(frozen=True)
class Adapter:
    """The door of one model: it knows which data the encoder and the likelihood take.

    Attributes:
        event_shape: Shape of one example of the likelihood.
        input_shape: Shape of one input of the encoder; None where the encoder does not say.
        check_values: Raises ValueError for data `[n, *E]` that the likelihood gives no probability to. Each value is
            judged by itself.
        check_inputs: Raises ValueError for finite values that the encoder does not take; None where it takes all.
        columns: Names of the columns of the data frame that the model was trained on; None without names.
    """

    event_shape: tuple[int, ...]
    input_shape: tuple[int | None, ...] | None
    check_values: Callable[[np.ndarray], None]
    columns: tuple[str, ...] | None = None
    check_inputs: Callable[[np.ndarray], None] | None = None

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
        if not is_stream(x):
            return self._read_rows(x, y, sample_weight)
        for name, value in (("y", y), ("sample_weight", sample_weight)):
            if value is not None:
                remedy = f"Put it into the batches: (x, y, sample_weight) in each of the {type(x).__name__}."
                raise ValueError(_checks.problem(name, expected="None beside batches", received="one", remedy=remedy))
        return stream(x, self._check_shapes, self._check_batch)

    def rows(self, x: Any, y: Any = None, sample_weight: Any = None) -> Rows:
        """As `open`, for data that can be indexed only: a TypeError for batches."""
        opened = self.open(x, y, sample_weight)
        if isinstance(opened, Stream):
            raise _cannot_be_indexed(x)
        return opened

    def validation(self, data: Any, steps: int | None = None) -> Rows | Stream:
        """Data as `validation_data` holds them: as for `open`, or in a tuple `(x, y)` or `(x, y, sample_weight)`.

        Raises:
            ValueError: As `open`, and for a generator that would end in the first of several validations.
        """
        opened = self.open(*data) if self._are_parts(data) else self.open(data)
        if isinstance(opened, Stream) and opened.once and steps is None:
            raise ValueError(
                _checks.problem(
                    "validation_data",
                    expected="data that can be read in every epoch",
                    received=f"a {type(data).__name__}, which ends after one",
                    remedy="Pass a list of its batches as one array or a tf.data.Dataset, or validation_steps.",
                )
            )
        return opened

    def _are_parts(self, data: Any) -> bool:
        """Whether these are x, y and weights, and not examples: a tuple, or as in Keras a list of whole arrays."""
        if not isinstance(data, tuple | list) or not 1 <= len(data) <= 3:
            return False
        return isinstance(data, tuple) or all(np.ndim(part) > len(self.event_shape) for part in data[:2])

    def inputs(self, x: Any) -> Iterator[np.ndarray] | Table:
        """Inputs of the encoder alone: a table, or the `x` of each batch of a stream. Values must be finite."""

        def check(values: np.ndarray) -> None:
            self._check_input_values(values, "Data")

        table = _inputs(x, self._check_input_shape, self.input_shape or self.event_shape, check)
        if isinstance(table, Table):
            self._check_columns(table)
        return table

    def input_batches(self, x: Any) -> Stream:
        """Batches of inputs, to predict from; the first of a pass is checked."""

        def check(batch: Parts) -> None:
            self._check_input_shape(batch[0].shape)
            self._check_input_values(batch[0], "Data")

        return stream(x, lambda inputs, _: self._check_input_shape(inputs), check)

    def table(self, x: Any) -> Table:
        """As `inputs`, for data that can be indexed only: a TypeError for batches."""
        if is_stream(x):
            raise _cannot_be_indexed(x)
        return self.inputs(x)  # type: ignore[return-value]

    def examples(self, x: Any, *, at_least: int = 1) -> Table:
        """Data to be scored, `[n, *E]`, that can be indexed: a stream is read to its end.

        Raises:
            TypeError: As `open`.
            ValueError: As `open`, if there are fewer than `at_least` examples, and for batches with targets or weights.
        """
        opened = self.open(x)
        table = opened.x if isinstance(opened, Rows) else self._read_stream(opened)
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
        table = _fitting(Table(x), self.input_shape or self.event_shape)
        target = None if y is None else _fitting(Table(y, "Target"), self.event_shape)
        self._check_columns(table)
        if target is not None and table.shape == target.shape:
            check_columns(target.columns, table.columns, "Target", "those of the inputs, in their order")
        check_lengths(table, target, sample_weight)
        scored = table if target is None else target
        self._check_shapes(table.shape, scored.shape)
        if not self._takes_all(scored):
            for block in scored.value_blocks():
                self.check_values(block)
        if target is not None or self.check_inputs is not None:
            _check_all(table, self._check_input_values)
        weight = None if sample_weight is None else weights(sample_weight, len(table))
        if weight is not None and not weight.any():
            raise no_weight()
        return Rows(table, target, weight)

    def _takes_all(self, table: Table) -> bool:
        """Whether the likelihood takes, without a warning, every value that the data can have."""
        if table.values is None:
            return False
        size = int(np.prod(self.event_shape))
        count = max(1, -(-len(table.values) // size))
        every = np.resize(table.values, (count, *self.event_shape))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                self.check_values(every)
            except (ValueError, Warning):  # some of these values would not do: whether there are any, the data say
                return False
        return True

    # --- data that come in batches ---------------------------------------------------------------------

    def _read_stream(self, batches: Stream) -> Table:
        read = []
        for batch in batches:
            x, target, weight = in_numpy(batch)
            if target is not x or weight is not None:
                raise ValueError(
                    _checks.problem(
                        "Data to be scored",
                        expected="batches of x alone",
                        received="targets or weights beside them",
                        remedy="Map the batches to what is to be scored: dataset.map(lambda x, *_: x).",
                    )
                )
            self._check_target(x)
            read.append(x)
        if not read:
            raise no_examples("none")
        return Table(np.concatenate(read))

    def _check_batch(self, batch: Parts) -> None:
        x, target, weight = batch
        self._check_input_shape(x.shape)
        self._check_target(target)
        if target is not x or self.check_inputs is not None:
            self._check_input_values(x)
        if weight is not None:
            weights(weight, len(x))

    def _check_columns(self, table: Table) -> None:
        check_columns(table.columns, self.columns, "Data", "those that the model was trained on, in their order")

    # --- what is checked -------------------------------------------------------------------------------

    def _check_shapes(self, x: Any, target: Any) -> None:
        self._check_input_shape(x)
        self.check_shape(target)

    def _check_target(self, values: np.ndarray) -> None:
        self.check_shape(values.shape)
        if len(values) == 0:
            raise no_examples("a batch without examples")
        self.check_values(values)

    def check_shape(self, shape: Any) -> None:
        """Raises ValueError for data of another shape than `[B, *E]`; None is a shape that nobody knows."""
        _check_shape("Data to be scored", shape, self.event_shape, "the likelihood's event_shape", _ONCE)

    def _check_input_values(self, values: np.ndarray, what: str = "Inputs of the encoder") -> None:
        check_finite(values, what)
        if self.check_inputs is not None:
            self.check_inputs(values)

    def _check_input_shape(self, shape: Any) -> None:
        if self.input_shape is not None:
            _check_shape("Data", shape, self.input_shape, "the shape of the encoder's input", _RESHAPE)


def latents(z: Any, latent_dim: int) -> Iterator[np.ndarray] | Table:
    """Latents to decode: a table, or the `z` of each batch of a stream. Values must be finite."""

    def check(shape: Any) -> None:
        remedy = "Pass latents, such as vae.encode(x) returns."
        _check_shape("Latents", shape, (latent_dim,), "of the prior's latent_dim", remedy)

    return _inputs(z, check, (latent_dim,), lambda values: check_finite(values, "Latents"), "Latents")


def _inputs(
    data: Any,
    check_shape: Callable[[Any], None],
    shape: tuple[int | None, ...],
    check_values: Callable[[np.ndarray], None],
    what: str = "Data",
) -> Iterator[np.ndarray] | Table:
    if isinstance(data, Table | Rows):
        return data if isinstance(data, Table) else data.x
    if not is_stream(data):
        table = _fitting(Table(data, what), shape)
        check_shape(table.shape)
        _check_all(table, check_values)
        return table

    def parts() -> Iterator[np.ndarray]:
        for batch in Stream(data):
            part, _, _ = in_numpy(batch)
            check_shape(part.shape)
            check_values(part)
            yield part

    return parts()


def _check_all(table: Table, check: Callable[[np.ndarray], None]) -> None:
    """Checks each value of a table by itself; nothing is read where it is known which values there can be."""
    for block in table.value_blocks() if table.values is None else (table.values,):
        check(block)


def _fitting(table: Table, shape: tuple[int | None, ...]) -> Table:
    """The table; a single column `[n]` becomes `[n, 1]` where that is what the model takes, as Keras does."""
    return table.as_column() if len(table.shape) == 1 and shape == (1,) else table


def _check_shape(what: str, shape: Any, expected: tuple[int | None, ...], whose: str, remedy: str) -> None:
    received = tf.TensorShape(shape)
    if received.is_compatible_with((None, *expected)):
        return
    axes = ", ".join(map(str, expected))
    if received.is_fully_defined() and received.is_compatible_with(expected):
        remedy = "Add the batch axis: dataset.batch(32), or x[None]."
    elif expected[-1] == 1 and received.is_compatible_with((None, *expected[:-1])):
        remedy = "Add the axis of channels: x[..., None]."
    expected_text, received_text = f"shape [B, {axes}], {whose}", f"shape {received.as_list()}"
    raise ValueError(_checks.problem(what, expected=expected_text, received=received_text, remedy=remedy))


def _cannot_be_indexed(x: Any) -> TypeError:
    expected, remedy = "data that can be indexed, such as an array", "Pass some examples of it as an array."
    return no_numbers("Data", f"a {type(x).__name__}", expected, remedy)
