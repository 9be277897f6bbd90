"""Layers that transform data before an encoder, such as the logarithm of counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from vae_tf import _checks

TRANSFORMS = ("log1p",)
"""Names of the transforms of an encoder's input."""


@keras.saving.register_keras_serializable("vae_tf")
class Log1p(keras.layers.Layer):
    """log(1 + x), for counts: a network then sees ratios, and a gene of 10,000 counts does not drown all others.

    It computes in float32 whatever the global mixed-precision policy: half precision ends at 65,504.

    Args:
        **kwargs: As for every Keras layer.

    Raises:
        ValueError: For x below 0, when the layer is called on numbers. In a compiled function it is an assertion.
    """

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """log(1 + x), of the shape of x."""
        if tf.executing_eagerly():
            self.check_data(inputs.numpy())
            return tf.math.log1p(inputs)
        sound = tf.debugging.Assert(tf.reduce_all(inputs >= 0), [_problem("a batch with values below 0")])
        with tf.control_dependencies([sound] if sound is not None else []):
            return tf.math.log1p(inputs)

    @staticmethod
    def check_data(x: np.ndarray) -> None:
        """Raises ValueError where values, in an array of any shape, are below 0."""
        if x.size and np.min(x) < 0:
            raise ValueError(_problem(f"values in [{np.min(x):g}, {np.max(x):g}]"))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the input."""
        return input_shape


def transformed(transform: str | None) -> list[keras.layers.Layer]:
    """The first layers of an encoder whose input goes through this transform; none for None.

    Raises:
        ValueError: For a transform that is not known.
    """
    if transform is None:
        return []
    _checks.one_of("transform", transform, TRANSFORMS)
    return [Log1p(name="log1p")]


def transformed_data(values: np.ndarray, transform: str | None) -> np.ndarray:
    """Finite values as the first layers of such an encoder hand them on; a ValueError for what they do not take."""
    if transform is None:
        return values
    _checks.one_of("transform", transform, TRANSFORMS)
    Log1p.check_data(values)
    return np.log1p(values, dtype=np.float64)


def check_of_inputs(encoder: keras.Model) -> Callable[[np.ndarray], None] | None:
    """The check of the values that an encoder takes, in arrays of any shape; None where it takes all numbers."""
    layers = [layer for layer in getattr(encoder, "layers", ()) if not isinstance(layer, keras.layers.InputLayer)]
    return layers[0].check_data if layers and isinstance(layers[0], Log1p) else None


def _problem(received: str) -> str:
    return _checks.problem(
        "Data for an encoder with transform='log1p'",
        expected="numbers of at least 0",
        received=received,
        remedy="Leave the transform out, or pass raw counts, not centred and not logged.",
    )
