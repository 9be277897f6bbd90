"""Gaussian: real-valued data, the distribution behind the mean squared error."""

from __future__ import annotations

import math

import tensorflow as tf
import tf_keras as keras
from tensorflow_probability import distributions as tfd

from vae_tf.equivalence import PointwiseLoss
from vae_tf.likelihoods._location_scale import LocationScale


@keras.saving.register_keras_serializable("vae_tf")
class Gaussian(LocationScale):
    """x = mu(z) + sigma * eps, eps standard normal, independent for each of the D dimensions.

    `-log p(x|z) = sum(((x - mu) / sigma)^2) / 2 + D log(sigma) + (D/2) log(2 pi)`: the summed squared error
    times 1/(2 sigma^2), plus a constant.

    Args:
        event_shape: shape of one example, without the batch axis.
        scale: how sigma is chosen, in the units of the data.
            A positive number: fixed.
            "learned": one trainable log sigma, from sigma = 1.
            "optimal" (default): sigma^2 = the mean squared residual, its closed-form maximum-likelihood
            value, as a running average over batches; the first batch initialises it (sigma = 1 before that).
            "per_dimension": a trainable log sigma for each dimension, from sigma = 1.
            "per_pixel": the network puts out sigma as well, twice the channels:
            `min_scale + softplus(raw)`.
        min_scale: floor of every sigma that is not fixed: 0.001, about the rounding noise of 8-bit images
            in [0, 1]. A learned sigma is projected onto it, so that it can grow again.
        decay: of the running average; see Likelihood.
        **kwargs: as for every Keras layer.

    Raises:
        ValueError: for a scale that is neither a positive number nor one of the four words.

    References:
        Optimal sigma: Rybkin, Daniilidis, Levine 2021, "Simple and Effective VAE Training with Calibrated
        Decoders", eq. 5, arXiv 2006.13202.
    """

    def _optimal_scale(self) -> tf.Tensor:
        return tf.sqrt(self.running_mse)

    def distribution(self, parameters: dict[str, tf.Tensor]) -> tfd.Distribution:
        """See DistributionLayer.distribution."""
        return tfd.Independent(tfd.Normal(parameters["mean"], parameters["scale"]), len(self.event_shape))

    def equivalence(self) -> PointwiseLoss | None:
        """See Likelihood.equivalence; None for the two scales that weigh dimensions differently."""
        if self.scale_mode in ("per_dimension", "per_pixel"):
            return None
        sigma = float(self.scale)
        constant = self.dims * (math.log(sigma) + 0.5 * math.log(2 * math.pi))
        return PointwiseLoss("mse", scale_factor=1 / (2 * sigma**2), constant=constant)
