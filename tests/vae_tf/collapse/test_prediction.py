"""The number of latents that the spectrum lets survive, against linear VAEs trained numerically and in the report."""

import math
import re

import numpy as np
import pytest
import tensorflow as tf
from scipy import optimize, sparse

import vae_tf
from vae_tf import collapse
from vae_tf.collapse import linear_prediction
from vae_tf.collapse._prediction import prediction_for
from vae_tf.likelihoods import Gaussian, Laplace
from vae_tf.networks import mlp_decoder, mlp_encoder
from vae_tf.objectives import ELBO, GECO, IWAE, Capacity, FreeBits, linear
from vae_tf.posteriors import DiagonalNormal
from vae_tf.priors import StandardNormal

SPECTRUM = np.array([4.0, 2.0, 1.2, 0.6, 0.3, 0.1])
DIMS = len(SPECTRUM)


def with_spectrum(eigenvalues, n=40, seed=0):
    """Data `[n, d]` and axes `[d, d]` whose covariance has these eigenvalues exactly, along these columns."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(n, len(eigenvalues)))
    scores, _ = np.linalg.qr(scores - scores.mean(axis=0))
    axes, _ = np.linalg.qr(rng.normal(size=(len(eigenvalues),) * 2))
    return 3.0 + math.sqrt(n) * (scores * np.sqrt(eigenvalues)) @ axes.T, axes


X, AXES = with_spectrum(SPECTRUM)


# --- the number ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sigma", "above"), [(3.0, 0), (1.9, 1), (1.0, 3), (0.5, 5), (0.1, 6)])
def test_it_counts_the_eigenvalues_above_sigma_squared(sigma, above):
    found = collapse.linear_prediction(X, sigma)
    assert found.eigenvalues == pytest.approx(SPECTRUM)
    assert found.threshold == pytest.approx(sigma**2)
    assert found.survivors == above
    assert collapse.linear_prediction(X, sigma, latent_dim=2).survivors == min(2, above)
    assert collapse.linear_prediction(X, sigma / 2, kl_weight=4.0).survivors == above
    images = X.reshape(-1, 3, 2, 1)
    assert collapse.linear_prediction(images, np.full((2, 1), sigma)).survivors == above
    assert collapse.linear_prediction(images.astype(np.float32), [sigma]).survivors == above


def test_fewer_examples_than_dimensions():
    wide = X[:4]
    full = np.sort(np.linalg.eigvalsh(np.cov(wide.T, ddof=0)))[::-1]
    assert collapse.linear_prediction(wide, 0.5).survivors == np.count_nonzero(full > 0.25)
    sigma = np.linspace(0.2, 1.0, DIMS)
    full = np.linalg.eigvalsh(np.cov((wide / sigma).T, ddof=0))
    assert collapse.linear_prediction(wide, sigma).survivors == np.count_nonzero(full > 1)
    assert collapse.linear_prediction(np.ones((5, 3)), 0.1).survivors == 0


def test_it_reads_as_a_line():
    assert str(collapse.linear_prediction(X, 1.0)) == "at most 3 latents can survive at sigma = 1"
    assert str(collapse.linear_prediction(X, 1.9)) == "at most 1 latent can survive at sigma = 1.9"
    found = collapse.linear_prediction(X, 0.5, latent_dim=200, kl_weight=4.0)
    assert str(found) == "at most 3 of 200 latents can survive at sigma = 0.5 and kl_weight = 4"
    sigma = np.linspace(0.5, 1.0, DIMS)
    assert re.fullmatch(
        r"at most \d of 1 latent can survive at sigma = 0.5 to 1",
        str(collapse.linear_prediction(X, sigma, latent_dim=1)),
    )


def trained_rates(covariance, sigma, latents, beta, seed):
    """The KL of each latent, `[q]`, where a linear VAE of fixed noise maximises E_q log p(x|z) - beta KL."""
    dims = len(covariance)
    sizes = dims * latents, latents * dims, latents

    def unpack(flat):
        w, v, log_d = np.split(flat, np.cumsum(sizes)[:-1])
        return w.reshape(dims, latents), v.reshape(latents, dims), np.exp(log_d)

    def rates(v, d):
        return 0.5 * (d - np.log(d) - 1 + np.einsum("ij,jk,ik->i", v, covariance, v))

    def loss(flat):
        w, v, d = unpack(flat)
        residual = np.eye(dims) - w @ v
        squares = np.diag(residual @ covariance @ residual.T) + w**2 @ d
        return np.sum(squares / (2 * sigma**2)) + beta * rates(v, d).sum()

    start = 0.5 * np.random.default_rng(seed).normal(size=sum(sizes))
    found = optimize.minimize(loss, start, method="BFGS", options={"gtol": 1e-6, "maxiter": 2000})
    return rates(*unpack(found.x)[1:])


SIGMAS = {
    "one": (1.0, 1.0),
    "one, beta": (0.6, 4.0),
    "each its own": (np.array([0.3, 2.0, 0.9, 0.9, 2.5, 1.4]), 1.0),
    "each its own, beta": (np.array([2.0, 0.3, 0.4, 0.7, 0.2, 0.8]), 3.0),
}


@pytest.mark.parametrize("name", SIGMAS)
def test_a_trained_linear_vae_keeps_as_many(name):
    """Optimised numerically, weights, encoder and variances, by nothing but the definition of the ELBO."""
    sigma, beta = SIGMAS[name]
    rates = trained_rates(np.cov(X.T, ddof=0), sigma, 5, beta, seed=1)
    found = collapse.linear_prediction(X, sigma, latent_dim=5, kl_weight=beta)
    assert 0 < found.survivors < 5
    assert np.count_nonzero(rates > 1e-3) == found.survivors
    kept = np.sort(rates)[::-1][: found.survivors]  # at the optimum 1/2 log(lambda / sigma^2)
    assert kept == pytest.approx(0.5 * np.log(found.eigenvalues[: found.survivors] / found.threshold), abs=1e-3)


@pytest.mark.parametrize(
    ("x", "arguments", "message"),
    [
        (X[:1], {"scale": 1.0}, "data: expected at least 2 examples, received 1"),
        (X[:0], {"scale": 1.0}, "data: expected at least 1 example"),
        (X[:, 0], {"scale": 1.0}, "data: expected examples along the first axis"),
        (np.where(np.eye(40, 6) > 0, np.nan, X), {"scale": 1.0}, "data: expected finite numbers"),
        (X, {"scale": 0.0}, "scale: expected a finite number above 0, received 0.0"),
        (X, {"scale": -1.0}, "scale: expected a finite number above 0"),
        (X, {"scale": math.nan}, "scale: expected a finite number above 0"),
        (X, {"scale": "optimal"}, "scale: expected real numbers, received dtype <U7"),
        (X, {"scale": np.arange(6.0)}, "scale: expected finite numbers above 0, received values from 0 to 5"),
        (X, {"scale": np.ones(5)}, r"scale: expected a number, or an array that broadcasts to \(6,\)"),
        (X, {"scale": np.ones((2, 6))}, r"received shape \(2, 6\)"),
        (X, {"scale": []}, r"received shape \(0,\)"),
        (X, {"scale": 1.0, "latent_dim": 0}, "latent_dim: expected a whole number of at least 1"),
        (X, {"scale": 1.0, "kl_weight": 0.0}, "kl_weight: expected a finite number above 0"),
    ],
)
def test_what_it_refuses(x, arguments, message):
    with pytest.raises(ValueError, match=message):
        collapse.linear_prediction(x, **arguments)


def test_data_that_are_no_numbers_are_refused():
    with pytest.raises(TypeError, match="data: expected numbers in an array"):
        collapse.linear_prediction([["a", "b"], ["c", "d"]], 1.0)


# --- of a VAE --------------------------------------------------------------------------------------------


def linear_vae(likelihood, objective=None, latents=4):
    encoder = mlp_encoder((DIMS,), DiagonalNormal(latents), hidden=())
    return vae_tf.VAE(encoder, mlp_decoder(latents, likelihood, hidden=()), StandardNormal(latents), objective)


def at_the_optimum(sigma, latents=4):
    """A linear VAE of that noise at the maximum of its ELBO on X, in closed form: theory.md, section 2."""
    vae = linear_vae(Gaussian((DIMS,), sigma), latents=latents)
    kept = np.maximum(SPECTRUM[:latents], sigma**2)
    loadings = AXES[:, :latents] * np.sqrt(kept - sigma**2)
    weights = loadings.T / kept[:, None]
    raw = np.log(np.expm1(sigma / np.sqrt(kept) - 1e-5))  # softplus makes it the scale, less its floor
    kernel = np.concatenate([weights.T, np.zeros((DIMS, latents))], axis=1)
    vae.encoder.set_weights([kernel, np.concatenate([-weights @ X.mean(axis=0), raw])])
    vae.decoder.layers[0].set_weights([loadings.T, X.mean(axis=0)])
    return vae


@pytest.mark.parametrize(("sigma", "above"), [(1.0, 3), (1.9, 1), (3.0, 0)])
def test_the_report_puts_it_beside_what_survived(sigma, above):
    report = collapse.diagnose(at_the_optimum(sigma), X)
    assert report.prediction.survivors == above == report.active.sum() == 4 - report.collapsed.sum()
    line = f"Linear prediction: at most {above} of 4 latents can survive at sigma = {sigma:g}; {above} "
    assert f"\n{line}{'is' if above == 1 else 'are'} active\n" in str(report)
    exceed = f"{above} eigenvalue{'' if above == 1 else 's'} of the data covariance exceed"
    assert exceed in report.advice


def test_where_nothing_collapsed_it_is_there_as_well():
    report = collapse.diagnose(at_the_optimum(0.5), X)
    assert (report.prediction.survivors, report.active.sum(), report.advice) == (4, 4, None)


@pytest.mark.parametrize("mode", [0.5, "learned", "optimal", "per_dimension", "per_pixel"])
def test_every_sigma_is_read_off_the_likelihood(mode):
    vae = linear_vae(Gaussian((DIMS,), mode))
    sigma = np.linspace(0.4, 1.5, DIMS)
    if mode in ("learned", "optimal"):
        vae.likelihood.assign_scale(0.5)
    elif mode == "per_dimension":
        vae.likelihood.assign_scale(sigma)
    elif mode == "per_pixel":
        raw = np.concatenate([0 * sigma, np.log(np.expm1(sigma - vae.likelihood.min_scale))])
        vae.likelihood.update(vae.likelihood(raw[None].astype(np.float32)), np.zeros((1, DIMS), np.float32))
    expected = collapse.linear_prediction(X, sigma if mode in ("per_dimension", "per_pixel") else 0.5, latent_dim=4)
    found = prediction_for(vae, X)
    assert found.survivors == expected.survivors
    np.testing.assert_allclose(found.eigenvalues, expected.eigenvalues, rtol=1e-5)


def test_advice_counts_the_same_eigenvalues():
    """A sigma for each dimension, which the eigenvalues of x alone would count otherwise."""
    sigma, _ = SIGMAS["each its own"]
    vae = linear_vae(Gaussian((DIMS,), "per_dimension"), latents=6)
    vae.likelihood.assign_scale(sigma)
    raw = np.log(np.expm1(1 - 1e-5))  # softplus makes it a scale of 1: the prior's
    vae.encoder.set_weights([np.zeros((DIMS, 12)), np.repeat([0.0, raw], 6)])
    report = collapse.diagnose(vae, X)
    assert report.prediction.survivors != np.count_nonzero(np.mean(sigma**2) < SPECTRUM)
    assert f"{report.prediction.survivors} eigenvalues of the data covariance exceed" in report.advice
    assert collapse.advice(vae, X) == report.advice


def test_the_weight_of_the_kl_counts():
    weights = {ELBO(): 1.0, ELBO(4.0): 4.0, ELBO(linear(5, end=2.0)): 2.0, IWAE(5): 1.0, GECO(1.0): math.exp(-0.5)}
    for objective, weight in weights.items():
        vae = linear_vae(Gaussian((DIMS,), 0.5), objective)
        if isinstance(objective, GECO):
            vae.objective_state["log_multiplier"].assign(0.5)
        found = prediction_for(vae, X)
        assert found.threshold == pytest.approx(0.25 * weight, rel=1e-6)
        assert ("kl_weight" in str(found)) == (weight != 1)


@pytest.mark.parametrize(
    ("likelihood", "objective"),
    [
        (Laplace((DIMS,), 0.5), None),
        (Gaussian((DIMS,), 0.5, quantised=True), None),
        (Gaussian((DIMS,), 0.5), FreeBits(0.1)),
        (Gaussian((DIMS,), 0.5), Capacity(3.0)),
        (Gaussian((DIMS,), 0.5), ELBO(0.0)),
    ],
)
def test_none_where_it_says_nothing(likelihood, objective):
    assert prediction_for(linear_vae(likelihood, objective), X) is None


def test_the_data_in_any_container():
    x = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    expected = linear_prediction(x, 0.5).eigenvalues
    for data in (sparse.csr_matrix(x), tf.data.Dataset.from_tensor_slices(x).batch(16), x.tolist()):
        np.testing.assert_allclose(linear_prediction(data, 0.5).eigenvalues, expected, rtol=1e-5)
