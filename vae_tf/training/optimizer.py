"""Adam's update at the speed of TensorFlow's own kernel, where there is no GPU."""

from __future__ import annotations

import contextlib
import types
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
import tf_keras as keras


@contextlib.contextmanager
def fast_on_cpu(optimizer: Any) -> Iterator[None]:
    """A block in which the optimizer's update is traced in its fastest form; afterwards the optimizer is as before.

    Keras compiles each variable's update with XLA, which on a CPU takes longer than the dozen elementwise operations
    it replaces; TensorFlow has one kernel for Adam's whole update, and this uses it. The arithmetic and the state are
    those of `keras.optimizers.Adam`. On a machine with a GPU, and for optimizers of other kinds, nothing changes.
    """
    if tf.config.list_physical_devices("GPU") or not isinstance(optimizer, keras.optimizers.Optimizer):
        yield
        return
    inner = getattr(optimizer, "inner_optimizer", optimizer)  # that of a loss scale
    jit_compile, inner.jit_compile = inner.jit_compile, False
    fused = type(inner) is keras.optimizers.Adam and not inner.amsgrad
    if fused:
        inner.update_step = types.MethodType(_adam_update, inner)
    try:
        yield
    finally:
        inner.jit_compile = jit_compile
        if fused:
            del inner.update_step


def _adam_update(optimizer: keras.optimizers.Adam, gradient: Any, variable: tf.Variable) -> None:
    if isinstance(gradient, tf.IndexedSlices) or not hasattr(variable, "handle"):
        keras.optimizers.Adam.update_step(optimizer, gradient, variable)
        return
    index = optimizer._index_dict[optimizer._var_key(variable)]  # noqa: SLF001 - where Keras keeps its slots
    step = tf.cast(optimizer.iterations + 1, variable.dtype)
    beta_1, beta_2 = tf.cast(optimizer.beta_1, variable.dtype), tf.cast(optimizer.beta_2, variable.dtype)
    tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=optimizer._momentums[index].handle,  # noqa: SLF001
        v=optimizer._velocities[index].handle,  # noqa: SLF001
        beta1_power=tf.pow(beta_1, step),
        beta2_power=tf.pow(beta_2, step),
        lr=tf.cast(optimizer.learning_rate, variable.dtype),
        beta1=beta_1,
        beta2=beta_2,
        epsilon=tf.cast(optimizer.epsilon, variable.dtype),
        grad=gradient,
    )
