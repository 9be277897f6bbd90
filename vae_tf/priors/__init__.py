"""Priors p(z), the distributions of the latents before any data are seen."""

from vae_tf.priors.base import Prior
from vae_tf.priors.flow import FlowPrior
from vae_tf.priors.mixtures import MixtureOfNormals, VampPrior
from vae_tf.priors.standard_normal import StandardNormal

__all__ = ["FlowPrior", "MixtureOfNormals", "Prior", "StandardNormal", "VampPrior"]
