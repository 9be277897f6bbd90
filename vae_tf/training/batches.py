"""Training batches in an order that is a function of (seed, epoch) alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from vae_tf import _checks


def check_lengths(arrays: Sequence[np.ndarray | tf.Tensor]) -> None:
    """Raises ValueError where the arrays are empty or do not hold as many examples as each other."""
    lengths = [len(array) for array in arrays]
    if len(set(lengths)) > 1 or lengths[0] == 0:
        raise ValueError(
            _checks.problem(
                "Number of examples",
                expected="the same in all arrays, at least 1",
                received=" and ".join(map(str, lengths)),
                remedy="Pass one target and one weight for each image.",
            )
        )


def permutation(seed: int, epoch: int, n: int) -> np.ndarray:
    """The order of `n` examples in this epoch, `[n]` int64."""
    return np.random.default_rng([seed, epoch]).permutation(n)


def shuffled(
    arrays: Sequence[np.ndarray | tf.Tensor], batch_size: int, *, seed: int, epoch: Callable[[], int]
) -> tf.data.Dataset:
    """Batches `(a[i], b[i], ...)` of one pass over the arrays, newly shuffled for each pass.

    Args:
        arrays: tensors of equal first dimension.
        batch_size: examples in a batch; the last one is smaller where it does not divide.
        seed: of the order.
        epoch: called when a pass begins: which epoch it is.
    """
    n = len(arrays[0])
    steps = -(-n // batch_size)
    with tf.device("cpu:0"):
        tensors = tuple(tf.convert_to_tensor(array) for array in arrays)

    def orders() -> Iterator[np.ndarray]:
        yield permutation(seed, epoch(), n)

    def batches(order: tf.Tensor) -> tf.data.Dataset:
        def gather(step: tf.Tensor) -> tuple[tf.Tensor, ...]:
            index = order[step * batch_size : (step + 1) * batch_size]
            return tuple(tf.gather(tensor, index) for tensor in tensors)

        return tf.data.Dataset.range(steps).map(gather)

    order = tf.data.Dataset.from_generator(orders, output_signature=tf.TensorSpec((n,), tf.int64))
    dataset = order.flat_map(batches).apply(tf.data.experimental.assert_cardinality(steps))
    options = tf.data.Options()  # one thread for all of it: the cores belong to the training step
    options.autotune.enabled = False
    options.threading.private_threadpool_size = 1
    options.threading.max_intra_op_parallelism = 1
    return dataset.prefetch(4).with_options(options)
