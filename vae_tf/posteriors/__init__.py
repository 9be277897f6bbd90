"""Approximate posteriors q(z|x), each the last layer of an encoder."""

from vae_tf.posteriors.base import Posterior
from vae_tf.posteriors.flow import InverseAutoregressiveFlow
from vae_tf.posteriors.normal import DiagonalNormal, FullCovarianceNormal

__all__ = ["DiagonalNormal", "FullCovarianceNormal", "InverseAutoregressiveFlow", "Posterior"]
