"""Fully connected encoders and decoders."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import tf_keras as keras

from vae_tf import _checks
from vae_tf._distribution_layer import DistributionLayer
from vae_tf.likelihoods import Likelihood
from vae_tf.networks._units import into_units, out_of_units

layers = keras.layers


def mlp_encoder(
    event_shape: int | tuple[int, ...],
    posterior: DistributionLayer,
    *,
    hidden: Sequence[int] = (512, 512),
    activation: str = "relu",
    standardise: Any = None,
    transform: str | None = None,
) -> keras.Model:
    """A fully connected encoder, `[B, *E]` -> q(z|x).

    Args:
        event_shape: Shape of one example, without the batch axis.
        posterior: The layer that the encoder ends in.
        hidden: Widths of the hidden layers.
        activation: Activation of the hidden layers, by a name that Keras knows.
        standardise: Training data `[n, *E]`, or their Moments: the encoder begins by subtracting their mean and
            dividing by their standard deviation (of each column of a table, of each channel of images). The numbers
            are part of the model, which goes on taking data in their own units.
        transform: "log1p" for log(1 + x) before all else, which suits counts; `standardise` then acts on the logarithm.
            None for x as it is.

    Raises:
        TypeError: For data to standardise by that are no numbers, or that cannot be indexed.
        ValueError: For widths or shapes below 1, an unknown transform, and for data to standardise by of another shape,
            not finite, or negative beside a transform.
    """
    shape = _checks.shape("event_shape", event_shape)
    check_last("posterior", posterior)
    stack = [
        *into_units(standardise, shape, transform),
        layers.Flatten(),
        *dense(hidden, activation),
        layers.Dense(math.prod(posterior.parameter_shape)),
    ]
    return keras.Sequential([layers.InputLayer(shape, name="x"), *stack, posterior], name="encoder")


def mlp_decoder(
    latent_dim: int,
    likelihood: Likelihood,
    *,
    hidden: Sequence[int] = (512, 512),
    activation: str = "relu",
    standardise: Any = None,
    mean_activation: str | None = None,
) -> keras.Model:
    """A fully connected decoder, `[B, D]` -> p(x|z).

    With `standardise` the network works in units in which the data have mean 0 and standard deviation 1, and its
    outputs become those of the data before they reach the likelihood: sigma, x and log p(x) are in the units of the
    data. log p(x) is then that of a model of the standardised data, minus `sum(log std)` over the dimensions: the
    Jacobian of the map.

    Args:
        latent_dim: Number of latents D.
        likelihood: The layer that the decoder ends in.
        hidden: Widths of the hidden layers.
        activation: Activation of the hidden layers, by a name that Keras knows.
        standardise: Training data `[n, *E]`, or their Moments. The decoder starts where E[x|z] is their mean
            (through the link of the family: the logit of a Bernoulli, the logarithm of a Poisson), and the scale of the
            likelihood where it is their standard deviation.
        mean_activation: None, or "sigmoid" for a mean in (0, 1) (or in the range of the levels), for data that lie
            there and a likelihood with a location: Gaussian, Laplace or StudentT.

    Raises:
        TypeError: For data to standardise by that are no numbers, or that cannot be indexed.
        ValueError: For widths or a latent_dim below 1; for data to standardise by of another shape, not finite, or,
            under a density with a scale for each dimension, with a constant one; for a mean_activation beside another
            likelihood.
    """
    latent_dim = _checks.positive_int("latent_dim", latent_dim)
    check_last("likelihood", likelihood)
    stack = [*dense(hidden, activation), layers.Dense(math.prod(likelihood.parameter_shape))]
    last = out_of_units(standardise, likelihood, mean_activation)
    if last:
        last = [layers.Reshape(likelihood.parameter_shape), *last]
    return keras.Sequential([layers.InputLayer((latent_dim,), name="z"), *stack, *last, likelihood], name="decoder")


def dense(widths: Sequence[int], activation: str) -> list[keras.layers.Layer]:
    """Hidden layers of these widths."""
    if not isinstance(widths, Iterable):
        expected, remedy = "a width for each layer, such as (512, 512)", f"Pass hidden=({widths},) for one layer."
        raise TypeError(_checks.problem("hidden", expected=expected, received=repr(widths), remedy=remedy))
    return [layers.Dense(_checks.positive_int("hidden", width), activation=activation) for width in widths]


def check_last(name: str, layer: Any) -> None:
    """Refuses what is no distribution layer as the last one of a network, such as a class that was not called."""
    if not isinstance(layer, DistributionLayer):
        example = "posteriors.DiagonalNormal(8)" if name == "posterior" else "likelihoods.Gaussian((28, 28, 1))"
        received = f"the class {layer.__name__}" if isinstance(layer, type) else repr(layer)[:80]
        expected, remedy = "a distribution layer of vae_tf", f"Pass an instance, such as {example}."
        raise TypeError(_checks.problem(name, expected=expected, received=received, remedy=remedy))
