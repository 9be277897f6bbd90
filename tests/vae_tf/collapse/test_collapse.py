"""Measures of collapse, exact on a linear model whose weights are set by hand."""

import importlib
import re
import warnings

import numpy as np
import pytest
import tf_keras as keras
from models import SHAPE
from models import make_vae as digits_vae
from scipy import integrate, stats

import vae_tf
from vae_tf import collapse
from vae_tf.callbacks import CollapseMonitor, MSEEquivalence
from vae_tf.collapse._gap import whitened
from vae_tf.objectives import ELBO, linear
from vae_tf.posteriors import DiagonalNormal, FullCovarianceNormal, InverseAutoregressiveFlow
from vae_tf.priors import MixtureOfNormals, StandardNormal

SIGMA = 0.5
DIMS, LATENTS = 6, 3
RNG = np.random.default_rng(0)
W = RNG.normal(size=(DIMS, LATENTS))
M = W.T @ W + SIGMA**2 * np.eye(LATENTS)
C = W @ W.T + SIGMA**2 * np.eye(DIMS)
V = np.linalg.solve(M, W.T)
SCALE = SIGMA / np.sqrt(np.diag(M))  # of the best diagonal posterior
X = (RNG.normal(size=(700, LATENTS)) @ W.T + SIGMA * RNG.normal(size=(700, DIMS))).astype(np.float32)


def raw(scale):
    """What softplus turns into these scales, less their floor."""
    return np.log(np.expm1(np.asarray(scale, np.float64) - 1e-5))


def linear_vae(encoder_weights=V, scale=SCALE, *, decoder_weights=W, full=False, prior=None, objective=None):
    """x = W z + sigma eps, and z|x normal around V x: with its best scale, or its exact covariance."""
    latents, dims = encoder_weights.shape
    vae = vae_tf.VAE(
        vae_tf.networks.mlp_encoder((dims,), (FullCovarianceNormal if full else DiagonalNormal)(latents), hidden=()),
        vae_tf.networks.mlp_decoder(latents, vae_tf.likelihoods.Gaussian((dims,), SIGMA), hidden=()),
        prior or StandardNormal(latents),
        objective,
    )
    outputs = raw(scale)
    if full:
        tril = np.linalg.cholesky(SIGMA**2 * np.linalg.inv(M))
        tril[np.diag_indices(latents)] = raw(np.diag(tril))
        outputs = tril[np.tril_indices(latents)]
    kernel = np.concatenate([encoder_weights.T, np.zeros((dims, len(outputs)))], axis=1)
    vae.encoder.set_weights([kernel, np.concatenate([np.zeros(latents), outputs])])
    vae.decoder.layers[0].set_weights([decoder_weights.T, np.zeros(dims)])
    return vae


def kl_to_standard(mean, scale):
    return (scale**2 + mean**2 - 1) / 2 - np.log(scale)


# --- latent by latent ------------------------------------------------------------------------------------


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


# --- information -----------------------------------------------------------------------------------------


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


# --- gaps ------------------------------------------------------------------------------------------------


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


# --- advice ----------------------------------------------------------------------------------------------

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


# --- the report ------------------------------------------------------------------------------------------


def test_diagnose_gathers_all_of_it():
    vae = linear_vae(np.zeros((LATENTS, DIMS)), np.ones(LATENTS))
    report = collapse.diagnose(vae, X, gap_examples=3)
    assert report.kl.shape == (len(X), LATENTS)
    assert (report.collapsed.sum(), report.active.sum(), report.gap.gap.shape) == (3, 0, (3,))
    assert report.curve.tolist() == [1.0] * 50
    lines = str(report).splitlines()
    assert lines[:2] == ["Active units: 0 of 3", "Collapsed latents: 3 of 3"]
    assert lines[-1] == report.advice
    assert len(lines) == 7


def test_diagnose_without_a_kl_per_latent(digits):
    vae = digits_vae(posterior=InverseAutoregressiveFlow)
    report = collapse.diagnose(vae, digits[1][:50])
    assert report.kl is report.collapsed is report.curve is report.gap is None
    assert report.information.rate_standard_error > 0
    assert "Collapsed" not in str(report)
    gap = collapse.amortisation_gap(vae, digits[1][:4], steps=20)
    assert gap.gap.shape == (4,)
    assert gap.gap.mean() > 0


