"""Posteriors and priors inside a VAE: training, logs, saving, and errors."""

import cases
import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from marks import integration_but
from models import SHAPE
from scipy import special, stats
from tensorflow_probability import distributions as tfd

import vae_tf
from vae_tf.objectives import ELBO
from vae_tf.posteriors import DiagonalNormal, FullCovarianceNormal, InverseAutoregressiveFlow
from vae_tf.priors import FlowPrior, MixtureOfNormals, StandardNormal, VampPrior

PAIRS = {
    "full_covariance": (FullCovarianceNormal, StandardNormal),
    "flow": (lambda d: InverseAutoregressiveFlow(d, 2, 16), StandardNormal),
    "mixture": (DiagonalNormal, lambda d: MixtureOfNormals(d, 3)),
    "vamp": (FullCovarianceNormal, lambda d: VampPrior(d, (6, *SHAPE))),
    "flow_prior": (DiagonalNormal, lambda d: FlowPrior(d, 2, 16)),
}


@pytest.mark.parametrize("name", integration_but(PAIRS, "full_covariance", "mixture"))
def test_it_trains_logs_how_it_took_the_kl_and_survives_a_file(make_vae, digits, tmp_path, name):
    posterior, prior = PAIRS[name]
    vae = make_vae(posterior=posterior, prior=prior)
    before = [weight.numpy() for weight in vae.prior.trainable_weights]
    history = vae.fit(digits[0][:256], batch_size=64, epochs=2, validation_data=digits[1][:64], verbose=0).history
    assert history["val_loss"][1] < history["val_loss"][0]
    for prefix in ("", "val_"):
        sampled = history.get(f"{prefix}rate_num_samples")
        assert sampled == (None if name == "full_covariance" else [1.0, 1.0])
        assert history[f"{prefix}elbo"] == pytest.approx([-loss for loss in history[f"{prefix}loss"]])
    moved = [np.abs(weight - old).max() for weight, old in zip(vae.prior.trainable_weights, before, strict=True)]
    assert all(moved), "every weight of the prior is trained"
    assert len({id(weight) for weight in vae.trainable_weights}) == len(vae.trainable_weights)
    vae.save(tmp_path / "vae.keras")
    loaded = vae_tf.load(tmp_path / "vae.keras")
    assert loaded.evaluate(digits[1][:64], verbose=0) == pytest.approx(vae.evaluate(digits[1][:64], verbose=0))
    np.testing.assert_array_equal(loaded.sample(3, seed=0), vae.sample(3, seed=0))


def test_the_sampled_kl_is_the_closed_form_on_average(make_vae, digits):
    """Both paths of the rate, on the same model: a prior that hides its closed form. Six standard errors, p < 2e-9."""

    class Hidden(StandardNormal):
        def closed_form(self, q):
            return None

    x = digits[1][:32]
    exact = make_vae().evaluate(x, verbose=0, return_dict=True)
    sampled = make_vae(prior=Hidden, objective=ELBO(num_samples=500)).evaluate(x, verbose=0, return_dict=True)
    assert sampled["rate_num_samples"] == 500
    assert "rate_num_samples" not in exact
    # log q - log p has a standard deviation of about sqrt(D) = 2 at each of 16,000 draws
    assert sampled["rate"] == pytest.approx(exact["rate"], abs=6 * 2 / np.sqrt(32 * 500))


def test_full_covariance_of_a_triangle_by_hand():
    layer = FullCovarianceNormal(3, min_scale=0.5)
    raw = np.array([[1, 2, 3, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]], np.float32)
    parameters = layer.parameters_of(layer(raw))
    softplus = np.log1p(np.exp([0.1, 0.3, 0.6])) + 0.5
    expected = [[softplus[0], 0, 0], [0.2, softplus[1], 0], [0.4, 0.5, softplus[2]]]
    np.testing.assert_allclose(parameters["loc"], [[1, 2, 3]])
    np.testing.assert_allclose(parameters["scale_tril"][0], expected, rtol=1e-6)


def test_full_covariance_kl_by_numpy():
    layer = FullCovarianceNormal(3)
    q = layer(np.random.default_rng(0).normal(size=(4, 9)).astype(np.float32))
    loc, tril = (layer.parameters_of(q)[name].numpy().astype(np.float64) for name in ("loc", "scale_tril"))
    covariance = tril @ tril.swapaxes(1, 2)
    log_det = np.linalg.slogdet(covariance)[1]
    expected = 0.5 * (np.trace(covariance, axis1=1, axis2=2) + (loc**2).sum(1) - 3 - log_det)
    np.testing.assert_allclose(StandardNormal(3).closed_form(q), expected, rtol=1e-5)


