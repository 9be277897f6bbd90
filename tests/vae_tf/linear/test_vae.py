"""LinearVAE: exact values against references and draws, and its optimum against pPCA."""

import numpy as np
import pytest
import tf_keras as keras
from linear_problem import COUNT, DIMS, LATENT_DIM, images, make, problem
from scipy import stats

import vae_tf
from vae_tf import collapse, evaluation
from vae_tf.objectives import ELBO, GECO, FreeBits
from vae_tf.ppca import PPCA

SCALES = ("learned", "optimal", 0.6)


@pytest.fixture(scope="module")
def data():
    return problem()


@pytest.fixture(scope="module")
def untrained(data):
    """A model far from its optimum, mean and variances included."""
    vae, rng = make(0.5), np.random.default_rng(1)
    for weight in vae.trainable_variables:
        weight.assign(rng.normal(scale=0.5, size=weight.shape))
    return vae


# --- exact values ----------------------------------------------------------------------------------------------------


def test_log_prob_is_that_of_the_marginal(untrained, data):
    model = untrained.linear_gaussian
    covariance = model.loadings @ model.loadings.T + model.sigma2 * np.eye(DIMS)
    x = images(data[0])
    expected = stats.multivariate_normal(model.mean, covariance).logpdf(x.reshape(COUNT, DIMS).astype(np.float64))
    np.testing.assert_allclose(untrained.log_prob(x), expected, rtol=1e-9)


def test_elbo_is_the_expectation_of_what_fit_maximises(untrained, data):
    """Averages of 4,000 draws, 8 images: |t| < 5 for all but one test in 200,000."""
    x = images(data[0][:8])
    estimate = evaluation.elbo(untrained, x, num_samples=4000, seed=0)
    error = np.sqrt(np.mean(np.square(untrained.elbo(x) - estimate.values)))
    draws = np.stack([np.add(*(-term.numpy() for term in untrained.terms(x, seed=i))) for i in range(40)])
    assert error < 5 * draws.std() / np.sqrt(4000)
    rate = untrained.linear_gaussian.terms(x.reshape(8, DIMS), *untrained.linear_encoder)[1]
    np.testing.assert_allclose(untrained.terms(x).rate, rate, rtol=1e-5)


def test_gap_is_log_prob_less_elbo(untrained, data):
    x = images(data[0])
    np.testing.assert_allclose(untrained.log_prob(x) - untrained.elbo(x), untrained.gap(x), rtol=1e-9)
    assert (untrained.gap(x) > untrained.gap()).all()


def test_optimal_encoder_leaves_the_closed_form_gap(untrained, data):
    vae, x = make(0.5), images(data[0])
    vae.set_weights(untrained.get_weights())
    weights, variance = vae.optimal_encoder(assign=True)
    np.testing.assert_allclose(vae.linear_encoder[0], weights, rtol=1e-6)
    np.testing.assert_allclose(vae.linear_encoder[1], variance, rtol=1e-5)
    np.testing.assert_allclose(vae.gap(x), vae.gap(), rtol=1e-9)
    assert vae.gap() > 0.01


def test_elbo_from_covariance_is_the_mean(untrained, data):
    rows = images(data[0]).reshape(COUNT, DIMS).astype(np.float64)
    found = untrained.elbo_from_covariance(np.cov(rows.T, ddof=0), rows.mean(axis=0))
    assert found == pytest.approx(untrained.elbo(images(data[0])).mean(), rel=1e-9)


def test_principal_axes_are_the_columns_longest_first(untrained):
    loadings, axes = untrained.linear_gaussian.loadings, untrained.principal_axes()
    np.testing.assert_allclose(np.linalg.norm(axes, axis=1), 1)
    lengths = np.abs(axes @ loadings).max(axis=1)
    assert (np.diff(lengths) < 0).all()


