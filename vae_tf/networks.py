"""Encoders and decoders that end in a distribution layer. Any other Keras model that does so serves as well."""

from __future__ import annotations

import math
from collections.abc import Sequence

import tf_keras as keras

from vae_tf import _checks
from vae_tf._distribution_layer import DistributionLayer

__all__ = ["conv_decoder", "conv_encoder", "mlp_decoder", "mlp_encoder"]

layers = keras.layers


def mlp_encoder(
    event_shape: int | tuple[int, ...],
    posterior: DistributionLayer,
    *,
    hidden: Sequence[int] = (512, 512),
    activation: str = "relu",
) -> keras.Model:
    """A fully connected encoder, `[B, *E]` -> q(z|x).

    Args:
        event_shape: Shape of one example, without the batch axis.
        posterior: The layer that the encoder ends in.
        hidden: Widths of the hidden layers.
        activation: Activation of the hidden layers, by a name that Keras knows.

    Raises:
        ValueError: For widths or shapes below 1.
    """
    shape = _checks.shape("event_shape", event_shape)
    stack = [
        layers.Flatten(),
        *_dense(hidden, activation),
        layers.Dense(math.prod(posterior.parameter_shape)),
    ]
    return keras.Sequential([layers.InputLayer(shape, name="x"), *stack, posterior], name="encoder")


def mlp_decoder(
    latent_dim: int,
    likelihood: DistributionLayer,
    *,
    hidden: Sequence[int] = (512, 512),
    activation: str = "relu",
) -> keras.Model:
    """A fully connected decoder, `[B, D]` -> p(x|z).

    Args:
        latent_dim: Number of latents D.
        likelihood: The layer that the decoder ends in.
        hidden: Widths of the hidden layers.
        activation: Activation of the hidden layers, by a name that Keras knows.

    Raises:
        ValueError: For widths or a latent_dim below 1.
    """
    latent_dim = _checks.positive_int("latent_dim", latent_dim)
    stack = [*_dense(hidden, activation), layers.Dense(math.prod(likelihood.parameter_shape))]
    return keras.Sequential([layers.InputLayer((latent_dim,), name="z"), *stack, likelihood], name="decoder")


def conv_encoder(
    event_shape: tuple[int, int, int],
    posterior: DistributionLayer,
    *,
    filters: tuple[int, int] = (32, 64),
    hidden: int = 256,
    activation: str = "relu",
) -> keras.Model:
    """A convolutional encoder that halves height and width twice, `[B, H, W, C]` -> q(z|x).

    Args:
        event_shape: (H, W, C) with H and W divisible by 4.
        posterior: The layer that the encoder ends in.
        filters: Numbers of channels after the first and the second convolution.
        hidden: Width of the fully connected layer behind the convolutions.
        activation: Activation of the hidden layers, by a name that Keras knows.

    Raises:
        ValueError: If H or W is not divisible by 4.
    """
    shape = _image_shape(event_shape)
    first, second = (_checks.positive_int("filters", count) for count in filters)
    stack = [
        layers.Conv2D(first, 4, strides=2, padding="same", activation=activation),
        layers.Conv2D(second, 4, strides=2, padding="same", activation=activation),
        layers.Flatten(),
        *_dense((hidden,), activation),
        layers.Dense(math.prod(posterior.parameter_shape)),
    ]
    return keras.Sequential([layers.InputLayer(shape, name="x"), *stack, posterior], name="encoder")


def conv_decoder(
    latent_dim: int,
    likelihood: DistributionLayer,
    *,
    filters: tuple[int, int] = (32, 64),
    hidden: int = 256,
    activation: str = "relu",
) -> keras.Model:
    """A convolutional decoder, the mirror image of `conv_encoder`, `[B, D]` -> p(x|z).

    Args:
        latent_dim: Number of latents D.
        likelihood: The layer that the decoder ends in; its event shape is (H, W, C) with H and W divisible by 4.
        filters: Numbers of channels, as in `conv_encoder`: the second applies at a quarter of the height and width.
        hidden: Width of the fully connected layer before the convolutions.
        activation: Activation of the hidden layers, by a name that Keras knows.

    Raises:
        ValueError: If H or W is not divisible by 4, or latent_dim is below 1.
    """
    latent_dim = _checks.positive_int("latent_dim", latent_dim)
    height, width, _ = _image_shape(likelihood.event_shape)
    first, second = (_checks.positive_int("filters", count) for count in filters)
    channels = likelihood.parameter_shape[-1]
    stack = [
        *_dense((hidden, height // 4 * (width // 4) * second), activation),
        layers.Reshape((height // 4, width // 4, second)),
        layers.Conv2DTranspose(first, 4, strides=2, padding="same", activation=activation),
        layers.Conv2DTranspose(channels, 4, strides=2, padding="same"),
    ]
    return keras.Sequential([layers.InputLayer((latent_dim,), name="z"), *stack, likelihood], name="decoder")


def _dense(widths: Sequence[int], activation: str) -> list[keras.layers.Layer]:
    return [layers.Dense(_checks.positive_int("hidden", width), activation=activation) for width in widths]


def _image_shape(event_shape: int | tuple[int, ...]) -> tuple[int, int, int]:
    shape = _checks.shape("event_shape", event_shape)
    if len(shape) != 3 or shape[0] % 4 or shape[1] % 4:
        raise ValueError(
            _checks.problem(
                "event_shape of a convolutional network",
                expected="(H, W, C) with H and W divisible by 4",
                received=f"{shape}",
                remedy="Pad or crop the images, or use the mlp networks.",
            )
        )
    return shape[0], shape[1], shape[2]
