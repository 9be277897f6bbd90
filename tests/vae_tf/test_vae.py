"""The VAE: its loss is -log p plus KL, by an independent computation; and it behaves as a Keras model."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from marks import integration_but
from models import SCALES, SHAPE, binary, make_likelihood
from scipy import stats

import vae_tf
from vae_tf.likelihoods import Gaussian
from vae_tf.objectives import ELBO

ALL = (*SCALES, "bernoulli")


class Recorder(keras.callbacks.Callback):
    """Keeps the logs of every batch."""

    def __init__(self):
        super().__init__()
        self.batches = []

    def on_train_batch_end(self, batch, logs=None):
        self.batches.append(dict(logs))


def independent_terms(vae, x, seed):
    """-log p(x|z) and KL in numpy and scipy, from the networks' raw outputs and TensorFlow's noise alone."""
    loc, raw = np.split(network(vae.encoder, vae.posterior)(x).numpy().astype(np.float64), 2, axis=-1)
    scale = vae.posterior.min_scale + np.logaddexp(0, raw)
    z = loc + scale * posterior_noise(vae, len(x), seed)
    out = network(vae.decoder, vae.likelihood)(z.astype(np.float32)).numpy().astype(np.float64)
    kl = 0.5 * (loc**2 + scale**2 - 1 - 2 * np.log(scale)).sum(axis=1)
    likelihood = vae.likelihood
    out = out.reshape(len(x), *likelihood.parameter_shape)
    if not isinstance(likelihood, Gaussian):
        log_prob = stats.bernoulli.logpmf(x, 1 / (1 + np.exp(-out)))
    elif likelihood.get_config()["scale"] == "per_pixel":
        mean, raw = np.split(out, 2, axis=-1)
        log_prob = stats.norm.logpdf(x, mean, likelihood.min_scale + np.logaddexp(0, raw))
    else:
        log_prob = stats.norm.logpdf(x, out, np.asarray(likelihood.scale, np.float64))
    return -log_prob.sum(axis=(1, 2, 3)), kl


def network(model, last):
    """The model without its distribution layer."""
    return keras.Model(model.inputs, last.input)


def posterior_noise(vae, batch, seed):
    """What q.sample draws for a standard normal q at this seed."""
    q = vae.posterior.distribution(
        {"loc": tf.zeros((batch, vae.latent_dim)), "scale": tf.ones((batch, vae.latent_dim))}
    )
    return q.sample(seed=tf.constant(seed, tf.int32)).numpy()


def trained(make_vae, name, x, **arguments):
    vae = make_vae(make_likelihood(name), **arguments)
    vae.fit(x[:64], epochs=1, verbose=0)
    return vae


@pytest.fixture
def images(digits):
    def choose(name):
        return binary(digits[1]) if name == "bernoulli" else digits[1]

    return choose


@pytest.mark.parametrize("name", integration_but(ALL, "optimal", "per_pixel", "bernoulli"))
def test_evaluate_is_the_independent_negative_elbo(make_vae, images, name):
    x = images(name)
    vae = trained(make_vae, name, x, objective=ELBO(kl_weight=0.7))
    x = x[:45]  # a last partial batch at 7 and at 32
    for batch_size in (1, 7, 32):
        logs = vae.evaluate(x, batch_size=batch_size, verbose=0, return_dict=True)
        starts = range(0, len(x), batch_size)
        terms = [independent_terms(vae, x[i : i + batch_size], (-1, i // batch_size)) for i in starts]
        distortion, rate = (np.concatenate(part).mean() for part in zip(*terms, strict=True))
        assert logs["distortion"] == pytest.approx(distortion, rel=1e-5)
        assert logs["rate"] == pytest.approx(rate, rel=1e-5)
        assert logs["loss"] == pytest.approx(distortion + 0.7 * rate, rel=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_train_step_minimises_the_independent_loss(make_vae, images, name):
    """The first step's loss, at sigma as that batch has set it."""
    x = images(name)[:32]
    vae, twin = make_vae(make_likelihood(name)), make_vae(make_likelihood(name))
    logs = vae.train_on_batch(x, return_dict=True)
    z = twin.encoder(x).sample(seed=tf.constant([0, 0], tf.int32))
    twin.likelihood.update(twin.decoder(z), x)
    distortion, rate = independent_terms(twin, x, (0, 0))
    assert logs["loss"] == pytest.approx(distortion.mean() + rate.mean(), rel=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_terms_are_per_example(make_vae, images, name):
    x = images(name)[:9]
    vae = trained(make_vae, name, images(name))
    distortion, rate = vae.terms(x, seed=5)
    expected = independent_terms(vae, x, (5, 0))
    np.testing.assert_allclose(distortion, expected[0], rtol=1e-5)
    np.testing.assert_allclose(rate, expected[1], rtol=1e-5)


@pytest.mark.parametrize("kl_weight", integration_but([0.0, 0.5, 1.0, 4.0], 0.0, 4.0))
def test_fit_logs_are_distortion_plus_weighted_rate(make_vae, digits, kl_weight):
    vae = make_vae(objective=ELBO(kl_weight=kl_weight))
    history = vae.fit(digits[0][:50], batch_size=32, epochs=2, validation_data=digits[1][:50], verbose=0).history
    for prefix in ("", "val_"):
        for i in range(2):
            loss, distortion, rate = (history[prefix + name][i] for name in ("loss", "distortion", "rate"))
            assert loss == pytest.approx(distortion + kl_weight * rate, rel=1e-5, abs=1e-4)


def test_evaluate_does_not_depend_on_what_ran_before(make_vae, digits):
    vae = make_vae()
    first = vae.evaluate(digits[1], verbose=0)
    vae.evaluate(digits[0][:70], verbose=0)
    assert vae.evaluate(digits[1], verbose=0) == first


def test_calls_return_distributions(make_vae, digits):
    vae = make_vae()
    p, q = vae(digits[1][:4]), vae.encoder(digits[1][:4])
    assert (p.batch_shape, p.event_shape) == ((4,), SHAPE)
    assert (q.batch_shape, q.event_shape) == ((4,), (4,))
    assert p.log_prob(digits[1][:4]).shape == (4,)
    assert p.sample(seed=1).shape == (4, *SHAPE)


def test_call_draws_and_predict_does_not(make_vae, digits):
    vae = make_vae()
    x = digits[1][:4]
    assert not np.array_equal(vae(x).mean(), vae(x).mean())
    expected = vae.decoder(vae.encoder(x).mean()).mean()
    np.testing.assert_allclose(vae.predict(x, verbose=0), expected, rtol=1e-5)
    np.testing.assert_allclose(vae.reconstruct(x), expected, rtol=1e-5)
    np.testing.assert_allclose(vae.encode(x), vae.encoder(x).mean(), rtol=1e-5)


@pytest.mark.parametrize("name", [0.5, "bernoulli"])
def test_samples_have_the_law_of_the_model(make_vae, name):
    vae = make_vae(make_likelihood(name))
    x = vae.sample(4000, seed=3)
    mean = vae.sample(4000, seed=3, observation_noise=False)
    assert x.shape == mean.shape == (4000, *SHAPE)
    variance = 0.25 if name == 0.5 else (mean * (1 - mean)).mean()
    # 256,000 residuals: the standard error of their variance is under 0.3 %; six of them, p < 1e-8
    assert np.mean((x - mean) ** 2) == pytest.approx(variance, rel=0.02)
    np.testing.assert_array_equal(x, vae.sample(4000, seed=3))
    assert not np.array_equal(x, vae.sample(4000, seed=4))


def test_validation_split_keeps_the_last_part(make_vae, digits):
    x = digits[0][:100]
    history = make_vae().fit(x, validation_split=0.2, verbose=0).history
    expected = make_vae().fit(x[:80], validation_data=x[80:], verbose=0).history
    assert history == expected


def test_denoising_scores_the_target(make_vae, digits):
    x, noisy = digits[1][:20], digits[1][:20] + 0.1
    distortion, _ = make_vae().terms(noisy, x)
    other, _ = make_vae().terms(noisy)
    assert not np.allclose(distortion, other)


def test_sample_weights(make_vae, digits):
    """Weights of 0 and 2 are as if the examples of weight 0 were not there."""
    x = digits[1][:32]
    weight = np.repeat([0.0, 2.0], 16).astype(np.float32)
    vae = make_vae(make_likelihood(0.3))
    distortion, rate = independent_terms(vae, x, (0, 0))
    logs = vae.train_on_batch(x, x, sample_weight=weight, return_dict=True)
    assert logs["loss"] == pytest.approx((distortion + rate)[16:].mean(), rel=1e-5)
    assert logs["loss"] == pytest.approx(logs["distortion"] + logs["rate"], rel=1e-5)
    vae.fit(x, sample_weight=weight, verbose=0)


def test_evaluate_returns_the_loss_first(make_vae, digits):
    vae = make_vae()
    logs = vae.evaluate(digits[1][:20], verbose=0, return_dict=True)
    assert vae.evaluate(digits[1][:20], verbose=0) == list(logs.values())
    assert list(logs) == ["loss", "distortion", "rate", "elbo"]


def test_metrics_are_computed_on_the_mean(make_vae, digits):
    vae = make_vae(metrics=["mse"])
    logs = vae.evaluate(digits[1][:20], verbose=0, return_dict=True)
    assert logs["mse"] > 0
    assert vae.metrics_names == ["loss", "distortion", "rate", "mse", "elbo"]
    assert vae.fit(digits[1][:20], verbose=0).history.keys() == logs.keys()


def test_regularisation_is_trained_on_and_logged_beside_the_loss(digits):
    x = keras.Input(SHAPE)
    h = keras.layers.Dense(8, kernel_regularizer="l2")(keras.layers.Flatten()(x))
    encoder = keras.Model(x, vae_tf.posteriors.DiagonalNormal(4)(h))
    decoder = vae_tf.networks.mlp_decoder(4, Gaussian(SHAPE, scale=1e4), hidden=())
    vae = vae_tf.VAE(encoder, decoder, vae_tf.priors.StandardNormal(4), ELBO(kl_weight=0.0))
    vae.compile(keras.optimizers.SGD(0.5))
    before = float(vae.losses[0])
    logs = vae.fit(digits[0][:64], epochs=10, batch_size=8, verbose=0).history
    assert float(vae.losses[0]) < 0.5 * before, "0.99^80 of the weights is left"
    assert logs["loss"] == pytest.approx(logs["distortion"])
    assert logs["regularization"][-1] > 0


def test_the_networks_of_others_go_in_as_they_are(digits):
    class Encoder(keras.Model):
        def __init__(self):
            super().__init__()
            self.hidden = keras.layers.Dense(8)
            self.posterior = vae_tf.posteriors.DiagonalNormal(4)

        def call(self, x):
            return self.posterior(self.hidden(keras.layers.Flatten()(x)))

    z = keras.Input((4,))
    decoder = keras.Model(z, Gaussian(SHAPE)(keras.layers.Dense(64)(z)))
    vae = vae_tf.VAE(Encoder(), decoder, vae_tf.priors.StandardNormal(4))
    vae.compile()
    vae.fit(digits[0][:64], verbose=0)
    assert vae.encode(digits[1][:3]).shape == (3, 4)


def test_conv_networks_train(make_vae, digits):
    history = make_vae(network="conv").fit(digits[0][:200], epochs=2, verbose=0).history
    assert history["loss"][1] < history["loss"][0]


# --- a function of the seed and the step ---------------------------------------------------------------------


def everything(vae):
    return [variable.numpy() for variable in (*vae.variables, *vae.optimizer.variables)]


@pytest.mark.parametrize(("name", "network"), [("optimal", "mlp"), ("learned", "conv"), ("per_pixel", "mlp")])
def test_same_seed_same_model(make_vae, digits, name, network):
    models = [make_vae(make_likelihood(name), network=network) for _ in range(2)]
    for vae in models:
        tf.random.uniform(())  # hidden state that must not matter
        vae.fit(digits[0][:200], epochs=2, verbose=0)
    for one, other in zip(*map(everything, models), strict=True):
        np.testing.assert_array_equal(one, other)


def test_other_seed_other_model(make_vae, digits):
    """The seed moves the noise and the order, not only the first weights."""
    vae, other = make_vae(seed=0), make_vae(seed=0)
    other.seed = 1
    for model in (vae, other):
        model.fit(digits[0][:64], verbose=0)
    assert any((a != b).any() for a, b in zip(vae.get_weights(), other.get_weights(), strict=True))


@pytest.mark.parametrize("steps_per_execution", [1, 4])
@pytest.mark.parametrize("network", ["mlp", pytest.param("conv", marks=pytest.mark.integration)])
def test_four_epochs_are_two_and_two(make_vae, digits, tmp_path, network, steps_per_execution):
    x = digits[0][:200]
    straight = make_vae(network=network, steps_per_execution=steps_per_execution)
    straight.fit(x, epochs=4, verbose=0)
    halves = make_vae(network=network, steps_per_execution=steps_per_execution)
    halves.fit(x, epochs=2, verbose=0)
    halves.save(tmp_path / "half.keras")
    resumed = vae_tf.load(tmp_path / "half.keras")
    resumed.fit(x, epochs=4, initial_epoch=2, verbose=0)
    for one, other in zip(everything(straight), everything(resumed), strict=True):
        np.testing.assert_array_equal(one, other)


def test_fused_adam_is_keras_adam(make_vae, digits):
    """The fused kernel against Keras' own update, amsgrad off, to float precision."""
    fused, plain = make_vae(), make_vae()
    plain.optimizer.update_step = type(plain.optimizer).update_step.__get__(plain.optimizer)
    for vae in (fused, plain):
        vae.fit(digits[0][:320], epochs=2, verbose=0)
    for one, other in zip(fused.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


# --- bad input ----------------------------------------------------------------------------------------------


def test_labels_are_refused_with_the_remedy(make_vae, digits):
    labels = np.zeros(len(digits[1]))
    with pytest.raises(
        ValueError, match=r"expected shape \[B, 8, 8, 1\].*received shape \[297\]. Pass the images once"
    ):
        make_vae().fit(digits[1], labels, verbose=0)
    dataset = tf.data.Dataset.from_tensor_slices((digits[1], labels)).batch(8)
    with pytest.raises(ValueError, match="Pass the images once"):
        make_vae().fit(dataset, verbose=0)
    with pytest.raises(ValueError, match="Pass the images once"):
        make_vae().evaluate(dataset, verbose=0)
    with pytest.raises(ValueError, match="Pass the images once"):
        make_vae().fit(digits[0], validation_data=(digits[1], labels), verbose=0)


@pytest.mark.parametrize("arrays", [(5, 4), (0,)])
def test_arrays_of_other_lengths(make_vae, digits, arrays):
    with pytest.raises(ValueError, match="at least 1"):
        make_vae().fit(*(digits[1][:n] for n in arrays), verbose=0)


def test_nan_is_refused_before_the_first_step(make_vae, digits):
    x = digits[1].copy()
    x[3, 0, 0, 0] = np.nan
    vae = make_vae()
    with pytest.raises(ValueError, match="expected finite numbers, received 1 values that are NaN"):
        vae.fit(x, verbose=0)
    assert int(vae.optimizer.iterations) == 0


def test_steps_per_epoch(make_vae, digits):
    vae = make_vae()
    history = vae.fit(digits[0][:200], steps_per_epoch=3, epochs=4, verbose=0).history
    assert len(history["loss"]) == 4
    assert int(vae.optimizer.iterations) == 12
    with pytest.raises(ValueError, match="steps_per_epoch: expected at most 7"):
        vae.fit(digits[0][:200], steps_per_epoch=8, verbose=0)


def test_evaluate_refuses_what_fit_refuses(make_vae, digits):
    with pytest.raises(ValueError, match="expected finite numbers"):
        make_vae().evaluate(np.full_like(digits[1], np.nan), verbose=0)
    with pytest.raises(ValueError, match="Reshape the data"):
        make_vae().evaluate(digits[1][:, :4], verbose=0)


def test_optimal_sigma_heeds_sample_weights(make_vae):
    x = np.repeat([0.0, 50.0], 16).astype(np.float32).reshape(-1, 1, 1, 1) * np.ones(SHAPE, np.float32)
    vae = make_vae()
    vae.fit(x, sample_weight=np.repeat([1.0, 0.0], 16), verbose=0)
    assert float(vae.likelihood.scale) < 1


def test_bernoulli_on_other_data(make_vae, digits):
    with pytest.raises(ValueError, match="Data for Bernoulli: expected values in"):
        make_vae(make_likelihood("bernoulli")).fit(2 * digits[1], verbose=0)
    with pytest.warns(UserWarning, match="ContinuousBernoulli") as warned:
        make_vae(make_likelihood("bernoulli")).fit(digits[1], validation_data=digits[1], verbose=0)
    assert len(warned) == 1


@pytest.mark.parametrize("loss", ["mse", "bce", keras.losses.MeanSquaredError(), 3])
def test_a_pointwise_loss_is_refused(make_vae, loss):
    with pytest.raises(ValueError, match=r"loss: expected a function of \(x, p\)"):
        make_vae(loss=loss)


def test_an_averaged_loss_is_refused(make_vae, digits):
    with pytest.raises(ValueError, match="expected one number per example"):
        make_vae(loss=lambda x, p: -tf.reduce_mean(p.log_prob(x))).fit(digits[1], verbose=0)


def test_loss_weights_are_refused(make_vae):
    with pytest.raises(TypeError, match="ELBO"):
        make_vae(loss_weights=[1.0])


def test_networks_that_do_not_end_in_distributions(make_vae):
    vae = make_vae()
    plain = keras.Sequential([keras.layers.InputLayer(SHAPE), keras.layers.Flatten(), keras.layers.Dense(8)])
    with pytest.raises(ValueError, match="The encoder: expected a model that ends in one posterior layer, received 0"):
        vae_tf.VAE(plain, vae.decoder, vae.prior)
    with pytest.raises(ValueError, match="The decoder: expected a model that ends in one likelihood layer"):
        vae_tf.VAE(vae.encoder, plain, vae.prior)
    with pytest.raises(ValueError, match=r"latent_dim of the prior: expected 4.* received 3"):
        vae_tf.VAE(vae.encoder, vae.decoder, vae_tf.priors.StandardNormal(3))


def test_outputs_that_are_not_finite_are_refused(make_vae, digits):
    vae = make_vae()
    kernel = vae.encoder.weights[0]
    kernel.assign(np.full(kernel.shape, 3e38, np.float32))
    for method in (vae.encode, vae.reconstruct):
        with pytest.raises(ValueError, match="Outputs of the model: expected finite numbers, received NaN or infinite"):
            method(digits[1])


@pytest.mark.parametrize("kl_weight", [-1.0, float("nan"), float("inf")])
def test_bad_kl_weight(kl_weight):
    with pytest.raises(ValueError, match="kl_weight: expected a finite number of at least 0"):
        ELBO(kl_weight=kl_weight)


@pytest.mark.parametrize(
    ("num_samples", "seed", "name"), [(0, 0, "num_samples"), (2.5, 0, "num_samples"), (1, -1, "seed")]
)
def test_bad_sample_arguments(make_vae, num_samples, seed, name):
    with pytest.raises(ValueError, match=f"{name}: expected a whole number"):
        make_vae().sample(num_samples, seed=seed)


@pytest.mark.parametrize("latent_dim", [0, -1, 2.0, True])
def test_bad_latent_dim(latent_dim):
    for make in (vae_tf.posteriors.DiagonalNormal, vae_tf.priors.StandardNormal):
        with pytest.raises(ValueError, match="latent_dim: expected a whole number of at least 1"):
            make(latent_dim)


def test_data_without_probability_stop_training(make_vae, digits):
    """In a later batch, which nobody looked at before: no loss of infinity, and no weights are spoiled."""
    counts = np.rint(16 * digits[0][:64])
    counts[-1] = -1.5
    vae = make_vae(vae_tf.likelihoods.Poisson(SHAPE))
    before = vae.get_weights()
    data = tf.data.Dataset.from_tensor_slices(counts).batch(32)  # of which the first batch is looked at
    with pytest.raises(ValueError, match=r"-log p\(x\|z\) of Poisson: expected a finite .*counts"):
        vae.evaluate(data, verbose=0)
    with pytest.raises(ValueError, match="Poisson"):
        vae.fit(iter([counts[32:]]), steps_per_epoch=1, verbose=0)
    for weight, old in zip(vae.get_weights(), before, strict=True):
        assert np.isfinite(weight).all()
        if weight.dtype == np.float32 and weight.size > 1:
            np.testing.assert_array_equal(weight, old)


def test_parts_of_the_wrong_kind(make_vae):
    vae = make_vae()
    with pytest.raises(TypeError, match="objective: expected a vae_tf Objective, received 'iwae'"):
        vae_tf.VAE(vae.encoder, vae.decoder, vae.prior, "iwae")
    with pytest.raises(TypeError, match="prior: expected a vae_tf Prior"):
        vae_tf.VAE(vae.encoder, vae.decoder, keras.layers.Dense(3))
    z, library = keras.Input((4,)), keras.Input((1,))
    likelihood = vae_tf.likelihoods.NegativeBinomial(SHAPE, library_size=True)
    decoder = keras.Model([z, library], likelihood([keras.layers.Dense(64)(z), library]))
    with pytest.raises(ValueError, match="The decoder: expected a model of one input, z, received 2 inputs"):
        vae_tf.VAE(vae.encoder, decoder, vae.prior)
