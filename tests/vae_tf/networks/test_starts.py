"""Where networks start: every family puts E[x|z] at the mean of the data, and its scale at theirs."""

import numpy as np
import pytest

from vae_tf import likelihoods as lik
from vae_tf import networks

SHAPE = (4, 4, 2)


def grey(rng, n=500):
    """Grey levels in [0, 1] whose mean differs from place to place."""
    return rng.beta(1 + 3 * rng.random(SHAPE), 2, size=(n, *SHAPE)).astype(np.float32)


FAMILIES = {
    "gaussian": (lambda: lik.Gaussian(SHAPE), lambda x: 300 * x - 50),
    "gaussian_learned": (lambda: lik.Gaussian(SHAPE, "learned"), lambda x: 0.01 * x),
    "gaussian_per_dimension": (lambda: lik.Gaussian(SHAPE, "per_dimension"), lambda x: 300 * x - 50),
    "gaussian_per_pixel": (lambda: lik.Gaussian(SHAPE, "per_pixel"), lambda x: 1e-4 * x),
    "gaussian_stored": (lambda: lik.Gaussian(SHAPE, quantised=True), lambda x: np.rint(255 * x)),
    "gaussian_levels": (
        lambda: lik.Gaussian(SHAPE, "per_pixel", quantised=True, levels=9),
        lambda x: np.rint(8 * x) / 8,
    ),
    "laplace": (lambda: lik.Laplace(SHAPE, "per_pixel"), lambda x: 300 * x - 50),
    "laplace_levels": (lambda: lik.Laplace(SHAPE, quantised=True, levels=9), lambda x: np.rint(8 * x) / 8),
    "student_t": (lambda: lik.StudentT(SHAPE, 4.0, "learned"), lambda x: 300 * x - 50),
    "bernoulli": (lambda: lik.Bernoulli(SHAPE), lambda x: np.rint(x)),
    "continuous_bernoulli": (lambda: lik.ContinuousBernoulli(SHAPE), lambda x: x),
    "logistic_stored": (lambda: lik.DiscretizedLogistic(SHAPE), lambda x: np.rint(255 * x)),
    "logistic_levels": (lambda: lik.DiscretizedLogistic(SHAPE, 9), lambda x: np.rint(8 * x) / 8),
    "mixture": (lambda: lik.MixtureOfLogistics(SHAPE, 5), lambda x: np.rint(255 * x)),
    "categorical": (lambda: lik.Categorical(SHAPE, 9), lambda x: np.rint(8 * x) / 8),
    "categorical_binary": (lambda: lik.Categorical(SHAPE, 2), lambda x: np.rint(x)),
    "poisson": (lambda: lik.Poisson(SHAPE), lambda x: np.rint(40 * x)),
    "poisson_large": (lambda: lik.Poisson(SHAPE), lambda x: np.rint(1e7 * x)),
    "negative_binomial": (lambda: lik.NegativeBinomial(SHAPE), lambda x: np.rint(40 * x)),
    "negative_binomial_network": (lambda: lik.NegativeBinomial(SHAPE, dispersion="network"), lambda x: np.rint(40 * x)),
    "zero_inflated": (lambda: lik.ZeroInflatedNegativeBinomial(SHAPE), lambda x: np.rint(40 * x)),
    "zero_inflated_network": (
        lambda: lik.ZeroInflatedNegativeBinomial(SHAPE, dispersion="network"),
        lambda x: np.rint(40 * x),
    ),
    "negative_binomial_library": (lambda: lik.NegativeBinomial(SHAPE, library_size=True), lambda x: np.rint(40 * x)),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_starts_at_the_mean_of_the_data(name):
    make, scaled = FAMILIES[name]
    x = scaled(grey(np.random.default_rng(0)))
    decoder = networks.mlp_decoder(3, make(), hidden=(), standardise=x)
    mean = np.array(decoder(np.zeros((1, 3), np.float32)).mean())[0]
    assert np.abs(mean - x.mean(axis=0)).max() < 0.01 * x.std()
