"""Batches that come in an order of their own: datasets, Sequences, generators and other iterables."""

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
from vae_tf.data.order import permutation
from vae_tf.data.tables import Table, dense, is_array_like, no_examples, no_numbers, not_one_each, numbers_in

Parts = tuple[Any, Any, Any]
"""Inputs, targets (the inputs where there are none) and weights (or None) of a batch."""


@dataclass(frozen=True)
class Stream:
    """Batches that come in an order of their own; the first of each pass is checked when it passes.

    Attributes:
        batches: A `tf.data.Dataset`, `Batches` or an iterator.
        steps: Number of batches in a pass; None where nobody knows or there is no end.
        once: Whether there is one pass only.
        faults: Errors that a check inside a `tf.data.Dataset` raised, for TensorFlow hides them.
    """

    batches: Any
    steps: int | None = None
    once: bool = False
    faults: list[Exception] = field(default_factory=list)

    def __iter__(self) -> Iterator[Any]:
        """The batches of one pass."""
        if isinstance(self.batches, Batches):
            return (self.batches[i] for i in range(len(self.batches)))
        if repeats_for_ever(self.batches):
            raise ValueError(
                _checks.problem(
                    "Data",
                    expected="an end",
                    received="a tf.data.Dataset that repeats for ever",
                    remedy="Take so many batches of it, dataset.take(100), or leave repeat() out.",
                )
            )
        return iter(self.batches)


def is_stream(data: Any) -> bool:
    """Whether the data come in batches of their own."""
    if isinstance(data, tf.data.Dataset | keras.utils.Sequence):
        return True
    return hasattr(data, "__iter__") and not hasattr(data, "__getitem__") and not is_array_like(data)


def repeats_for_ever(data: Any) -> bool:
    """Whether it is a `tf.data.Dataset` without an end."""
    return isinstance(data, tf.data.Dataset) and int(data.cardinality()) == tf.data.INFINITE_CARDINALITY


def stream(data: Any, check_specs: Callable[[Any, Any], None], check: Callable[[Parts], None]) -> Stream:
    """A stream of the data whose batches are checked.

    Args:
        data: A `tf.data.Dataset`, a `keras.utils.Sequence`, a generator, or an object that can be iterated again and
            again, such as PyTorch's `DataLoader`.
        check_specs: Raises ValueError for the shapes of inputs and targets, as far as they are known.
        check: Raises ValueError for a batch.
    """
    if isinstance(data, tf.data.Dataset):
        return _dataset(data, check_specs, check)
    if isinstance(data, keras.utils.Sequence):
        if len(data) == 0:
            raise no_examples("a Sequence of length 0")
        check(in_numpy(data[0]))
        return Stream(Batches(data), len(data))
    batches = iter(data)
    first = next(batches, None)
    if first is None:
        raise no_examples(f"a {type(data).__name__} without any")
    check(in_numpy(first))
    if batches is data:
        return Stream(map(_arrays, itertools.chain([first], batches)), once=True)
    return Stream(_again_and_again(data, first), len(data) if hasattr(data, "__len__") else None)


class Batches(keras.utils.Sequence):
    """The batches of a `keras.utils.Sequence` as numpy arrays, in its order or in one given by (seed, epoch).

    Args:
        sequence: The Sequence.
        seed: Seed of the order; None for the Sequence's own.
        epoch: Number of the epoch that comes first.
    """

    def __init__(self, sequence: keras.utils.Sequence, seed: int | None = None, epoch: int = 0) -> None:
        super().__init__()
        self.sequence, self.seed, self.epoch = sequence, seed, epoch

    def shuffled(self, seed: int, epoch: int) -> Batches:
        """The same batches in an order of each epoch, from this epoch on."""
        return Batches(self.sequence, seed, epoch)

    def __len__(self) -> int:
        return len(self.sequence)

    def __getitem__(self, i: int) -> tuple[np.ndarray, ...]:
        return _arrays(self.sequence[i if self.seed is None else int(permutation(self.seed, self.epoch, len(self))[i])])

    def on_epoch_end(self) -> None:
        """Goes on to the next epoch, and tells the Sequence."""
        self.epoch += 1
        self.sequence.on_epoch_end()


