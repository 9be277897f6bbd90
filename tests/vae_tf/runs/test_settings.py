"""The settings of a run: every likelihood by name, on images that suit it."""

import numpy as np
import pytest
from models import binary

from vae_tf import data, likelihoods
from vae_tf.cli._train import OPTIONS
from vae_tf.runs.settings import LIKELIHOODS, Settings


def test_the_command_line_offers_every_likelihood():
    offered = {cls for cls, _ in LIKELIHOODS.values()}
    base = {likelihoods.Likelihood, likelihoods.PointwiseLikelihood}
    assert offered == {getattr(likelihoods, name) for name in likelihoods.__all__} - base
    assert list(OPTIONS) != [], "named there too, so that --help needs no TensorFlow"
    counts = {"poisson", "negative_binomial", "zero_inflated_negative_binomial"}
    for name, (_, arguments) in LIKELIHOODS.items():
        assert set(OPTIONS[name]) == set(arguments) | ({"levels"} if name in counts else set())
    assert set(OPTIONS) == set(LIKELIHOODS)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_every_likelihood_trains_on_the_digits(name):
    settings = Settings(likelihood=name, quantised=name == "laplace", latent_dim=2, components=2).resolved()
    x = settings.images()[0][:64]
    x = binary(x) if name == "bernoulli" else x
    vae = settings.model(x)
    vae.likelihood.check_data(x)
    history = vae.fit(x, batch_size=64, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert history["elbo"][0] == pytest.approx(-history["loss"][0])
    means = vae.sample(3, seed=0, observation_noise=False) / settings.peak
    assert means.min() > -1
    assert means.max() < 2, "on the scale of the images"


def test_levels_of_images():
    assert data.levels(data.load("digits")[0]) == 17
    assert data.levels(np.array([0.0, 1.0])) == 2
    assert data.levels(np.arange(256, dtype=np.float32) / 255) == 256
    with pytest.raises(ValueError, match="Grey levels: expected at most 256"):
        data.levels(np.random.default_rng(0).random((50, 50)))
    with pytest.raises(ValueError, match=r"received values in \[0, 16\]"):
        data.levels(np.arange(17.0))


def test_counts_are_the_levels_themselves():
    settings = Settings(likelihood="poisson").resolved()
    x, _ = settings.images()
    assert settings.peak == 16
    assert set(np.unique(x)) == set(range(17))


def test_counts_of_a_table_are_taken_as_they_are():
    settings = Settings(data="counts", likelihood="poisson").resolved()
    assert settings.levels is None
    assert settings.peak == 1
    for part, stored in zip(settings.images(), data.load("counts"), strict=True):
        np.testing.assert_array_equal(part, stored)
