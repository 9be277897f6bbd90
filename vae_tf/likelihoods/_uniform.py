"""Uniform float32 noise, and the class that it picks."""

from __future__ import annotations

import tensorflow as tf

HALF_STEP = 2.0**-25
"""Half the distance between neighbours of uniform float32 noise, which may be 0."""


def cumulative(logits: tf.Tensor) -> tf.Tensor:
    """Cumulative probabilities of all classes but the last, float64; `centred` noise passes as many as its class."""
    return tf.cumsum(tf.nn.softmax(tf.cast(logits, tf.float64)), axis=-1)[..., :-1]


def centred(uniform: tf.Tensor) -> tf.Tensor:
    """Uniform float32 noise as float64 inside (0, 1), so that a class without mass is not drawn."""
    return tf.cast(uniform, tf.float64) + HALF_STEP
