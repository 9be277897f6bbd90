"""Means over a batch whose examples may have weights."""

from __future__ import annotations

import tensorflow as tf


def batch_mean(values: tf.Tensor, weight: tf.Tensor | None, otherwise: tf.Tensor | float = 0.0) -> tf.Tensor:
    """The mean of `[B, ...]` over the batch, `sum(w t) / sum(w)`; `otherwise` where every weight is zero.

    Args:
        values: Numbers of each example, `[B, ...]`.
        weight: Weights of the examples, `[B]`; None weighs them equally.
        otherwise: Result of a batch without weight.
    """
    if weight is None:
        return tf.reduce_mean(values, axis=0)
    total = tf.reduce_sum(weight)
    mean = tf.math.divide_no_nan(tf.tensordot(weight, values, 1), total)
    return tf.where(total > 0, mean, tf.cast(otherwise, mean.dtype))


def mean_of_all(values: tf.Tensor, weight: tf.Tensor | None, otherwise: tf.Tensor | float = 0.0) -> tf.Tensor:
    """The mean of `[B, *E]` over the batch and all dimensions, a scalar; see batch_mean."""
    if weight is None:
        return tf.reduce_mean(values)
    return batch_mean(tf.reduce_mean(tf.reshape(values, (tf.shape(weight)[0], -1)), axis=1), weight, otherwise)
