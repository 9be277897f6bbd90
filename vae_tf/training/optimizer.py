"""Keras' Adam at the speed of TensorFlow's Adam, where there is no GPU."""

from __future__ import annotations

import types
from typing import Any

import tensorflow as tf
import tf_keras as keras


def tuned_for_cpu(optimizer: Any) -> Any:
    """`optimizer` itself, its update made fast if this machine has no GPU.

    Keras compiles each variable's update with XLA, which on a CPU takes longer than the dozen elementwise
    operations it replaces; TensorFlow has one kernel for Adam's whole update, and this uses it. The
    arithmetic and the saved state are those of `keras.optimizers.Adam`.
    """
    if tf.config.list_physical_devices("GPU"):
        return optimizer
    optimizer.jit_compile = False
    if type(optimizer) is keras.optimizers.Adam and not optimizer.amsgrad:
        optimizer.update_step = types.MethodType(_adam_update, optimizer)
    return optimizer


def _adam_update(optimizer: keras.optimizers.Adam, gradient: Any, variable: tf.Variable) -> None:
    if isinstance(gradient, tf.IndexedSlices):
        keras.optimizers.Adam.update_step(optimizer, gradient, variable)
        return
    index = optimizer._index_dict[optimizer._var_key(variable)]
    step = tf.cast(optimizer.iterations + 1, variable.dtype)
    beta_1, beta_2 = tf.cast(optimizer.beta_1, variable.dtype), tf.cast(optimizer.beta_2, variable.dtype)
    tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=optimizer._momentums[index].handle,
        v=optimizer._velocities[index].handle,
        beta1_power=tf.pow(beta_1, step),
        beta2_power=tf.pow(beta_2, step),
        lr=tf.cast(optimizer.learning_rate, variable.dtype),
        beta1=beta_1,
        beta2=beta_2,
        epsilon=tf.cast(optimizer.epsilon, variable.dtype),
        grad=gradient,
    )
