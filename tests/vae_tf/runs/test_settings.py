"""The settings of a run: every likelihood by name, on images that suit it."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from marks import integration_but
from models import binary

from vae_tf import data, likelihoods
from vae_tf.cli._train import OPTIONS
from vae_tf.runs.settings import LIKELIHOODS, Settings, stored_settings


def test_the_command_line_offers_every_likelihood():
    offered = {cls for cls, _ in LIKELIHOODS.values()}
    base = {likelihoods.Likelihood, likelihoods.PointwiseLikelihood}
    assert offered == {getattr(likelihoods, name) for name in likelihoods.__all__} - base
    assert list(OPTIONS) != [], "named there too, so that --help needs no TensorFlow"
    counts = {"poisson", "negative_binomial", "zero_inflated_negative_binomial"}
    for name, (_, arguments) in LIKELIHOODS.items():
        assert set(OPTIONS[name]) == set(arguments) | ({"levels"} if name in counts else set())
    assert set(OPTIONS) == set(LIKELIHOODS)


@pytest.mark.parametrize(
    ("likelihood", "transform", "decided"),
    [
        ("poisson", "auto", "log1p"),
        ("negative_binomial", "auto", "log1p"),
        ("zero_inflated_negative_binomial", "auto", "log1p"),
        ("poisson", "none", "none"),
        ("gaussian", "auto", "none"),
        ("gaussian", "log1p", "log1p"),
    ],
)
def test_counts_go_through_the_logarithm_before_the_encoder(likelihood, transform, decided):
    settings = Settings(likelihood=likelihood, transform=transform, latent_dim=2).resolved()
    assert settings.transform == decided
    encoder = settings.model(settings.images()[0][:64]).encoder
    assert any(layer.name == "log1p" for layer in encoder.layers) == (decided == "log1p")


def test_a_run_from_before_there_was_a_transform_has_none(tmp_path):
    stored = asdict(Settings(likelihood="poisson"))
    del stored["transform"]
    (tmp_path / "settings.json").write_text(json.dumps(stored))
    assert stored_settings(tmp_path).transform == "none"


@pytest.mark.parametrize("name", integration_but(LIKELIHOODS, "gaussian", "poisson"))
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