# --- the optimum -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("train_encoder", [False, True])
@pytest.mark.parametrize("scale", SCALES)
def test_fit_covariance_reaches_the_maximum_of_log_prob(data, scale, train_encoder):
    rows, covariance, mean = data
    ppca = PPCA(LATENT_DIM).fit(rows)
    vae = make(scale)
    vae.optimizer.learning_rate = keras.optimizers.schedules.CosineDecay(0.05, 4000)
    history = vae.fit_covariance(
        covariance, mean, COUNT, 4000, train_encoder=train_encoder, steps_per_epoch=500
    ).history
    sigma2 = 0.6**2 if scale == 0.6 else ppca.sigma2_
    maximum = float(ppca.log_likelihood_curve(sigma2))
    assert len(history["elbo"]) == 8
    assert max(history["elbo"]) <= ppca.log_likelihood_ + 1e-9
    assert history["elbo"][-1] == pytest.approx(maximum, abs=1e-5)
    assert history["loss"][-1] == pytest.approx(-maximum, abs=1e-5)
    assert history["distortion"][-1] + history["rate"][-1] == pytest.approx(-history["elbo"][-1])
    assert float(vae.likelihood.scale) ** 2 == pytest.approx(sigma2, rel=1e-3)
    np.testing.assert_allclose(vae.linear_gaussian.mean, mean, atol=1e-6)
    cosines = np.abs((vae.principal_axes() * ppca.components_).sum(axis=1))
    assert cosines.min() > 0.9999
    kl = np.sort(collapse.kl_per_latent(vae, images(rows)).mean(axis=0))[::-1]
    np.testing.assert_allclose(kl, 0.5 * np.log(ppca.explained_variance_ / sigma2), atol=1e-3)


def test_fixed_sigma_keeps_the_latents_above_it(data):
    rows, covariance, mean = data
    ppca = PPCA(LATENT_DIM).fit(rows)
    for sigma, expected in ((1.3, 2), (3.0, 0)):
        vae = make(sigma, learning_rate=0.05)
        vae.fit_covariance(covariance, mean, COUNT, 1500)
        assert ppca.active_latents(sigma**2) == expected
        assert (~collapse.collapsed(vae, images(rows))).sum() == expected


@pytest.mark.integration
def test_fit_comes_to_the_same_optimum(data):
    """By draws of z, in batches, through Keras' fit; the remaining noise of the gradients costs less than 0.1 nats."""
    rows = data[0]
    vae = make("optimal")
    vae.optimizer.learning_rate = keras.optimizers.schedules.CosineDecay(0.05, 60 * 6)
    vae.fit(images(rows), batch_size=50, epochs=60, verbose=0, callbacks=[vae_tf.callbacks.MSEEquivalence()])
    maximum = PPCA(LATENT_DIM).fit(rows).log_likelihood_
    assert maximum - 0.1 < vae.elbo(images(rows)).mean() <= maximum + 1e-6


def test_other_objectives_train_with_their_encoder(data):
    _, covariance, mean = data
    free = make(0.5, objective=FreeBits(1.0))
    free.fit_covariance(covariance, mean, COUNT, 600, train_encoder=True)
    plain = make(0.5)
    plain.fit_covariance(covariance, mean, COUNT, 600, train_encoder=True)
    rates = [vae.linear_gaussian.expected_terms(covariance, *vae.linear_encoder)[1] for vae in (free, plain)]
    assert rates[0] > rates[1]
    geco = make(0.5, objective=GECO(6.0))
    before = float(geco.objective_state["log_multiplier"])
    geco.fit_covariance(covariance, mean, COUNT, 50, train_encoder=True)
    assert float(geco.objective_state["log_multiplier"]) != before


def test_beta_is_a_sigma(data):
    """kl_weight beta at sigma^2 has the optimum of sigma^2 beta."""
    _, covariance, mean = data
    loadings = []
    for scale, beta in ((0.5, 4.0), (1.0, 1.0)):
        vae = make(scale, objective=ELBO(beta))
        vae.optimizer.learning_rate = keras.optimizers.schedules.CosineDecay(0.05, 2000)
        vae.fit_covariance(covariance, mean, COUNT, 2000, train_encoder=True)
        model = vae.linear_gaussian
        loadings.append(model.loadings @ model.loadings.T)
    np.testing.assert_allclose(*loadings, atol=0.02)
