"""Every likelihood, posterior and prior keeps its contract; and the contracts catch those that do not."""

import gc

import cases
import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from marks import integration_but
from models import SHAPE
from scipy import stats
from tensorflow_probability import distributions as tfd

from vae_tf.likelihoods import Gaussian, Likelihood
from vae_tf.posteriors import DiagonalNormal, Posterior
from vae_tf.priors import Prior, StandardNormal
from vae_tf.testing import check_likelihood, check_posterior, check_prior


@pytest.mark.parametrize("name", cases.LIKELIHOODS)
def test_likelihood(name):
    make, reference = cases.LIKELIHOODS[name]
    check_likelihood(make, reference, support=cases.support(make()))


@pytest.mark.parametrize("name", integration_but(cases.POSTERIORS, "diagonal", "full_covariance", "flow"))
def test_posterior(name):
    check_posterior(lambda: cases.POSTERIORS[name](3))


def test_a_flow_over_one_latent():
    check_posterior(lambda: cases.POSTERIORS["flow"](1))


@pytest.mark.parametrize("name", cases.PRIORS)
def test_prior(name):
    check_prior(lambda: cases.PRIORS[name](2))


def final(cls):
    """The classes below `cls` in the package that have none below them."""
    children = [child for child in cls.__subclasses__() if child.__module__.startswith("vae_tf.")]
    return {cls} if not children else set().union(*map(final, children))


def escaped(base, made):
    """Classes that no case makes."""
    return final(base) - {type(layer) for layer in made}


MADE = {
    Likelihood: lambda: [make() for make, _ in cases.LIKELIHOODS.values()],
    Posterior: lambda: [make(2) for make in cases.POSTERIORS.values()],
    Prior: lambda: [make(2) for make in cases.PRIORS.values()],
}


@pytest.mark.parametrize("base", MADE)
def test_nothing_escapes_its_contract(base):
    assert escaped(base, MADE[base]()) == set()


def test_a_class_without_a_case_would_be_found():
    new = type("New", (Gaussian,), {"__module__": "vae_tf.likelihoods.new"})
    assert escaped(Likelihood, MADE[Likelihood]()) == {new}
    del new
    gc.collect()


def gaussian_but(name, **methods):
    """A class of Gaussians with a fault."""
    return keras.saving.register_keras_serializable("test")(type(name, (Gaussian,), methods))


def independent(normal, likelihood):
    return tfd.Independent(normal, len(likelihood.event_shape))


@pytest.mark.parametrize(
    ("faulty", "clause"),
    [
        (gaussian_but("Loud", observe=lambda self, noise, p: p["mean"] + 2 * p["scale"] * noise), "draws have the law"),
        (gaussian_but("Biased", mean=lambda self, p: p["mean"] + 0.1), r"mean is E\[x\|z\]"),
        (
            gaussian_but("Unbounded", parameters=lambda self, raw: {"mean": raw, "scale": 0.1 + tf.sqrt(tf.abs(raw))}),
            "finite",
        ),
        (
            gaussian_but(
                "Wide", distribution=lambda self, p: independent(tfd.Normal(p["mean"], 0.1 + p["scale"]), self)
            ),
            "log_prob is the reference's",
        ),
        (gaussian_but("Forgetful", get_config=lambda self: Gaussian.get_config(self) | {"scale": 2.0}), "round trip"),
    ],
)
def test_a_faulty_likelihood_breaks_it(faulty, clause):
    with pytest.raises(AssertionError, match=clause):
        check_likelihood(lambda: faulty(SHAPE, scale=0.7), cases.gaussian)


def test_a_density_that_does_not_integrate_to_one_breaks_it():
    """Here the reference has the same fault."""

    class Improper(tfd.Normal):
        def _log_prob(self, x):
            return super()._log_prob(x) + 0.01

    faulty = gaussian_but("Improper", distribution=lambda self, p: independent(Improper(p["mean"], p["scale"]), self))
    with pytest.raises(AssertionError, match="the total is 1"):
        check_likelihood(
            lambda: faulty(SHAPE, scale=0.7),
            lambda likelihood, x, p: (stats.norm.logpdf(x, p["mean"], p["scale"]) + 0.01).sum((1, 2, 3)),
        )


class WrongLogProb(DiagonalNormal):
    def draw(self, noise, parameters):
        z, log_prob = super().draw(noise, parameters)
        return z, log_prob + 0.1


class WrongDraw(DiagonalNormal):
    def draw(self, noise, parameters):
        z, _ = super().draw(1.2 * noise, parameters)
        return z, self.distribution(parameters).log_prob(z)


@pytest.mark.parametrize(("faulty", "clause"), [(WrongLogProb, "draw returns log q"), (WrongDraw, "covariance")])
def test_a_faulty_posterior_breaks_it(faulty, clause):
    with pytest.raises(AssertionError, match=clause):
        check_posterior(lambda: faulty(3))


class Shifted(StandardNormal):
    def from_noise(self, noise):
        return noise + np.float32(0.2)


class Halved(StandardNormal):
    def closed_form(self, q):
        return 0.5 * super().closed_form(q)


@pytest.mark.parametrize(("faulty", "clause"), [(Shifted, "the mean of draws"), (Halved, "closed form")])
def test_a_faulty_prior_breaks_it(faulty, clause):
    with pytest.raises(AssertionError, match=clause):
        check_prior(lambda: faulty(2))
