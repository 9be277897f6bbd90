"""A pair of networks that suits given data."""

from __future__ import annotations

from typing import Any

import numpy as np
import tf_keras as keras

from vae_tf import _checks
from vae_tf.likelihoods import Gaussian, Likelihood
from vae_tf.networks._convolutional import conv_decoder, conv_encoder, filters_for
from vae_tf.networks._fully_connected import mlp_decoder, mlp_encoder
from vae_tf.networks._moments import Moments
from vae_tf.posteriors import DiagonalNormal, Posterior

NETWORKS = ("auto", "mlp", "conv")
_LARGE = 8
"""Height and width from which on images get convolutions."""
_FIRST_FILTERS = 16
_TWO_ENDED = 0.5
"""Share of the largest variance that values in a range can have from which on they crowd at its two ends."""
_MOST = 10_000
"""Number of images that say where networks start, where there are more: to read all may take minutes."""
_SPEED = 10.0
"""How much faster than the other weights the scales of a table are trained."""


def for_data(
    x: Any,
    latent_dim: int,
    *,
    likelihood: Likelihood | None = None,
    posterior: Posterior | None = None,
    network: str = "auto",
    transform: str | None = "auto",
) -> tuple[keras.Model, keras.Model]:
    """An encoder and a decoder that suit training data: `VAE(*networks.for_data(x, 8), priors.StandardNormal(8))`.

    - Images `[n, H, W, C]` of at least 8 x 8 pixels get convolutions, smaller ones and tables `[n, d]` fully connected
      layers, both with the silu; they are narrower than those that `conv_encoder` and `mlp_encoder` have by default,
      and see more examples in the same time.
    - Both networks standardise: they take and return data in the data's own units, and start at their mean and scale.
    - Images in [0, 1] (or in the range of the likelihood's levels) that crowd at its two ends, as written digits do and
      photographs do not, get a mean in that range, by a sigmoid.

    What this is worth is measured in tests/benchmarks.

    Args:
        x: Training data, in any container that can be indexed; read once, a block at a time, of more than 10,000 images
            so many.
        latent_dim: Number of latents D.
        likelihood: The layer that the decoder ends in; by default a Gaussian, for images with one sigma, the optimal
            one, and for tables with a trained sigma for each column.
        posterior: The layer that the encoder ends in; by default a DiagonalNormal.
        network: "mlp" or "conv" to choose one; "auto" goes by the shape of the data.
        transform: "log1p" for log(1 + x) before the encoder; None for x as it is; "auto" is log1p for a likelihood of
            counts.

    Returns:
        The encoder `[B, *E]` -> q(z|x), and the decoder `[B, D]` -> p(x|z).

    Raises:
        TypeError: For data that are no numbers, or that cannot be indexed.
        ValueError: For another network, data that are not finite or whose shape is not that of the likelihood, and a
            column that is constant under a likelihood with a scale for each.
    """
    _checks.one_of("network", network, NETWORKS)
    latent_dim = _checks.positive_int("latent_dim", latent_dim)
    known, most = None if likelihood is None else likelihood.event_shape, None if len(np.shape(x)) < 3 else _MOST
    moments = Moments.of(x, known, "x", most=most)
    if transform == "auto":
        transform = None if likelihood is None else likelihood.encoder_transform
    of_inputs = moments if transform is None else Moments.of(x, moments.mean.shape, "x", transform, most=most)
    shape = moments.mean.shape
    likelihood = Gaussian(shape, **scale_for(shape)) if likelihood is None else likelihood
    posterior = DiagonalNormal(latent_dim) if posterior is None else posterior
    mean_activation = (
        "sigmoid" if likelihood.locations and _crowds_at_the_ends(moments, likelihood.data_range) else None
    )
    if network == "conv" or (network == "auto" and len(shape) == 3 and min(shape[:2]) >= _LARGE):
        filters = filters_for(shape, _FIRST_FILTERS)
        return (
            conv_encoder(
                shape,
                posterior,
                filters=filters,
                hidden=128,
                activation="silu",
                standardise=of_inputs,
                transform=transform,
            ),
            conv_decoder(
                latent_dim,
                likelihood,
                filters=filters,
                hidden=128,
                activation="silu",
                standardise=moments,
                mean_activation=mean_activation,
            ),
        )
    widths = (256, 256)
    return (
        mlp_encoder(shape, posterior, hidden=widths, activation="silu", standardise=of_inputs, transform=transform),
        mlp_decoder(
            latent_dim,
            likelihood,
            hidden=widths,
            activation="silu",
            standardise=moments,
            mean_activation=mean_activation,
        ),
    )


def scale_for(event_shape: tuple[int, ...]) -> dict[str, Any]:
    """The arguments of a likelihood of location and scale that suit data of this shape, beside it.

    Columns of a table `(d,)` have units of their own, and a trained sigma each, whose logarithm learns ten times as
    fast as the other weights; images and other data have one sigma, the optimal one.
    """
    if len(event_shape) == 1:
        return {"scale": "per_dimension", "learning_rate_multiplier": _SPEED}
    return {"scale": "optimal"}


def _crowds_at_the_ends(moments: Moments, data_range: tuple[float, float]) -> bool:
    """Whether images lie in a range, and have more than half of the variance that their mean allows there.

    The most is that of values at the two ends alone; MNIST has 0.84 of it, evenly spread values a third, photographs a
    quarter.
    """
    low, high = data_range
    if moments.mean.ndim != 3 or moments.low < low or moments.high > high:
        return False
    mean = float(moments.mean.mean())
    variance = float(np.mean(np.square(moments.std)) + np.var(moments.mean))
    return variance > _TWO_ENDED * (mean - low) * (high - mean)