def _again_and_again(data: Any, first: Any) -> tf.data.Dataset:
    """A dataset of the batches of an object that begins anew each time it is iterated."""
    arrays = _arrays(first)
    specs = tuple(tf.TensorSpec((None, *array.shape[1:]), array.dtype) for array in arrays)
    dataset = tf.data.Dataset.from_generator(lambda: map(_arrays, data), output_signature=specs)
    return dataset.apply(tf.data.experimental.assert_cardinality(len(data))) if hasattr(data, "__len__") else dataset


def _arrays(batch: Any) -> tuple[np.ndarray, ...]:
    x, target, weight = in_numpy(batch)
    return (x,) if target is x and weight is None else (x, target) if weight is None else (x, target, weight)


def _dataset(
    dataset: tf.data.Dataset, check_specs: Callable[[Any, Any], None], check: Callable[[Parts], None]
) -> Stream:
    """The dataset with a check on the first batch of each pass: looking ahead would take it from the user."""
    count = int(dataset.cardinality())
    if count == 0:
        raise no_examples("an empty tf.data.Dataset")
    x, target, weight = parts_of(dataset.element_spec)
    for spec in (x, target, weight):
        if spec is not None and not (isinstance(spec, tf.TensorSpec) and (spec.dtype.is_bool or _is_real(spec.dtype))):
            kind = f"{type(spec).__name__} of {spec.dtype.name}" if hasattr(spec, "dtype") else type(spec).__name__
            raise no_numbers("Data", f"a tf.data.Dataset of {kind}", "dense tensors of real numbers")
    check_specs(x.shape, target.shape)
    if weight is not None and not any(weight.shape.is_compatible_with(shape) for shape in ((None,), (None, 1))):
        raise not_one_each("[B]", weight.shape)
    faults: list[Exception] = []

    def look(*parts: np.ndarray) -> np.bool_:
        try:
            values, scored, *given = parts
            check((values, values if target is x else scored, given[0] if given else None))
        except Exception as error:
            faults.append(error)
            raise
        return np.True_

    def pass_on(index: tf.Tensor, batch: Any) -> Any:
        parts = [part for part in parts_of(batch) if part is not None]
        looked = tf.cond(index == 0, lambda: tf.numpy_function(look, parts, tf.bool), lambda: tf.constant(True))
        with tf.control_dependencies([looked]):
            return tf.nest.map_structure(tf.identity, batch)

    checked = dataset.enumerate().map(pass_on, num_parallel_calls=1)
    return Stream(checked, count if count > 0 else None, faults=faults)


def _is_real(dtype: tf.DType) -> bool:
    return dtype.is_floating or dtype.is_integer


def parts_of(batch: Any) -> Parts:
    """Inputs, targets (the inputs where there are none) and weights of a batch.

    Raises:
        TypeError: For a batch of several inputs, or of names.
    """
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


def whole(data: Any, what: str = "Data") -> np.ndarray:
    """All inputs in any container as one array `[n, *E]`, without a model that knows their shape.

    Raises:
        TypeError: For data that are no real numbers.
        ValueError: For data without an example.
    """
    if not is_stream(data):
        return Table(data, what)[:]
    parts = [in_numpy(batch)[0] for batch in Stream(data)]
    if not parts:
        raise no_examples("none", what)
    return np.concatenate(parts)


def in_numpy(batch: Any) -> Parts:
    """`parts_of` a batch as numpy arrays.

    Raises:
        TypeError: For a batch that is no array of real numbers.
    """
    x, target, weight = parts_of(batch)
    for part in (x, target):
        if sparse.issparse(part):
            remedy = "Make them dense: batch.toarray()."
            raise no_numbers("A batch", f"a {type(part).__name__}", "a dense array", remedy)
    array = dense(numbers_in(x, "Data"))
    scored = array if target is x else dense(numbers_in(target, "Target"))
    return array, scored, None if weight is None else dense(numbers_in(weight, "sample_weight"))
