"""The layer that the encoder of a linear VAE consists of."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf
import tf_keras as keras

from vae_tf import _checks


@keras.saving.register_keras_serializable("vae_tf")
class CentredDense(keras.layers.Layer):
    """The map `[B, *E]` -> `[B, 2 D]`: first V (x - mean), then the raw scales, which are the same for every x.

    Args:
        latent_dim: Number of latents D.
        mean: The decoder's mean, a weight `[d]` that the layer shares. By default the layer makes its own.
        **kwargs: Arguments of every Keras layer.
    """

    def __init__(self, latent_dim: int, mean: tf.Variable | None = None, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32"} | kwargs)  # whatever the global policy is: the values must be exact
        self.latent_dim = _checks.positive_int("latent_dim", latent_dim)
        self.mean = mean

    def build(self, input_shape: Any) -> None:
        """Makes the weights. At first the variances of the posterior are 1."""
        dims = math.prod(input_shape[1:])
        if self.mean is None:
            self.mean = self.add_weight("mean", (dims,), initializer="zeros")
        self.kernel = self.add_weight("kernel", (dims, self.latent_dim))
        unit = keras.initializers.Constant(math.log(math.expm1(1)))  # softplus of it is 1
        self.raw_scale = self.add_weight("raw_scale", (self.latent_dim,), initializer=unit)
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """The inputs of a DiagonalNormal, `[B, 2 D]`."""
        location = tf.matmul(tf.reshape(inputs, (-1, self.kernel.shape[0])) - self.mean, self.kernel)
        return tf.concat([location, tf.ones_like(location) * self.raw_scale], axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Plain JSON: the number of latents. A LinearVAE that is loaded shares the mean anew."""
        return super().get_config() | {"latent_dim": self.latent_dim}
