"""The exact values of pPCA on MNIST; seconds, and the short form is the full one."""

import exact_ppca
import numpy as np
import pytest
from mnist_data import needs_mnist

from vae_tf.ppca import PPCA

pytestmark = needs_mnist


@pytest.fixture(scope="module")
def images():
    return exact_ppca.data()


@pytest.fixture(scope="module")
def ppca(images):
    return PPCA(exact_ppca.FROZEN_AT).fit(images[0])


def test_spectrum(ppca):
    assert ppca.eigenvalues_[:10] == pytest.approx(exact_ppca.LEADING, abs=1e-5)
    assert ppca.spectrum_.trace == pytest.approx(exact_ppca.TRACE, abs=1e-3)


def test_sigma_free_and_frozen(ppca, images):
    for latent_dim, (sigma2, *values) in exact_ppca.free(ppca, images[1]).items():
        expected_sigma2, *expected = exact_ppca.FREE[latent_dim]
        assert sigma2 == pytest.approx(expected_sigma2, abs=1e-6)
        assert values == pytest.approx(expected, abs=1e-2)


def test_sweep(ppca):
    ours = exact_ppca.sweep(ppca)
    for sigma2, expected in exact_ppca.SWEEP.items():
        assert ours[sigma2] == pytest.approx(expected, abs=1e-2)


def test_first_thousand(images):
    assert exact_ppca.first_thousand(images[0]) == pytest.approx(exact_ppca.FIRST, abs=1e-2)


def test_batches(ppca, images):
    """60 batches of 1,000 make the same fit, within 1e-8; the closed form is what the density says of each image."""
    parts = PPCA(exact_ppca.FROZEN_AT)
    for batch in np.split(images[0], 60):
        parts.partial_fit(batch)
    assert parts.sigma2_ == pytest.approx(ppca.sigma2_, abs=1e-8, rel=0)
    assert parts.log_likelihood_ == pytest.approx(ppca.log_likelihood_, abs=1e-8, rel=0)
    assert parts.score(images[0]) == pytest.approx(ppca.log_likelihood_, abs=1e-7, rel=0)


def test_gram(images):
    """700 images span fewer than 784 dimensions: the matrix of inner products gives what the covariance gives."""
    x = images[0][:700]
    gram, covariance = PPCA(50).fit(x), PPCA(50).fit_covariance(np.cov(x.T, ddof=0), x.mean(axis=0))
    assert gram.sigma2_ == pytest.approx(covariance.sigma2_, abs=1e-12)
    assert gram.log_prob(images[1]) == pytest.approx(covariance.log_prob(images[1]), abs=1e-6)


def test_randomized(ppca):
    """What the docstring of PPCA states, with room."""
    randomized = PPCA(exact_ppca.FROZEN_AT, solver="randomized").fit_covariance(ppca.spectrum_.covariance())
    assert randomized.sigma2_ == pytest.approx(ppca.sigma2_, rel=1e-12)
    assert randomized.log_likelihood_ == pytest.approx(ppca.log_likelihood_, abs=1e-8)
