"""Likelihoods p(x|z): the last layer of a decoder."""

from vae_tf.likelihoods._base import Likelihood
from vae_tf.likelihoods.bernoulli import Bernoulli
from vae_tf.likelihoods.gaussian import Gaussian

__all__ = ["Bernoulli", "Gaussian", "Likelihood"]
