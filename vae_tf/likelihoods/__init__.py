"""Likelihoods p(x|z): the last layer of a decoder."""

from vae_tf.likelihoods._pointwise import PointwiseLikelihood
from vae_tf.likelihoods.base import Likelihood
from vae_tf.likelihoods.bernoulli import Bernoulli
from vae_tf.likelihoods.categorical import Categorical
from vae_tf.likelihoods.continuous_bernoulli import ContinuousBernoulli
from vae_tf.likelihoods.discretized_logistic import DiscretizedLogistic
from vae_tf.likelihoods.gaussian import Gaussian
from vae_tf.likelihoods.laplace import Laplace
from vae_tf.likelihoods.mixture_of_logistics import MixtureOfLogistics
from vae_tf.likelihoods.negative_binomial import NegativeBinomial
from vae_tf.likelihoods.poisson import Poisson
from vae_tf.likelihoods.student_t import StudentT
from vae_tf.likelihoods.zero_inflated_negative_binomial import ZeroInflatedNegativeBinomial

__all__ = [
    "Bernoulli",
    "Categorical",
    "ContinuousBernoulli",
    "DiscretizedLogistic",
    "Gaussian",
    "Laplace",
    "Likelihood",
    "MixtureOfLogistics",
    "NegativeBinomial",
    "PointwiseLikelihood",
    "Poisson",
    "StudentT",
    "ZeroInflatedNegativeBinomial",
]
