"""Sampler, Reconstructor and Scorer, on graphs whose values are known."""

import numpy as np
import pytest
from bundle_changes import add_sampler_and_reconstructor, add_scorer
from handmade import EVENT_SHAPE, LATENT_DIM, latents, means

from vae_tf_onnx import BundleError, Decoder, Reconstructor, Sampler, Scorer


def examples(count):
    return np.random.default_rng(count).random((count, *EVENT_SHAPE)).astype(np.float32)


def test_the_sampler_samples_what_the_decoder_samples(make_bundle):
    """More than one chunk of them."""
    folder = add_sampler_and_reconstructor(make_bundle())
    received = Sampler(folder).sample(300, seed=4)
    np.testing.assert_allclose(received, Decoder(folder).sample(300, seed=4), rtol=1e-4, atol=1e-6)
    assert not np.array_equal(received, Sampler(folder).sample(300, seed=5))
    for count in (0, 1.5, True):
        with pytest.raises(ValueError, match="num_samples: expected a whole number of at least 1"):
            Sampler(folder).sample(count)


def test_the_reconstructor_takes_noise_or_samples_it(make_bundle):
    reconstructor = Reconstructor(add_sampler_and_reconstructor(make_bundle()))
    x, noise = examples(5), latents(5)
    np.testing.assert_allclose(reconstructor.reconstruct(x, noise), x + means(noise), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(reconstructor.reconstruct(x, np.zeros((5, LATENT_DIM))), x, atol=1e-6)
    once, again, other = (reconstructor.reconstruct(x, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(once, again)
    assert not np.array_equal(once, other)
    with pytest.raises(ValueError, match=r"noise: expected shape \[5, 3\], received \[4, 3\]"):
        reconstructor.reconstruct(x, noise[:4])
    with pytest.raises(ValueError, match="seed: expected a whole number of at least 0"):
        reconstructor.reconstruct(x, seed=-1)


def test_the_scorer_gives_elbo_distortion_and_rate(make_bundle):
    scorer = Scorer(add_scorer(make_bundle()))
    x, noise = examples(5), latents(5)
    scores = scorer.score(x, noise)
    np.testing.assert_allclose(scores.distortion, (x**2).sum(axis=(1, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(scores.rate, (noise**2).sum(axis=1), rtol=1e-5)
    np.testing.assert_allclose(scores.elbo, -scores.distortion - scores.rate, rtol=1e-5)
    np.testing.assert_array_equal(scorer.score(x, seed=1).rate, scorer.score(x, seed=1).rate)
    with pytest.raises(ValueError, match=r"x: expected shape \[B, 4, 2, 1\]"):
        scorer.score(x[..., 0], noise)


def test_a_bundle_without_such_a_graph(make_bundle):
    folder = make_bundle()
    for head in (Sampler, Reconstructor, Scorer):
        with pytest.raises(BundleError, match="expected a file that the manifest lists"):
            head(folder)
