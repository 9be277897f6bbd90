"""Convolutional encoders and decoders, for images of any height and width."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

from vae_tf import _checks
from vae_tf._distribution_layer import DistributionLayer
from vae_tf.likelihoods import Likelihood
from vae_tf.networks._fully_connected import check_last, dense
from vae_tf.networks._units import into_units, out_of_units

layers = keras.layers

NORMALIZATIONS = ("batch", "group", "layer")
_GROUPS = 8
_SMALLEST = 8
"""An image is halved, by default, until no side is longer than this."""


def conv_encoder(
    event_shape: tuple[int, int, int],
    posterior: DistributionLayer,
    *,
    filters: Sequence[int] | None = None,
    hidden: int = 256,
    activation: str = "relu",
    residual: int = 0,
    normalization: str | None = None,
    standardise: Any = None,
    transform: str | None = None,
) -> keras.Model:
    """A convolutional encoder that halves height and width once for each of `filters`, `[B, H, W, C]` -> q(z|x).

    An odd side is padded: of 7 pixels 4 remain, of 1 pixel 1.

    Args:
        event_shape: (H, W, C), of any H and W.
        posterior: The layer that the encoder ends in.
        filters: Numbers of channels after each halving; () for none. By default 32, 64, 128, 128, ..., until no side is
            longer than 8.
        hidden: Width of the fully connected layer behind the convolutions.
        activation: Activation of the hidden layers, by a name that Keras knows.
        residual: Number of residual blocks, of two 3 x 3 convolutions each, behind every halving.
        normalization: "batch", "group" (of at least 8 channels) or "layer", after every convolution; None for none.
        standardise: Training data `[n, H, W, C]`, or their Moments; see mlp_encoder.
        transform: "log1p" for log(1 + x) before all else, which suits counts; `standardise` then acts on the logarithm.
            None for x as it is.

    Raises:
        TypeError: For data to standardise by that are no numbers, or that cannot be indexed.
        ValueError: If the shape is none of images, for counts below 1, another normalisation, and data to standardise
            by of another shape, not finite, or negative beside a transform.

    References:
        Residual blocks: He et al. 2016, arXiv 1512.03385. Group normalisation: Wu and He 2018, arXiv 1803.08494.
    """
    shape = _image_shape(event_shape)
    check_last("posterior", posterior)
    counts = _filters(filters, shape)
    blocks = _Blocks(activation, residual, normalization)
    x = h = keras.Input(shape, name="x")
    for layer in into_units(standardise, shape, transform):
        h = layer(h)
    for count in counts:
        h = blocks.after(layers.Conv2D(count, 4, strides=2, padding="same"), h)
        h = blocks.residual(h)
    h = layers.Flatten()(h)
    for layer in (*dense((hidden,), activation), layers.Dense(math.prod(posterior.parameter_shape)), posterior):
        h = layer(h)
    return keras.Model(x, h, name="encoder")


def conv_decoder(
    latent_dim: int,
    likelihood: Likelihood,
    *,
    filters: Sequence[int] | None = None,
    hidden: int = 256,
    activation: str = "relu",
    residual: int = 0,
    normalization: str | None = None,
    standardise: Any = None,
    mean_activation: str | None = None,
) -> keras.Model:
    """A convolutional decoder, the mirror image of `conv_encoder`, `[B, D]` -> p(x|z).

    A side that was padded by the encoder is cropped.

    Args:
        latent_dim: Number of latents D.
        likelihood: The layer that the decoder ends in; its event shape is (H, W, C).
        filters: Numbers of channels, in the order of `conv_encoder`: the last stands at the smallest height and width.
        hidden: Width of the fully connected layer before the convolutions.
        activation: Activation of the hidden layers, by a name that Keras knows.
        residual: Number of residual blocks before every doubling.
        normalization: As for conv_encoder.
        standardise: Training data `[n, H, W, C]`, or their Moments; see mlp_decoder.
        mean_activation: None or "sigmoid"; see mlp_decoder.

    Raises:
        TypeError: For data to standardise by that are no numbers, or that cannot be indexed.
        ValueError: As for conv_encoder and mlp_decoder.
    """
    latent_dim = _checks.positive_int("latent_dim", latent_dim)
    check_last("likelihood", likelihood)
    shape = _image_shape(likelihood.event_shape)
    counts = _filters(filters, shape)
    blocks = _Blocks(activation, residual, normalization)
    sides = _halved(shape[:2], len(counts))
    *larger, smallest = sides
    channels = likelihood.parameter_shape[-1]
    z = h = keras.Input((latent_dim,), name="z")
    for layer in dense((hidden,), activation):
        h = layer(h)
    if not counts:
        h = layers.Reshape((*smallest, channels))(layers.Dense(math.prod(smallest) * channels)(h))
    else:
        h = dense((math.prod(smallest) * counts[-1],), activation)[0](h)
        h = layers.Reshape((*smallest, counts[-1]))(h)
    for i, size in reversed(list(enumerate(larger))):
        h = blocks.residual(h)
        double = layers.Conv2DTranspose(counts[i - 1] if i else channels, 4, strides=2, padding="same")
        h = blocks.after(double, h) if i else double(h)
        h = _cropped(h, size)
    for layer in (*out_of_units(standardise, likelihood, mean_activation), likelihood):
        h = layer(h)
    return keras.Model(z, h, name="decoder")


class _Blocks:
    """The parts between the halvings and doublings of a network, of one kind throughout.

    Args:
        activation: As for conv_encoder.
        count: Number of residual blocks in a row.
        normalization: As for conv_encoder.
    """

    def __init__(self, activation: str, count: int, normalization: str | None) -> None:
        self.activation = activation
        self.count = _checks.positive_int("residual", count) if count else 0
        if normalization is not None:
            _checks.one_of("normalization", normalization, NORMALIZATIONS)
        self.normalization = normalization

    def after(self, convolution: keras.layers.Layer, h: tf.Tensor) -> tf.Tensor:
        """A convolution with its normalisation and activation."""
        return layers.Activation(self.activation)(self._normalised(convolution(h)))

    def residual(self, h: tf.Tensor) -> tf.Tensor:
        """The residual blocks in a row."""
        width = h.shape[-1]
        for _ in range(self.count):
            change = self.after(layers.Conv2D(width, 3, padding="same"), h)
            change = self._normalised(layers.Conv2D(width, 3, padding="same")(change))
            h = layers.Activation(self.activation)(layers.Add()([h, change]))
        return h

    def _normalised(self, h: tf.Tensor) -> tf.Tensor:
        if self.normalization == "batch":
            return layers.BatchNormalization()(h)
        if self.normalization == "layer":
            return layers.LayerNormalization()(h)
        if self.normalization == "group":
            return layers.GroupNormalization(max(1, math.gcd(h.shape[-1], h.shape[-1] // _GROUPS)))(h)
        return h


def _cropped(h: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    surplus = [h.shape[axis] - side for axis, side in enumerate(size, start=1)]
    return layers.Cropping2D([(0, extra) for extra in surplus])(h) if any(surplus) else h


def _halved(size: tuple[int, int], times: int) -> list[tuple[int, int]]:
    """Height and width before and after each halving, rounded up."""
    sizes = [size]
    for _ in range(times):
        height, width = sizes[-1]
        sizes.append((-(-height // 2), -(-width // 2)))
    return sizes


def filters_for(event_shape: tuple[int, ...], first: int = 32) -> list[int]:
    """Numbers of channels for images of this shape: `first`, twice as many, and then four times as many throughout."""
    halvings = max(1, math.ceil(math.log2(max(event_shape[:2]) / _SMALLEST)))
    return [first * min(2**i, 4) for i in range(halvings)]


def _filters(filters: Sequence[int] | None, shape: tuple[int, int, int]) -> list[int]:
    if filters is not None:
        return [_checks.positive_int("filters", count) for count in filters]
    return filters_for(shape)


def _image_shape(event_shape: int | tuple[int, ...]) -> tuple[int, int, int]:
    shape = _checks.shape("event_shape", event_shape)
    if len(shape) != 3:
        raise ValueError(
            _checks.problem(
                "event_shape of a convolutional network",
                expected="(H, W, C)",
                received=f"{shape}",
                remedy="Add the axis of channels, or use the mlp networks.",
            )
        )
    return shape[0], shape[1], shape[2]