def test_the_flow_is_autoregressive():
    """Each step's Jacobian has one triangle: latent i depends on those before it (in the step's own order)."""
    layer = InverseAutoregressiveFlow(5, flows=1, units=8)
    q = layer(np.random.default_rng(1).normal(size=(1, 18)).astype(np.float32))
    noise = tf.constant(np.random.default_rng(2).normal(size=(1, 5)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(noise)
        z = layer.draw(noise, layer.parameters_of(q))[0]
    jacobian = tape.jacobian(z, noise)[0, ::-1, 0].numpy()  # the step reverses the order
    np.testing.assert_array_equal(np.triu(jacobian, 1), 0)
    assert np.abs(jacobian[np.tril_indices(5)]).min() > 0
    assert z.shape == (1, 5)


def test_the_flow_prior_starts_as_the_standard_normal():
    z = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)
    np.testing.assert_allclose(FlowPrior(4).log_prob(z), StandardNormal(4).log_prob(z), rtol=1e-5)


def test_the_mixture_by_scipy():
    prior = cases.PRIORS["mixture"](2)
    logits, loc, scale = (np.asarray(value, np.float64) for value in (prior.logits, prior.loc, prior.scale))
    z = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)
    parts = stats.norm.pdf(z[:, None].astype(np.float64), loc, scale).prod(axis=-1)
    np.testing.assert_allclose(prior.log_prob(z), np.log(parts @ special.softmax(logits)), rtol=1e-5)


def test_the_vamp_prior_is_the_average_of_its_posteriors(make_vae):
    inputs = np.random.default_rng(0).random((6, *SHAPE))
    vae = make_vae(prior=lambda d: VampPrior(d, inputs))
    q = vae.encoder(inputs.astype(np.float32))
    z = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    parts = [tfd.Independent(tfd.Normal(q.mean()[i], q.stddev()[i]), 1).log_prob(z).numpy() for i in range(6)]
    np.testing.assert_allclose(vae.prior.log_prob(z), np.log(np.mean(np.exp(parts), axis=0)), rtol=1e-5)


def test_a_prior_of_networks_computes_in_float32_under_mixed_precision():
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        assert FlowPrior(3, 2, 8).log_prob(tf.zeros((2, 3))).dtype == tf.float32
    finally:
        keras.mixed_precision.set_global_policy("float32")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MixtureOfNormals(2, 0), "components: expected a whole number of at least 1, received 0"),
        (lambda: MixtureOfNormals(2, 3, min_scale=0.0), "min_scale: expected"),
        (lambda: FlowPrior(1), "latent_dim of FlowPrior: expected at least 2"),
        (lambda: FlowPrior(4, flows=0), "flows: expected"),
        (lambda: VampPrior(2, (5,)), r"pseudo_inputs: expected finite examples \[C, \*E\]"),
        (lambda: VampPrior(2, (0, 8, 8, 1)), "pseudo_inputs: expected"),
        (lambda: VampPrior(2, np.full((2, 3), np.nan)), "pseudo_inputs: expected finite examples"),
        (lambda: InverseAutoregressiveFlow(2, flows=0), "flows: expected"),
        (lambda: InverseAutoregressiveFlow(2, units=0), "units: expected"),
        (lambda: FullCovarianceNormal(0), "latent_dim: expected"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_prior_that_does_not_fit(make_vae):
    with pytest.raises(ValueError, match=r"latent_dim of the prior: expected 4, .*received 5"):
        make_vae(prior=lambda d: MixtureOfNormals(5, 2))
    with pytest.raises(ValueError, match=r"Shape of a pseudo-input of VampPrior: expected \(8, 8, 1\).*\(28, 28, 1\)"):
        make_vae(prior=lambda d: VampPrior(d, (3, 28, 28, 1)))
    with pytest.raises(ValueError, match=r"beside VampPrior: expected a normal one.*received InverseAuto"):
        make_vae(prior=lambda d: VampPrior(d, (3, *SHAPE)), posterior=InverseAutoregressiveFlow)


def test_a_vamp_prior_has_one_vae(make_vae):
    prior = VampPrior(4, (3, *SHAPE))
    make_vae(prior=lambda d: prior)
    with pytest.raises(ValueError, match="VampPrior: expected one VAE"):
        make_vae(prior=lambda d: prior)
