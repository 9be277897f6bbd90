"""Every likelihood, posterior and prior of the package, for the tests that go through all of them."""

import continuous_cases
import discrete_cases
import numpy as np
import tf_keras as keras
from models import SCALES, SHAPE, make_likelihood
from scipy import stats

import vae_tf
from vae_tf import posteriors, priors


def gaussian(likelihood, x, parameters):
    return stats.norm.logpdf(x.astype(np.float64), parameters["mean"], parameters["scale"]).sum(axis=(1, 2, 3))


def bernoulli(likelihood, x, parameters):
    towards = (2 * x - 1) * parameters["logits"].astype(np.float64)
    return -np.logaddexp(0, -towards).sum(axis=(1, 2, 3))


LIKELIHOODS = {
    **{f"gaussian_{scale}": (lambda scale=scale: make_likelihood(scale), gaussian) for scale in SCALES},
    "bernoulli": (lambda: make_likelihood("bernoulli"), bernoulli),
    **continuous_cases.CASES,
    **discrete_cases.CASES,
}
"""(make, reference) by name; see vae_tf.testing.check_likelihood."""


def support(likelihood):
    """The values of one dimension, for check_likelihood; None for the reals."""
    config = likelihood.get_config()
    if type(likelihood).__name__ == "ContinuousBernoulli":
        return np.linspace(0, 1, 20001)
    if likelihood.measure == "density":
        return None
    if type(likelihood).__name__ == "Bernoulli":
        return np.array([0.0, 1.0])
    if "levels" not in config:
        return np.arange(600.0)  # of counts with a mean below 20 and a dispersion of 1, 1e-12 lie beyond
    return np.arange(256.0) if config["levels"] is None else np.arange(config["levels"]) / (config["levels"] - 1)


def attached(prior, posterior):
    """A prior with the encoder that it is made of."""
    encoder = vae_tf.networks.mlp_encoder((4, 4, 1), posterior, hidden=(8,))
    prior.attach(encoder, posterior)
    return prior


def seeded(make):
    """`make`, with the same random weights each time."""

    def seeded_make(*arguments):
        keras.utils.set_random_seed(1)
        return make(*arguments)

    return seeded_make


def bent(prior):
    """A prior whose weights are moved off their first values, so that nothing is zero."""
    rng = np.random.default_rng(1)
    prior.set_weights([weight + 0.3 * rng.normal(size=weight.shape) for weight in prior.get_weights()])
    return prior


POSTERIORS = {
    "diagonal": posteriors.DiagonalNormal,
    "full_covariance": posteriors.FullCovarianceNormal,
    "flow": seeded(posteriors.InverseAutoregressiveFlow),
    "flow_of_five": seeded(lambda latent_dim: posteriors.InverseAutoregressiveFlow(latent_dim, flows=5, units=7)),
}
"""Functions of latent_dim."""

PSEUDO_INPUTS = np.random.default_rng(0).random((5, 4, 4, 1))
PRIORS = {
    "standard_normal": priors.StandardNormal,
    "mixture": seeded(lambda latent_dim: bent(priors.MixtureOfNormals(latent_dim, 3))),
    "flow": seeded(lambda latent_dim: bent(priors.FlowPrior(latent_dim, flows=3, units=8))),
    "vamp": seeded(lambda d: attached(priors.VampPrior(d, PSEUDO_INPUTS), posteriors.DiagonalNormal(d))),
    "vamp_full": seeded(lambda d: attached(priors.VampPrior(d, PSEUDO_INPUTS), posteriors.FullCovarianceNormal(d))),
}
"""Functions of latent_dim."""


def prior_of(name):
    """A function of latent_dim, for a VAE of images of `SHAPE`: pseudo-inputs are images."""
    if name.startswith("vamp"):
        return lambda latent_dim: priors.VampPrior(latent_dim, np.random.default_rng(0).random((5, *SHAPE)))
    return PRIORS[name]