def test_data_that_do_not_fit_are_refused():
    vae = linear_vae()
    functions = (collapse.kl_per_latent, collapse.active_units, collapse.information, collapse.amortisation_gap)
    for function in (*functions, collapse.advice, collapse.diagnose):
        with pytest.raises(ValueError, match=r"Data: expected shape \[B, 6\]"):
            function(vae, X[:, :5])
    with pytest.raises(ValueError, match="NaN"):
        collapse.kl_per_latent(vae, np.full((2, DIMS), np.nan))
    with pytest.raises(ValueError, match="chunk_size"):
        collapse.kl_per_latent(vae, X, chunk_size=0)


# --- the callback ----------------------------------------------------------------------------------------


def test_monitor_logs_and_warns_once(digits, tmp_path):
    vae = digits_vae(vae_tf.likelihoods.Gaussian(SHAPE, scale=5.0), objective=ELBO(linear(2)))
    vae.compile(keras.optimizers.Adam(0.02))
    monitor, x = CollapseMonitor(digits[0][:100], every=2, eps=0.05), digits[0][:500]
    callbacks = [keras.callbacks.CSVLogger(tmp_path / "log.csv"), monitor, MSEEquivalence()]
    with pytest.warns(UserWarning, match="sigma = 5") as warned:
        history = vae.fit(x, epochs=5, verbose=0, callbacks=callbacks).history
    advice = [str(w.message) for w in warned if "collapsed" in str(w.message)]
    assert len(advice) == 1
    assert advice[0].startswith("4 of 4 latents collapsed: sigma = 5 is")
    kl = collapse.kl_per_latent(vae, digits[0][:100])
    assert history["collapsed_units"][-1] == 4
    assert history["active_units"][-1] == 0
    for name in ("kl_max", "kl_min", "active_units", "collapsed_units"):  # looks at epochs 1, 2 and 4
        assert history[name][1] == history[name][2]
        assert history[name][3] == history[name][4]
        assert name in (tmp_path / "log.csv").read_text()
    assert history["kl_max"][0] != history["kl_max"][1]
    assert history["beta_equivalent"][-1] == pytest.approx(25.0)  # the schedule has reached 1
    assert history["beta_equivalent"][0] == pytest.approx(12.5)
    logs = {}
    monitor.every = 1
    monitor.on_epoch_end(5, logs)
    assert logs["kl_max"] == pytest.approx(kl.mean(axis=0).max(), rel=1e-5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        monitor.on_train_end()


def test_monitor_refuses_other_models_and_data():
    with pytest.raises(ValueError, match="every"):
        CollapseMonitor(X, every=0)
    monitor = CollapseMonitor(X[:, :5])
    monitor.set_model(keras.Sequential([keras.layers.Dense(1)]))
    with pytest.raises(TypeError, match=r"Model of CollapseMonitor: expected a vae_tf.VAE, received Sequential"):
        monitor.on_train_begin()
    monitor.set_model(linear_vae())
    with pytest.raises(ValueError, match=r"Data: expected shape \[B, 6\]"):
        monitor.on_train_begin()


def test_the_measured_noise_is_deterministic(make_vae):
    from vae_tf.collapse._advice import measured_noise

    vae = make_vae(vae_tf.likelihoods.Poisson(SHAPE))
    x = np.random.default_rng(0).poisson(3.0, (8, *SHAPE)).astype(np.float32)
    assert measured_noise(vae, x, 256) == measured_noise(vae, x, 256)
    heavy = make_vae(vae_tf.likelihoods.StudentT(SHAPE, df=1.5, scale=0.3))
    assert measured_noise(heavy, x, 256)[0] == pytest.approx(0.3), "without a variance, its scale"


# --- arguments are used ------------------------------------------------------------------------------------


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


def test_the_threshold_of_the_monitor_counts_in_its_last_warning(flow_vae, digits):
    x = digits[1][:50]
    for threshold, expected in ((1e9, True), (0.0, False)):
        monitor = CollapseMonitor(x, threshold=threshold)
        monitor.set_model(flow_vae)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            monitor.on_train_end()
        assert [str(w.message).startswith("4 of 4 latents collapsed") for w in caught] == [True] * expected


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


def test_the_chunk_size_of_diagnose_holds_for_the_gap_too(monkeypatch):
    seen = []
    report = importlib.import_module("vae_tf.collapse._report")
    gap = collapse.Gap(np.zeros(2), np.zeros(2))
    monkeypatch.setattr(report, "amortisation_gap", lambda vae, x, *, seed, chunk_size: seen.append(chunk_size) or gap)
    for size in (5, 1000):
        collapse.diagnose(linear_vae(), X[:40], gap_examples=2, chunk_size=size)
    assert seen == [5, 64]
