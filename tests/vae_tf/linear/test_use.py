"""LinearVAE as a VAE like any other, and the arguments that it refuses."""

import numpy as np
import pytest
import tf_keras as keras
from linear_problem import COUNT, LATENT_DIM, SHAPE, images, make, problem

import vae_tf
from vae_tf import evaluation
from vae_tf.objectives import ELBO, IWAE, FreeBits


@pytest.fixture(scope="module")
def data():
    return problem()


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
    whole.fit_covariance(covariance, mean, COUNT, 40, steps_per_epoch=20)
    half.fit_covariance(covariance, mean, COUNT, 20)
    half.save(tmp_path / "half.keras")
    loaded = vae_tf.load(tmp_path / "half.keras")
    history = loaded.fit_covariance(covariance, mean, COUNT, 20)
    assert int(loaded.optimizer.iterations) == 40
    assert history.history["elbo"][-1] == pytest.approx(whole.elbo_from_covariance(covariance, mean), abs=1e-5)


def test_logs_are_exact_whatever_the_mean(data):
    """The mean of the model is a float32, and what that costs is in the logs."""
    _, covariance, mean = data
    vae = make()
    history = vae.fit_covariance(covariance, mean + 3e5, COUNT, 20).history
    assert history["elbo"][-1] == pytest.approx(vae.elbo_from_covariance(covariance, mean + 3e5), rel=1e-12)


@pytest.mark.parametrize("train_encoder", [False, True])
def test_divergence_is_an_error(data, train_encoder):
    vae = make("learned")
    vae.compile(keras.optimizers.SGD(1e6))
    with pytest.raises(ValueError, match=r"loss: expected a finite number, received nan.*learning rate"):
        vae.fit_covariance(data[1] * 1e6, data[2], COUNT, 60, train_encoder=train_encoder)


def test_other_optimizers_and_policies(data):
    _, covariance, mean = data
    vae = make()
    for optimizer in (keras.optimizers.SGD(1e-3), keras.optimizers.legacy.Adam(1e-3)):
        vae.compile(optimizer)
        assert len(vae.fit_covariance(covariance, mean, COUNT, 2).history["elbo"]) == 1
    keras.mixed_precision.set_global_policy("float64")
    try:
        make().fit_covariance(covariance, mean, COUNT, 2)
    finally:
        keras.mixed_precision.set_global_policy("float32")


def test_what_is_frozen_stays(data, tmp_path):
    _, covariance, mean = data
    vae = make("learned")
    vae.encoder.trainable = False
    vae.save(tmp_path / "frozen.keras")
    loaded = vae_tf.load(tmp_path / "frozen.keras")
    assert not loaded.encoder.trainable
    assert loaded.decoder.trainable
    with pytest.raises(ValueError, match=r"Weights: expected a decoder to train.*frozen"):
        loaded.fit_covariance(covariance, mean, COUNT, 2)
    before = [array.copy() for array in loaded.linear_encoder]
    loaded.fit_covariance(covariance, mean, COUNT, 2, train_encoder=True)
    for expected, found in zip(before, loaded.linear_encoder, strict=True):
        np.testing.assert_array_equal(expected, found)
    loaded.decoder.trainable = False
    with pytest.raises(ValueError, match="Weights: expected"):
        loaded.fit_covariance(covariance, mean, COUNT, 2, train_encoder=True)


@pytest.mark.integration
def test_the_same_training_twice_is_the_same_bit_for_bit(data):
    """Its weights are read more than once a step: none may change between two reads. (One in ten did, once.)"""
    found = set()
    for _ in range(8):
        vae = make("learned")
        vae.fit_covariance(*data[1:], COUNT, 60, train_encoder=True)
        found.add(b"".join(weight.tobytes() for weight in vae.get_weights()))
    assert len(found) == 1


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
    """The importance-weighted bound at the exact posterior: all draws weigh the same, and nothing is missing."""
    rows, covariance, mean = data
    vae = make()
    vae.fit_covariance(covariance, mean, COUNT, 800)
    x = images(rows[:50])
    estimate = evaluation.log_likelihood(vae, x, num_samples=200, seed=0)
    np.testing.assert_allclose(estimate.values.mean(), vae.log_prob(x).mean(), atol=1e-3)


def test_encoder_is_a_model_of_its_own(data, tmp_path):
    untrained, x = make(0.5), images(data[0][:5])
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
    r"covariance: expected shape \(12, 12\)": lambda covariance, mean: (covariance[:5, :5], mean),
    r"mean: expected 12 numbers.*shape \(4,\)": lambda covariance, mean: (covariance, mean[:4]),
    "mean: expected finite numbers": lambda covariance, mean: (covariance, mean * np.inf),
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
