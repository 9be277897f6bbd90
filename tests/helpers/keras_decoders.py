"""Keras decoders that are not ours: with layers of every kind, subclassed, and with a layer of any function."""

import numpy as np
import tf_keras as keras
from tf_keras import layers


def network(*parts, shape=(8,)):
    """A Sequential model of these layers, whose weights are far from their first values."""
    model = keras.Sequential([keras.Input(shape), *parts])
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if "kernel" not in weight.name:
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    return model


def image(*parts):
    """A model of layers on 4 x 4 images of 4 channels."""
    return network(layers.Dense(64), layers.Reshape((4, 4, 4)), *parts)


def with_function(function, name="odd", kernel_initializer="glorot_uniform"):
    """A decoder of 4 latents with a layer of this function, and a dense one behind it."""

    class Layer(layers.Layer):
        def call(self, inputs):
            return function(inputs)

    z = keras.Input((4,))
    return keras.Model(z, layers.Dense(3, kernel_initializer=kernel_initializer)(Layer(name=name)(z)))


@keras.saving.register_keras_serializable("test")
class Subclassed(keras.Model):
    def __init__(self, units=6, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.hidden = layers.Dense(16, "gelu")
        self.last = layers.Dense(units)

    def call(self, z):
        return self.last(self.hidden(z))

    def get_config(self):
        return {"units": self.units}


def called():
    """A subclassed model that was called once."""
    model = Subclassed()
    model(np.zeros((1, 8), np.float32))
    return model


def built():
    """A subclassed model that was built and never called."""
    model = Subclassed()
    model.build((None, 8))
    return model


def functional():
    """A functional model whose latents are read three times."""
    z = keras.Input((8,))
    h = layers.Concatenate()([layers.Dense(8, "relu")(z), z])
    return keras.Model(z, layers.Reshape((4, 4, 1))(layers.Add()([layers.Dense(16)(h), layers.Dense(16)(z)])))


DECODERS = {
    "gelu": lambda: network(layers.Dense(32, "gelu"), layers.Dense(6)),
    "layer normalization": lambda: network(layers.Dense(32), layers.LayerNormalization(), layers.Dense(6)),
    "layer normalization of images": lambda: image(layers.LayerNormalization(axis=[1, 2, 3])),
    "group normalization": lambda: image(layers.GroupNormalization(2), layers.Conv2D(3, 3), layers.ReLU()),
    "nearest": lambda: image(layers.UpSampling2D((2, 3)), layers.Conv2D(3, 3, padding="same")),
    "bilinear": lambda: image(layers.UpSampling2D((2, 3), interpolation="bilinear"), layers.Conv2D(3, 3)),
    "same": lambda: image(layers.Conv2DTranspose(3, 3, padding="same")),
    "same, strides": lambda: image(layers.Conv2DTranspose(3, 4, strides=2, padding="same", activation="elu")),
    "valid": lambda: image(layers.Conv2DTranspose(3, 3)),
    "valid, strides": lambda: image(layers.Conv2DTranspose(3, 3, strides=(2, 3), use_bias=False)),
    "output padding": lambda: image(layers.Conv2DTranspose(3, 3, strides=2, output_padding=1)),
    "dilation": lambda: image(layers.Conv2DTranspose(3, 3, dilation_rate=2, padding="same")),
    "sequences": lambda: network(layers.RepeatVector(5), layers.GRU(6, return_sequences=True), layers.Dense(2)),
    "functional": functional,
    "subclassed, called": called,
    "subclassed, built": built,
}
"""Functions that make a decoder of 8 latents, by name."""
