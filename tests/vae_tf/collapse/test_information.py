"""Mutual information and the KL of the aggregate posterior, against quadrature and closed forms."""

import numpy as np
import pytest
from linear_model import DIMS, LATENTS, SIGMA, M, V, X, kl_to_standard, linear_vae
from scipy import integrate, stats

from vae_tf import collapse
from vae_tf.priors import MixtureOfNormals


def test_information_against_quadrature():
    """Three normals in one dimension. Both estimates within 4 standard errors: fails once in 15,000 seeds."""
    x = np.array([[-1.0], [0.5], [2.0]], np.float32)
    vae = linear_vae(np.ones((1, 1)), [0.6], decoder_weights=np.ones((1, 1)))

    def mixture(z):
        return stats.norm.pdf(z, x[:, 0], 0.6).mean()

    def entropy(z):
        return -mixture(z) * np.log(mixture(z))

    conditional = 0.5 * np.log(2 * np.pi * np.e * 0.6**2)
    expected = integrate.quad(entropy, -6, 7)[0] - conditional
    found = collapse.information(vae, x, num_samples=20_000)
    assert abs(found.mutual_information - expected) < 4 * found.mutual_information_standard_error < 0.02
    assert found.rate == pytest.approx(kl_to_standard(x[:, 0], 0.6).mean(), rel=1e-6)
    assert abs(found.aggregate_kl - (found.rate - expected)) < 4 * found.aggregate_kl_standard_error


@pytest.mark.parametrize("sampled", [False, True])
def test_rate_is_mutual_information_plus_aggregate_kl(sampled):
    vae = linear_vae(prior=MixtureOfNormals(LATENTS, 2) if sampled else None)
    found = collapse.information(vae, X[:200], seed=1)
    assert found.rate == pytest.approx(found.mutual_information + found.aggregate_kl, rel=1e-12)
    assert (found.rate_standard_error > 0) == sampled
    assert 0 < found.mutual_information < np.log(200)
    again = collapse.information(vae, X[:200], seed=1, chunk_size=37)
    assert again.mutual_information == pytest.approx(found.mutual_information, rel=1e-6)
    assert again.aggregate_kl == pytest.approx(found.aggregate_kl, rel=1e-5)
    assert collapse.information(vae, X[:200], seed=2).mutual_information != found.mutual_information


@pytest.mark.parametrize("full", [False, True])
def test_information_of_the_linear_model(full):
    """As n grows it tends to log(|Cov z| / |Cov z given x|) / 2; 700 examples come within 0.2 nats of 3.9."""
    covariance = SIGMA**2 * (np.linalg.inv(M) if full else np.diag(1 / np.diag(M)))
    expected = 0.5 * np.linalg.slogdet(V @ np.cov(X.T, ddof=0) @ V.T + covariance)[1]
    expected -= 0.5 * np.linalg.slogdet(covariance)[1]
    assert collapse.information(linear_vae(full=full), X).mutual_information == pytest.approx(expected, abs=0.2)


def test_information_at_its_bounds():
    apart = collapse.information(linear_vae(), np.float32([[-50.0] * DIMS, [50.0] * DIMS]))
    assert apart.mutual_information == pytest.approx(np.log(2), abs=1e-5)
    alike = collapse.information(linear_vae(), np.ones((5, DIMS), np.float32))
    assert alike.mutual_information == pytest.approx(0.0, abs=1e-5)
    with pytest.raises(ValueError, match="num_samples: expected at least 2, received 1"):
        collapse.information(linear_vae(), X, num_samples=1)
