"""Negative binomial: counts whose variance is above their mean, such as those of genes."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from vae_tf.likelihoods._overdispersed import (
    Overdispersed,
    draw_negative_binomial,
    log_negative_binomial,
    sample_negative_binomial,
)


@keras.saving.register_keras_serializable("vae_tf")
class NegativeBinomial(Overdispersed):
    """x is a count with mean mu(z) and variance mu + alpha mu^2, independently for each of the D dimensions.

    A Poisson count whose rate is a Gamma variable of mean mu and variance alpha mu^2. With r = 1 / alpha
    `-log p(x|z) = -sum(log Gamma(x + r) - log Gamma(r) - log x! + x log(alpha mu) - (x + r) log(1 + alpha mu))`,
    in float64. alpha is the dispersion; r is TFP's `total_count`, and `theta`, the inverse dispersion, of scVI.
    alpha -> 0 is Poisson. Support: whole numbers from 0; -inf elsewhere.

    mu is Poisson's map of one network output per dimension: exp, with a floor of 1e-6 and a tangent beyond 1e6.

    With `library_size=True`, for counts whose total says how much was measured rather than what, as the reads of
    a cell, `mu = library * share` instead: share is the softmax of the network's outputs over all dimensions, of
    which a millionth is spread evenly, so that no share is 0. The layer takes `[raw, library]`, library `[B]` or
    `[B, 1]` (in models of your own; the decoder of a VAE sees z alone), or raw alone: then library is
    `running_library`, a running mean of the training totals (1 at first).
    In a VAE the library of an example is its own total, scVI's observed library size: `given` makes of p(x|z) the
    p(x|z, library = sum(x)), and that is what is trained and reported. It is a plug-in score and no mass (`measure` is
    "score"): for one library it sums to 1 over x, but each x is scored at another, its own, and over all x the sum is
    above 1. It compares models with a library size on the same data, and nothing else: a Poisson beside it is at a
    disadvantage, and it has no bits per dimension.

    Use it for counts that vary more than Poisson's; with alpha known to be 0, use Poisson.

    Args:
        event_shape: Shape of one example, without the batch axis; a number d is `(d,)`.
        library_size: Whether the mean is a library size times a share.
        dispersion: Choice of alpha.
            "per_dimension" (default), or "gene" as scvi-tools calls it: a trained number for each dimension, from 1.
            "network", or "gene-cell": the network puts out alpha as well, twice the channels.
            A positive number: fixed.
        min_dispersion: Floor of a trained alpha, `min_dispersion + exp(raw)`, linear in raw beyond raw = 0:
            at 1e-6 the variance of a mean of 10,000 is 1 % above Poisson's.
        decay: Memory of the running average; see Likelihood.
        **kwargs: As for every Keras layer.

    Raises:
        ValueError: For a dispersion that is neither a positive number nor one of the two words, or a library
            of another shape; when negative or fractional numbers are given to `fit`.

    References:
        Lopez et al. 2018, "Deep generative modeling for single-cell transcriptomics", Nature Methods 15,
        arXiv 1709.02082.
    """

    drawn_from = ("mean", "dispersion")

    def variance(self, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """See PointwiseLikelihood.variance."""
        mean, dispersion = parameters["mean"], parameters["dispersion"]
        return mean + dispersion * tf.square(mean)

    def log_mass(self, x: tf.Tensor, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """See Counts.log_mass."""
        return log_negative_binomial(x, parameters["mean"], parameters["dispersion"])

    @staticmethod
    def draw_counts(rng: np.random.Generator, *parameters: np.ndarray) -> np.ndarray:
        """See Counts.draw_counts."""
        return draw_negative_binomial(rng, *parameters)

    def draw(self, num_samples: tf.Tensor, seed: Any, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """See PointwiseLikelihood.draw."""
        return sample_negative_binomial(num_samples, seed, parameters["mean"], parameters["dispersion"])
