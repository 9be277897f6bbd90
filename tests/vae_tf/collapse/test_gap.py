"""The amortisation gap, known exactly for a linear model."""

import numpy as np
import pytest
import tf_keras as keras
from linear_model import DIMS, LATENTS, SCALE, SIGMA, C, M, V, X, linear_vae
from models import SHAPE
from scipy import stats

import vae_tf
from vae_tf import collapse
from vae_tf.collapse._gap import whitened


def log_likelihood(x):
    return stats.multivariate_normal(np.zeros(DIMS), C).logpdf(x)


def test_the_best_diagonal_encoder_has_no_amortisation_gap():
    refined = collapse.amortisation_gap(linear_vae(), X[:40], steps=30, chunk_size=16)
    np.testing.assert_allclose(refined.gap, 0.0, atol=1e-5)
    expected = 0.5 * (np.log(np.diag(M)).sum() - np.linalg.slogdet(M)[1])
    assert expected > 0.5
    np.testing.assert_allclose(collapse.approximation_gap(log_likelihood(X[:40]), refined), expected, atol=2e-5)


def test_the_exact_posterior_has_neither_gap():
    refined = collapse.amortisation_gap(linear_vae(full=True), X[:10], steps=30)
    np.testing.assert_allclose(refined.gap, 0.0, atol=1e-5)
    np.testing.assert_allclose(collapse.approximation_gap(log_likelihood(X[:10]), refined), 0.0, atol=2e-5)


def test_the_gap_of_a_wrong_encoder_is_what_it_loses():
    """A posterior off by b in the mean and by a factor of c in the scale loses what the KL to the best one says."""
    vae = linear_vae(V + 0.1, 1.5 * SCALE)
    refined = collapse.amortisation_gap(vae, X[:30], chunk_size=16)
    off = X[:30] @ np.full((DIMS, LATENTS), 0.1)
    # minus ELBO(m, s) is quadratic in m with curvature M / sigma^2, and (M_ii s_i^2 / sigma^2) / 2 - log s_i in s_i
    expected = np.einsum("ni,ij,nj->n", off, M, off) / (2 * SIGMA**2) + LATENTS * ((1.5**2 - 1) / 2 - np.log(1.5))
    np.testing.assert_allclose(refined.gap, expected, rtol=1e-5, atol=2e-5)


def test_whitened_noise_has_the_moments_of_the_noise():
    noise = whitened(np.random.default_rng(0), LATENTS + 1, LATENTS)
    np.testing.assert_allclose(noise.mean(axis=0), 0.0, atol=1e-6)
    np.testing.assert_allclose(noise.T @ noise / len(noise), np.eye(LATENTS), atol=1e-6)


def test_gap_refuses_what_it_cannot_refine():
    with pytest.raises(ValueError, match="num_samples: expected at least 4, one more than the latents, received 3"):
        collapse.amortisation_gap(linear_vae(), X, num_samples=3)
    with pytest.raises(ValueError, match=r"log_likelihood: expected shape \(2,\).*received shape \(3,\)"):
        collapse.approximation_gap(np.zeros(3), collapse.Gap(np.zeros(2), np.zeros(2)))

    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.stack = linear_vae().encoder

        def call(self, inputs, training=None):
            return self.stack(inputs)

    plain = linear_vae()
    vae = vae_tf.VAE(Own(), plain.decoder, plain.prior)
    with pytest.raises(ValueError, match=r"functional or Sequential Keras model.*received Own, a subclassed"):
        collapse.amortisation_gap(vae, X)


def test_the_measured_noise_is_deterministic(make_vae):
    from vae_tf.collapse._advice import measured_noise

    vae = make_vae(vae_tf.likelihoods.Poisson(SHAPE))
    x = np.random.default_rng(0).poisson(3.0, (8, *SHAPE)).astype(np.float32)
    assert measured_noise(vae, x, 256) == measured_noise(vae, x, 256)
    heavy = make_vae(vae_tf.likelihoods.StudentT(SHAPE, df=1.5, scale=0.3))
    assert measured_noise(heavy, x, 256)[0] == pytest.approx(0.3), "without a variance, its scale"
