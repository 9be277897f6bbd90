"""LinearVAE: exact values against references and draws, its optimum against pPCA, and all that a VAE can do."""

import numpy as np
import pytest
import tf_keras as keras
from scipy import stats

import vae_tf
from vae_tf import collapse, evaluation
from vae_tf.objectives import ELBO, GECO, IWAE, FreeBits
from vae_tf.ppca import PPCA

SHAPE, DIMS, LATENT_DIM, COUNT = (3, 4), 12, 4, 300
SCALES = ("learned", "optimal", 0.6)


@pytest.fixture(scope="module")
def data():
    """Images whose covariance has eigenvalues well apart: rows, covariance, mean."""
    rng = np.random.default_rng(0)
    axes, _ = np.linalg.qr(rng.standard_normal((DIMS, DIMS)))
    scales = np.array([2.0, 1.5, 1.1, 0.8, *np.full(DIMS - 4, 0.3)])
    rows = rng.standard_normal((COUNT, DIMS)) * scales @ axes.T + rng.standard_normal(DIMS)
    return rows, np.cov(rows.T, ddof=0), rows.mean(axis=0)


def images(rows):
    return rows.reshape(-1, *SHAPE).astype(np.float32)


def make(scale="optimal", *, learning_rate=0.02, objective=None, seed=0):
    keras.utils.set_random_seed(seed)
    vae = vae_tf.LinearVAE(LATENT_DIM, SHAPE, scale=scale, objective=objective, seed=seed)
    vae.compile(keras.optimizers.Adam(learning_rate))
    return vae


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


# --- a VAE like any other --------------------------------------------------------------------------------------------


def test_fit_goes_on_where_a_saved_model_stopped(data, tmp_path):
    x = images(data[0])
    whole, half = make(), make()
    whole.fit(x, epochs=4, verbose=0)
    half.fit(x, epochs=2, verbose=0)
    half.save(tmp_path / "half.keras")
    loaded = vae_tf.load(tmp_path / "half.keras")
    assert isinstance(loaded, vae_tf.LinearVAE)
    assert loaded.encoder.layers[0].mean is loaded.decoder.layers[0].bias
    loaded.fit(x, initial_epoch=2, epochs=4, verbose=0)
    for expected, found in zip(whole.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(expected, found)


def test_fit_covariance_goes_on_as_well(data, tmp_path):
    _, covariance, mean = data
    whole, half = make("learned"), make("learned")
    whole.fit_covariance(covariance, mean, COUNT, 40)
    half.fit_covariance(covariance, mean, COUNT, 20)
    half.save(tmp_path / "half.keras")
    loaded = vae_tf.load(tmp_path / "half.keras")
    history = loaded.fit_covariance(covariance, mean, COUNT, 20)
    assert int(loaded.optimizer.iterations) == 40
    assert history.history["elbo"][-1] == pytest.approx(whole.elbo_from_covariance(covariance, mean), abs=1e-5)


def test_callbacks_see_and_stop_it(data):
    _, covariance, mean = data
    vae = make("learned")
    stop = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: setattr(vae, "stop_training", epoch == 1))
    monitors = [vae_tf.callbacks.MSEEquivalence(), vae_tf.callbacks.CollapseMonitor(images(data[0]), eps=1e-9)]
    history = vae.fit_covariance(covariance, mean, COUNT, 95, steps_per_epoch=20, callbacks=[*monitors, stop])
    assert len(history.history["loss"]) == 2
    assert int(vae.optimizer.iterations) == 40
    assert history.history["sigma"][-1] == pytest.approx(float(vae.likelihood.scale))
    assert history.history["active_units"][-1] == 4


def test_the_last_epoch_may_be_shorter(data):
    _, covariance, mean = data
    vae = make()
    assert len(vae.fit_covariance(covariance, mean, COUNT, 25, steps_per_epoch=10).history["elbo"]) == 3
    assert int(vae.optimizer.iterations) == 25


