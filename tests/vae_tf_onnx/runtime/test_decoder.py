"""Decoder and Encoder against numpy, on graphs whose values are known."""

import numpy as np
import pytest
from handmade import EVENT_SHAPE, LATENT_DIM, SIGMA, golden, weights

from vae_tf_onnx import Decoder, Encoder


@pytest.mark.parametrize("batch", [1, 3, 17])
def test_decode_and_encode(make_bundle, batch):
    folder = make_bundle()
    decode, encode = weights()
    z = np.random.default_rng(0).normal(size=(batch, LATENT_DIM))
    np.testing.assert_allclose(Decoder(folder).decode(z), (z @ decode).reshape(batch, *EVENT_SHAPE), rtol=1e-4)
    x = np.random.default_rng(0).random((batch, *EVENT_SHAPE))
    np.testing.assert_allclose(Encoder(folder).encode(x), x.reshape(batch, -1) @ encode, rtol=1e-4, atol=1e-5)
    assert Encoder(folder).parameters(x)["scale"].shape == (batch, LATENT_DIM)


@pytest.mark.parametrize("family", ["Gaussian", "Bernoulli"])
def test_log_prob(make_bundle, family):
    values = golden(family)
    received = Decoder(make_bundle(family)).log_prob(values["x"], values["z"])
    np.testing.assert_allclose(received, values["log_prob"], rtol=1e-5)


def test_sample_is_reproducible_and_has_the_law_of_the_model(make_bundle):
    decoder = Decoder(make_bundle())
    x, mean = (decoder.sample(3000, seed=2, observation_noise=noise) for noise in (True, False))
    np.testing.assert_array_equal(x, decoder.sample(3000, seed=2))
    # 24,000 residuals: standard error of the variance 0.9 %; six of them, p < 1e-8
    assert np.var(x - mean) == pytest.approx(SIGMA**2, rel=0.055)
    decode, _ = weights()
    covariance = np.cov(x.reshape(3000, -1).T)
    expected = decode.T @ decode + SIGMA**2 * np.eye(8)
    assert np.linalg.norm(covariance - expected) < 0.15 * np.linalg.norm(expected)


def test_bernoulli_samples_are_binary_with_the_right_mean(make_bundle):
    decoder = Decoder(make_bundle("Bernoulli"))
    x, mean = (decoder.sample(3000, seed=2, observation_noise=noise) for noise in (True, False))
    assert set(np.unique(x)) == {0.0, 1.0}
    assert np.mean(x - mean) == pytest.approx(0.0, abs=6 * 0.5 / np.sqrt(24000))


def test_bad_input(make_bundle):
    decoder = Decoder(make_bundle())
    with pytest.raises(ValueError, match=r"z: expected shape \[B, 3\], received \[2, 4\]"):
        decoder.decode(np.zeros((2, 4)))
    with pytest.raises(ValueError, match=r"z: expected shape \[B, 3\], received \[\]"):
        decoder.decode(1.0)
    with pytest.raises(ValueError, match=r"x: expected shape \[2, 4, 2, 1\], received \[3, 4, 2, 1\]"):
        decoder.log_prob(np.zeros((3, *EVENT_SHAPE)), np.zeros((2, 3)))
    for count in (0, -1, 1.5, True):
        with pytest.raises(ValueError, match="num_samples: expected a whole number of at least 1"):
            decoder.sample(count)
    with pytest.raises(ValueError, match="seed: expected a whole number of at least 0"):
        decoder.sample(1, seed=-1)


def test_bernoulli_refuses_other_data(make_bundle):
    with pytest.raises(ValueError, match=r"Data for Bernoulli: expected values in \[0, 1\]"):
        Decoder(make_bundle("Bernoulli")).log_prob(np.full((1, *EVENT_SHAPE), 2.0), np.zeros((1, 3)))
