"""Zero-inflated negative binomial: overdispersed counts, some of which are 0 for another reason."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras as keras
from tensorflow_probability import distributions as tfd

from vae_tf.likelihoods._overdispersed import (
    Overdispersed,
    draw_negative_binomial,
    log_negative_binomial,
    sample_negative_binomial,
)

_START = -3.0
"""The logit of pi before training, where the data say where to start."""
_FAR = -0.5
"""p(0) - 1 from which on its logarithm is that of a sum rather than that of 1 and a small number."""


@keras.saving.register_keras_serializable("vae_tf")
class ZeroInflatedNegativeBinomial(Overdispersed):
    """x is 0 with probability pi(z), and a negative binomial count otherwise, independently for each dimension.

    With the mass NB of a NegativeBinomial of mean mu and dispersion alpha, `p(0|z) = pi + (1 - pi) NB(0)` and
    `p(x|z) = (1 - pi) NB(x)` for x above 0, in float64 and in logarithms throughout: no pi is too close to 0 or 1.
    Mean `(1 - pi) mu`, variance `(1 - pi) mu (1 + mu (alpha + pi))`. Support: whole numbers from 0; -inf elsewhere.

    The network puts out two numbers for each dimension: that of mu, mapped as NegativeBinomial maps it, and the logit
    of pi. Among the parameters mu is `component_mean`, and the logit is `zero_logits`. pi -> 0 is NegativeBinomial.

    With `library_size=True` the means mu, before the zeros, sum to the library size of the example; all else that
    NegativeBinomial says of it holds here, and log_prob is a plug-in score.

    Use it where zeros are more frequent than the other counts explain: failed measurements, goods that were out of
    stock. Counts of molecules seldom need it; compare the held-out log-likelihoods of both.

    Args:
        event_shape: Shape of one example, without the batch axis; a number d is `(d,)`.
        library_size: Whether mu is a library size times a share; see NegativeBinomial.
        dispersion: Choice of alpha: "per_dimension" (default; "gene" as scvi-tools calls it), "network" ("gene-cell",
            three times the channels instead of two), or a positive number; see NegativeBinomial.
        min_dispersion: Floor of a trained alpha; see NegativeBinomial.
        decay: Memory of the running average; see Likelihood.
        **kwargs: As for every Keras layer.

    Raises:
        ValueError: As NegativeBinomial.

    References:
        Lopez et al. 2018, "Deep generative modeling for single-cell transcriptomics", Nature Methods 15,
        arXiv 1709.02082.
    """

    drawn_from = ("component_mean", "dispersion", "zero_logits")

    def outputs_at(self, mean: np.ndarray, std: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See Likelihood.outputs_at; one zero in twenty is an extra one."""
        outputs, steps = super().outputs_at(mean if self.library_size else mean * (1 + math.exp(_START)), std)
        outputs[..., -self.event_shape[-1] :] = _START
        return outputs, steps

    def mean(self, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """See Likelihood.mean."""
        return tf.sigmoid(-parameters["zero_logits"]) * parameters["component_mean"]

    def variance(self, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """See PointwiseLikelihood.variance."""
        spread = parameters["dispersion"] + tf.sigmoid(parameters["zero_logits"])
        return self.mean(parameters) * (1 + parameters["component_mean"] * spread)

    def log_mass(self, x: tf.Tensor, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """See Counts.log_mass."""
        mean, dispersion, logits = (parameters[name] for name in self.drawn_from)
        log_counted = tf.math.log_sigmoid(-logits)
        above = log_counted + log_negative_binomial(x, mean, dispersion)
        return tf.where(x > 0, above, _log_zero(-tf.math.log1p(dispersion * mean) / dispersion, logits))

    @staticmethod
    def draw_counts(rng: np.random.Generator, *parameters: np.ndarray) -> np.ndarray:
        """See Counts.draw_counts."""
        mean, dispersion, logits = parameters
        counts = draw_negative_binomial(rng, mean, dispersion)
        return np.where(rng.random(counts.shape) < np.exp(-np.logaddexp(0, -logits)), 0, counts)

    def draw(self, num_samples: tf.Tensor, seed: Any, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """See PointwiseLikelihood.draw."""
        mean, dispersion, logits = (parameters[name] for name in self.drawn_from)
        seeds = tfp.random.split_seed(seed)
        counts = sample_negative_binomial(num_samples, seeds[0], mean, dispersion)
        return tf.where(tfd.Bernoulli(logits, dtype=tf.bool).sample(num_samples, seed=seeds[1]), 0.0, counts)


def _log_zero(log_none: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """log p(0) from log NB(0) and the logit of pi: exact to the last digits where it is near 0, and where it is not."""
    beyond = tf.sigmoid(-logits) * tf.math.expm1(log_none)  # p(0) - 1
    extra = tf.math.log_sigmoid(logits)
    sum_of_both = extra + tf.math.softplus(tf.math.log_sigmoid(-logits) + log_none - extra)
    return tf.where(beyond > _FAR, tf.math.log1p(tf.maximum(beyond, _FAR)), sum_of_both)
