"""The advice: the cause that it names, and the numbers that it goes by."""

import re

import numpy as np
import pytest
from linear_model import DIMS, LATENTS, SIGMA, X, linear_vae
from models import make_vae as digits_vae

from vae_tf import collapse
from vae_tf.objectives import ELBO, linear
from vae_tf.posteriors import InverseAutoregressiveFlow

SPECTRUM = np.array([9.0, 4.0, 1.0, 0.25, 0.01])

CAUSES = {
    "sigma": ({"active": 1, "sigma": 2.0, "rmse": 0.3}, "sigma = 2 is 6.67 times the residual 0.3. 1 eigenvalue "),
    "kl_weight": ({"active": 1, "kl_weight": 20.0}, "kl_weight = 20 acts like sigma = 1.79 instead of 0.4. 2 eigenv"),
    "data": ({"active": 4, "latent_dim": 8}, "4 of 8 latents collapsed: latent_dim is above what the data carry. 4 "),
    "training": ({"active": 2}, "training without a warm-up was too short. 4 eigenvalues.*2 latents are used. Warm"),
    "warm-up": ({"active": 0, "warm_up": True}, "the warm-up was too short.*Lengthen the warm-up of kl_weight"),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_advice_by_cause(cause):
    numbers, text = CAUSES[cause]
    usual = {"latent_dim": 4, "sigma": 0.4, "rmse": 0.4, "eigenvalues": SPECTRUM}
    assert re.search(text, collapse.advise(**usual | numbers))


def test_no_advice_where_nothing_collapsed():
    assert collapse.advise(latent_dim=4, active=4, sigma=9.0, rmse=0.1, eigenvalues=SPECTRUM) is None
    assert collapse.advice(linear_vae(), X) is None


def test_a_large_sigma_is_not_blamed_where_the_data_have_no_more_to_give():
    text = collapse.advise(latent_dim=8, active=2, sigma=1.0, rmse=0.5, eigenvalues=np.array([9.0, 4.0, 0.1]))
    assert "latent_dim is above" in text


def test_advice_measures_sigma_residual_and_spectrum():
    """The decoder ignores z, so that x is all residual."""
    vae = linear_vae(np.zeros((LATENTS, DIMS)), np.ones(LATENTS), decoder_weights=np.zeros((DIMS, LATENTS)))
    eigenvalues = collapse.covariance_eigenvalues(X)
    above = np.count_nonzero(eigenvalues > SIGMA**2)
    assert above >= LATENTS
    advice = collapse.advice(vae, X)
    assert advice.startswith("3 of 3 latents collapsed: training without a warm-up")
    assert f"{above} eigenvalues of the data covariance exceed sigma^2 = 0.25" in advice
    tiny = 0.1 * X
    rmse = np.sqrt(np.mean(tiny**2))
    assert f"sigma = 0.5 is {0.5 / rmse:.3g} times the residual {rmse:.3g}. 0 eigen" in collapse.advice(vae, tiny)
    vae.objective = ELBO(linear(3, end=1e4))
    assert "kl_weight = 1e+04 acts like sigma = 50" in collapse.advice(vae, X)


def test_spectrum_is_the_same_from_either_side():
    tall = np.random.default_rng(0).normal(size=(9, 2, 3))
    expected = np.sort(np.linalg.eigvalsh(np.cov(tall.reshape(9, 6).T, ddof=0)))[::-1]
    assert collapse.covariance_eigenvalues(tall) == pytest.approx(expected)
    wide = tall[:4]
    expected = np.sort(np.linalg.eigvalsh(np.cov(wide.reshape(4, 6).T, ddof=0)))[::-1][:4]
    assert collapse.covariance_eigenvalues(wide) == pytest.approx(expected, abs=1e-12)


@pytest.fixture(scope="module")
def flow_vae():
    """A VAE whose KL is no sum over latents: only the threshold says which of them collapsed."""
    return digits_vae(posterior=InverseAutoregressiveFlow)


def test_the_threshold_counts_in_the_advice_where_there_is_no_kl_per_latent(flow_vae, digits):
    x = digits[1][:50]
    variances = np.sort(collapse.posterior_mean_variance(flow_vae, x))
    assert collapse.advice(flow_vae, x, threshold=variances[0] / 2) is None
    for used in (1, 2):
        between = (variances[-used] + variances[-used - 1]) / 2
        text = collapse.advice(flow_vae, x, threshold=between)
        assert text.startswith(f"{4 - used} of 4 latents collapsed")
        assert collapse.diagnose(flow_vae, x, threshold=between).advice == text


def test_eps_and_delta_of_the_advice():
    vae = linear_vae()
    kl = collapse.kl_per_latent(vae, X)
    assert collapse.advice(vae, X) is None
    assert collapse.advice(vae, X, eps=2 * kl.max()).startswith("3 of 3 latents collapsed")
    few = np.where(np.arange(len(X))[:, None] < len(X) // 4, 1.0, 0.0) * np.ones(LATENTS)
    assert collapse.advice(vae, X, few, delta=0.2) is None
    assert collapse.advice(vae, X, few, delta=0.3).startswith("3 of 3 latents collapsed")


@pytest.mark.parametrize("function", [collapse.advice, collapse.diagnose])
@pytest.mark.parametrize(("name", "value"), [("eps", 0.0), ("delta", 1.0), ("threshold", -1.0), ("chunk_size", 0)])
def test_numbers_out_of_range_are_refused_also_where_they_are_not_needed(function, name, value, flow_vae, digits):
    for vae, x in ((linear_vae(), X), (flow_vae, digits[1][:20])):
        with pytest.raises(ValueError, match=name):
            function(vae, x, **{name: value})


def test_a_kl_of_other_latents_is_refused():
    with pytest.raises(ValueError, match=r"kl: expected shape \[n, 3\], received shape \[5, 2\]"):
        collapse.advice(linear_vae(), X, np.ones((5, 2)))