def test_evaluation_agrees_with_the_exact_log_prob(data):
    """The importance-weighted bound at the true posterior's mean field; 5 standard errors."""
    rows, covariance, mean = data
    vae = make()
    vae.fit_covariance(covariance, mean, COUNT, 800)
    x = images(rows[:50])
    estimate = evaluation.log_likelihood(vae, x, num_samples=200, seed=0)
    np.testing.assert_allclose(estimate.values.mean(), vae.log_prob(x).mean(), atol=0.05)


def test_encoder_is_a_model_of_its_own(untrained, data, tmp_path):
    x = images(data[0][:5])
    untrained.encoder.save(tmp_path / "encoder.keras")
    loaded = keras.models.load_model(tmp_path / "encoder.keras")
    np.testing.assert_allclose(loaded(x).mean(), untrained.encoder(x).mean(), rtol=1e-6)
    np.testing.assert_allclose(loaded(x).stddev(), untrained.encoder(x).stddev(), rtol=1e-6)


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("latent_dim", [12, 13, 0])
def test_more_latents_than_dimensions_are_refused(latent_dim):
    with pytest.raises(ValueError, match=r"latent_dim: expected (fewer than the 12 dimensions|a whole number)"):
        vae_tf.LinearVAE(latent_dim, SHAPE)


@pytest.mark.parametrize("scale", ["per_pixel", "per_dimension", 0, -1.0, float("nan")])
def test_other_scales_are_refused(scale):
    with pytest.raises(ValueError, match="scale: expected"):
        vae_tf.LinearVAE(2, SHAPE, scale=scale)


def break_symmetry(covariance, mean):
    covariance[0, 1] += 1
    return covariance, mean


def put_nan(covariance, mean):
    covariance[2, 2] = np.nan
    return covariance, mean


BROKEN = {
    "symmetric": break_symmetry,
    "finite": put_nan,
    "square": lambda covariance, mean: (covariance[:5], mean),
    "negative eigenvalue": lambda covariance, mean: (-covariance, mean),
    r"shapes \(12, 12\) and \(12,\)": lambda covariance, mean: (covariance[:5, :5], mean),
    r"and \(12,\), of the flattened": lambda covariance, mean: (covariance, mean[:4]),
    "finite arrays": lambda covariance, mean: (covariance, mean * np.inf),
}


@pytest.mark.parametrize("message", BROKEN)
def test_broken_moments_are_refused(data, message):
    moments = BROKEN[message](data[1].copy(), data[2].copy())
    vae = make()
    before = vae.get_weights()
    with pytest.raises(ValueError, match=message):
        vae.fit_covariance(*moments, COUNT, 5)
    with pytest.raises(ValueError, match=message):
        vae.elbo_from_covariance(*moments)
    for expected, found in zip(before, vae.get_weights(), strict=True):
        np.testing.assert_array_equal(expected, found)


@pytest.mark.parametrize(("n", "steps", "options", "message"), [
    (LATENT_DIM, 5, {}, "n: expected more than latent_dim = 4"),
    (0, 5, {}, "n: expected a whole number"),
    (COUNT, 0, {}, "steps: expected"),
    (COUNT, 5, {"steps_per_epoch": 0}, "steps_per_epoch: expected"),
])  # fmt: skip
def test_bad_numbers_are_refused(data, n, steps, options, message):
    with pytest.raises(ValueError, match=message):
        make().fit_covariance(*data[1:], n, steps, **options)


def test_objectives_that_cannot_are_refused(data):
    with pytest.raises(ValueError, match=r"objective: expected one of distortion and rate.*fit, which draws z"):
        make(objective=IWAE(5)).fit_covariance(*data[1:], COUNT, 5, train_encoder=True)
    for objective in (FreeBits(0.5), ELBO(2.0)):
        with pytest.raises(ValueError, match=r"objective: expected ELBO\(\).*train_encoder=True"):
            make(objective=objective).fit_covariance(*data[1:], COUNT, 5)


def test_it_must_be_compiled_and_take_data_of_its_shape(data):
    vae = vae_tf.LinearVAE(LATENT_DIM, SHAPE)
    with pytest.raises(RuntimeError, match="compile"):
        vae.fit_covariance(*data[1:], COUNT, 5)
    for method in (vae.log_prob, vae.elbo, vae.gap):
        with pytest.raises(ValueError, match=r"expected shape \[B, 3, 4\]"):
            method(data[0])
