"""Batches of examples that can be indexed, in an order that is a function of (seed, epoch) alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from vae_tf.data.adapter import Rows
from vae_tf.data.order import permutation

__all__ = ["in_order", "permutation", "shuffled"]


def shuffled(rows: Rows, batch_size: int, *, seed: int, epoch: Callable[[], int]) -> tf.data.Dataset:
    """Batches of one pass over the examples, newly shuffled for each pass.

    Args:
        rows: Examples with their targets and weights.
        batch_size: Examples in a batch; the last one is smaller where it does not divide.
        seed: Seed of the order.
        epoch: Function that is called when a pass begins and says which epoch it is.
    """
    return _batches(rows, batch_size, lambda: permutation(seed, epoch(), len(rows)))


def in_order(rows: Rows, batch_size: int) -> tf.data.Dataset:
    """Batches of one pass over the examples, in their own order."""
    return _batches(rows, batch_size, lambda: np.arange(len(rows)))


def _batches(rows: Rows, batch_size: int, order: Callable[[], np.ndarray]) -> tf.data.Dataset:
    """Batches that are read when they are needed: beside them nothing of the data is copied."""
    n, signature = len(rows), rows.signature()
    steps = -(-n // batch_size)

    def orders() -> Iterator[np.ndarray]:
        yield order()

    def read(step: tf.Tensor, order: tf.Tensor) -> tuple[tf.Tensor, ...]:
        index = order[step * batch_size : (step + 1) * batch_size]
        batch = tf.numpy_function(rows.batch, [index], [spec.dtype for spec in signature], stateful=False)
        return tuple(tf.ensure_shape(part, spec.shape) for part, spec in zip(batch, signature, strict=True))

    def one_pass(order: tf.Tensor) -> tf.data.Dataset:
        return tf.data.Dataset.range(steps).map(lambda step: read(step, order))

    passes = tf.data.Dataset.from_generator(orders, output_signature=tf.TensorSpec((n,), tf.int64))
    dataset = passes.flat_map(one_pass).apply(tf.data.experimental.assert_cardinality(steps))
    options = tf.data.Options()  # one thread for all of it: the cores belong to the training step
    options.autotune.enabled = False
    options.threading.private_threadpool_size = 1
    options.threading.max_intra_op_parallelism = 1
    return dataset.prefetch(4).with_options(options)
