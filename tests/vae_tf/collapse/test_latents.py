"""Measures of collapse latent by latent, exact on a linear model."""

import numpy as np
import pytest
from linear_model import LATENTS, SCALE, SIGMA, M, V, X, kl_to_standard, linear_vae

from vae_tf import collapse
from vae_tf.priors import MixtureOfNormals


def test_kl_per_latent_is_the_closed_form_for_every_chunk_size():
    kl = collapse.kl_per_latent(linear_vae(), X, chunk_size=64)
    assert kl == pytest.approx(kl_to_standard(X @ V.T, SCALE), rel=1e-5)
    np.testing.assert_allclose(kl, collapse.kl_per_latent(linear_vae(), X, chunk_size=1000), rtol=1e-6)


def test_kl_per_latent_of_a_full_covariance_is_that_of_its_marginals():
    scale = np.sqrt(np.diag(SIGMA**2 * np.linalg.inv(M)))
    kl = collapse.kl_per_latent(linear_vae(full=True), X)
    assert kl == pytest.approx(kl_to_standard(X @ V.T, scale), rel=1e-5)


def test_kl_per_latent_needs_normal_latents():
    vae = linear_vae(prior=MixtureOfNormals(LATENTS, 2))
    with pytest.raises(ValueError, match=r"StandardNormal prior, received DiagonalNormal and MixtureOfNormals"):
        collapse.kl_per_latent(vae, X)
    assert collapse.kl_or_none(vae, X) is None


def test_active_units():
    weights = np.diag([1.0, 0.5, 0.05, 0.0])
    vae = linear_vae(weights, np.ones(4), decoder_weights=np.eye(4))
    x = np.random.default_rng(0).normal(size=(400, 4)).astype(np.float32)
    variance = collapse.posterior_mean_variance(vae, x, chunk_size=150)
    assert variance == pytest.approx(np.diag(weights) ** 2 * x.var(axis=0), rel=1e-5)
    assert collapse.active_units(vae, x).tolist() == [True, True, False, False]
    assert collapse.active_units(vae, x, threshold=0.5).tolist() == [True, False, False, False]
    with pytest.raises(ValueError, match="Data: expected at least 2 examples, received 1"):
        collapse.active_units(vae, x[:1])
    with pytest.raises(ValueError, match="threshold"):
        collapse.active_units(vae, x, threshold=-1)


def test_collapse_by_hand():
    """Of ten examples at most delta * 10 may lie at eps or above."""
    kl = np.array([[0.0] * 10, [0.0] * 9 + [1.0], [0.0] * 8 + [1.0, 2.0], [0.5] * 10]).T
    assert collapse.collapse_threshold(kl, 0.0).tolist() == [0.0, 1.0, 2.0, 0.5]
    assert collapse.collapse_threshold(kl, 0.1).tolist() == [0.0, 0.0, 1.0, 0.5]
    assert collapse.collapse_threshold(kl, 0.29999999999999993).tolist() == [0.0, 0.0, 0.0, 0.5]
    assert collapse.collapse_threshold(kl, 0.99).tolist() == [0.0, 0.0, 0.0, 0.5]
    hundred = np.arange(100.0)[:, None]
    assert collapse.collapse_threshold(hundred, 0.29) == [70]  # 0.29 * 100 < 29 in floating point
    for delta in (0.0, 0.1, 0.2):
        for eps in (0.1, 0.5, 0.7, 1.5):
            expected = [np.mean(column < eps) >= 1 - delta for column in kl.T]
            assert (collapse.collapse_threshold(kl, delta) < eps).tolist() == expected


def test_collapse_and_its_curve():
    """Latent i has KL m^2 x^2 / 2 at scale 1; the third does not look at x."""
    vae = linear_vae(np.diag([1.0, 0.1, 0.0]), np.ones(3), decoder_weights=np.eye(3))
    x = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    assert collapse.collapsed(vae, x).tolist() == [False, False, True]
    assert collapse.collapsed(vae, x, eps=0.1).tolist() == [False, True, True]
    assert collapse.collapsed(vae, x, delta=0.5).tolist() == [False, True, True]
    curve = collapse.collapse_curve(vae, x)
    assert curve.shape == collapse.EPS_GRID.shape
    assert (curve[0], curve[-1]) == (pytest.approx(1 / 3), 1.0)
    assert (np.diff(curve) >= 0).all()
    with pytest.raises(ValueError, match="eps"):
        collapse.collapsed(vae, x, eps=0.0)
    with pytest.raises(ValueError, match="delta"):
        collapse.collapsed(vae, x, delta=1.0)
    with pytest.raises(ValueError, match=r"kl: expected shape \[n, D\] with n >= 1, received shape \(0, 3\)"):
        collapse.collapse_threshold(np.zeros((0, 3)))
