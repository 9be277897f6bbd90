"""The numpy half of likelihoods, posteriors and priors: noise, draws and log-probabilities from a graph's outputs.

Draws take their noise from the generator in the same order as `vae_tf`, prior first, so that one seed gives
one set of images in both (one law, for counts).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vae_tf_onnx.families._base import Array, Config, Family, Parameters
from vae_tf_onnx.families.bernoulli import bernoulli
from vae_tf_onnx.families.continuous import continuous_bernoulli, gaussian, laplace, student_t
from vae_tf_onnx.families.discrete import (
    categorical,
    discretized_logistic,
    mixture_of_logistics,
    negative_binomial,
    poisson,
    zero_inflated_negative_binomial,
)
from vae_tf_onnx.families.latents import mixture_noise, normal_draw, normal_noise

__all__ = ["LIKELIHOODS", "POSTERIORS", "PRIORS", "Family"]

LIKELIHOODS: dict[str, Callable[[Config], Family]] = {
    "Bernoulli": bernoulli,
    "Categorical": categorical,
    "ContinuousBernoulli": continuous_bernoulli,
    "DiscretizedLogistic": discretized_logistic,
    "Gaussian": gaussian,
    "Laplace": laplace,
    "MixtureOfLogistics": mixture_of_logistics,
    "NegativeBinomial": negative_binomial,
    "Poisson": poisson,
    "StudentT": student_t,
    "ZeroInflatedNegativeBinomial": zero_inflated_negative_binomial,
}

PRIORS: dict[str, Callable[[np.random.Generator, int, int], Array]] = {
    "FlowPrior": normal_noise,
    "MixtureOfNormals": mixture_noise,
    "StandardNormal": normal_noise,
    "VampPrior": mixture_noise,
}
"""Noise for this many draws of this many latents; a graph makes z of it, unless it is z (StandardNormal)."""

POSTERIORS: dict[str, Callable[[Array, Parameters], tuple[Array, Array]]] = {
    "DiagonalNormal": normal_draw,
    "FullCovarianceNormal": normal_draw,
}
"""Draws `[B, D]` of z and log q(z|x) at them, `[B]`, from noise and parameters; a graph does it for all others."""
