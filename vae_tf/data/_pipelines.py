"""Pipelines of `tf.data` over data that can be indexed: decoded in parallel, cached, shuffled by (seed, epoch)."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from vae_tf import _checks
from vae_tf.data.lazy import LazyImages
from vae_tf.data.order import permutation

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["stream"]


def stream(
    x: Any,
    batch_size: int = 32,
    *,
    shuffle: bool = True,
    seed: int = 0,
    initial_epoch: int = 0,
    cache: bool | str | os.PathLike[str] = False,
) -> tf.data.Dataset:
    """Batches `[b, *E]` of data that can be indexed, read in parallel and ahead of their use, as a `tf.data.Dataset`.

    Each pass over it is one epoch. The order of epoch e is a function of (seed, e) alone, the same as that in which
    `fit` of a model with that seed reads the data themselves; to go on with a run after e epochs, pass
    `initial_epoch=e`. `fit` and `evaluate` take the result, and so does any other code that takes a Dataset.

    Args:
        x: Data such as `load` returns: lazy images, or whatever else can be indexed. A tuple (x, y) gives batches of
            both.
        batch_size: Examples in a batch; the last one is smaller where it does not divide.
        shuffle: Whether the order is a new one in each epoch, or always that of the data.
        seed: Seed of the order.
        initial_epoch: Number of the epoch of the first pass.
        cache: Whether lazy images are kept, once they have been read, so that each is decoded once only: True keeps
            them in memory, with 1 byte for a value of 8 bits; the path of a folder keeps them in a file there, which
            has no name and is gone when the process ends.

    Raises:
        TypeError: If the data are no real numbers.
        ValueError: If there are none, or x and y are not of one length.
    """
    import tensorflow as tf

    from vae_tf.data.tables import Table, check_lengths

    batch_size = _checks.positive_int("batch_size", batch_size)
    seed, passes = _checks.seed(seed), itertools.count(initial_epoch)
    parts = x if isinstance(x, tuple) else (x,)
    tables = [Table(_cached(part, cache) if isinstance(part, LazyImages) else part) for part in parts]
    for table in tables:
        check_lengths(tables[0], table, None)
    n, specs = len(tables[0]), [tf.TensorSpec((None, *table.shape[1:]), table.dtype) for table in tables]
    steps = -(-n // batch_size)

    def orders() -> Iterator[np.ndarray]:
        yield permutation(seed, next(passes), n) if shuffle else np.arange(n)

    def read(step: tf.Tensor, order: tf.Tensor) -> Any:
        index = order[step * batch_size : (step + 1) * batch_size]
        arrays = tf.numpy_function(lambda index: [table[index] for table in tables], [index], [s.dtype for s in specs])
        batch = tuple(tf.ensure_shape(array, spec.shape) for array, spec in zip(arrays, specs, strict=True))
        return batch if isinstance(x, tuple) else batch[0]

    def one_pass(order: tf.Tensor) -> tf.data.Dataset:
        batches = tf.data.Dataset.range(steps)
        return batches.map(lambda step: read(step, order), num_parallel_calls=os.cpu_count(), deterministic=True)

    dataset = tf.data.Dataset.from_generator(orders, output_signature=tf.TensorSpec((n,), tf.int64))
    dataset = dataset.flat_map(one_pass).apply(tf.data.experimental.assert_cardinality(steps))
    return dataset.prefetch(tf.data.AUTOTUNE)


def _cached(images: LazyImages, cache: bool | str | os.PathLike[str]) -> LazyImages:
    if cache is False:
        return images
    return _Cached(images, None if cache is True else cache)


class _Cached(LazyImages):
    """Images that are read once, and kept; values of 8 bits as 8 bits."""

    def __init__(self, images: LazyImages, folder: str | os.PathLike[str] | None) -> None:
        super().__init__(images.shape, images.values if images.are_levels else None)
        self._images, self._is_kept = images, np.zeros(len(images), bool)
        self._as_bytes = images.are_levels and float(images.values.max(initial=0)) <= 1
        dtype = np.dtype(np.uint8 if self._as_bytes else np.float32)
        if folder is None:
            self._kept = np.empty(images.shape, dtype)
        else:
            with tempfile.TemporaryFile(dir=folder) as file:  # the memory map goes on without it
                file.truncate(images.size * dtype.itemsize)
                self._kept = np.memmap(file, dtype, "r+", shape=images.shape)

    def _read(self, numbers: np.ndarray) -> np.ndarray:
        missing = numbers[~self._is_kept[numbers]]
        if len(missing):
            images = self._images[missing]
            self._kept[missing] = np.rint(images * 255) if self._as_bytes else images
            self._is_kept[missing] = True
        images = np.asarray(self._kept[numbers])
        return np.divide(images, 255, dtype=np.float32) if self._as_bytes else images
