"""The callback that tracks 1/(2 sigma^2)."""

import math
import warnings

import numpy as np
import pytest
import tf_keras as keras
from models import SHAPE, binary, make_likelihood
from tiny import X, tiny_vae

import vae_tf
from vae_tf import objectives
from vae_tf.callbacks import MSEEquivalence
from vae_tf.objectives import ELBO

SCALAR = {"sigma", "mse_scale", "rmse", "optimal_mse_scale", "beta_equivalent"}
QUANTILES = {"sigma_q05", "sigma_q95", "mse_scale_q05", "mse_scale_q95"}


def fit(vae, x, epochs=1, **arguments):
    return vae.fit(x, epochs=epochs, verbose=0, callbacks=[MSEEquivalence()], **arguments).history


@pytest.mark.parametrize("name", [0.3, "learned", "optimal"])
def test_scalar_sigma(make_vae, digits, name):
    vae = make_vae(make_likelihood(name), objective=ELBO(kl_weight=2.0))
    last = {key: values[-1] for key, values in fit(vae, digits[0], epochs=2).items()}
    sigma = float(vae.likelihood.scale)
    assert set(last) >= SCALAR
    assert not QUANTILES & set(last)
    assert last["sigma"] == pytest.approx(sigma)
    assert (
        last["mse_scale"] == pytest.approx(vae.likelihood.equivalence().scale_factor) == pytest.approx(0.5 / sigma**2)
    )
    assert last["optimal_mse_scale"] == pytest.approx(0.5 / last["rmse"] ** 2)
    assert last["beta_equivalent"] == pytest.approx(2.0 * sigma**2)
    if name == "optimal":
        assert last["sigma"] == pytest.approx(last["rmse"], rel=1e-6)


def test_rmse_is_the_residual_of_the_data(make_vae, digits):
    """The running average against the residual over all the training data, measured afterwards."""
    vae = make_vae(latent_dim=8)
    history = fit(vae, digits[0], epochs=20)
    x = digits[0]
    squared = [np.mean((vae(x).mean() - x) ** 2) for _ in range(5)]
    assert history["rmse"][-1] ** 2 == pytest.approx(np.mean(squared), rel=0.04)


@pytest.mark.parametrize("name", ["per_dimension", "per_pixel"])
def test_vector_sigma_has_quantiles(make_vae, digits, name):
    vae = make_vae(make_likelihood(name))
    vae.compile(keras.optimizers.Adam(0.02))
    last = {key: values[-1] for key, values in fit(vae, digits[0], epochs=3).items()}
    assert set(last) >= SCALAR | QUANTILES
    assert last["sigma_q05"] < last["sigma"] < last["sigma_q95"]
    assert last["mse_scale_q05"] < last["mse_scale"] < last["mse_scale_q95"]
    if name == "per_dimension":
        scale = np.asarray(vae.likelihood.scale)
        assert last["sigma_q05"] == pytest.approx(np.quantile(scale, 0.05), rel=1e-5)
        assert last["mse_scale"] == pytest.approx(np.mean(0.5 / scale**2), rel=1e-5)
    else:  # once the model rests, the running average is the average over the data
        vae.compile(keras.optimizers.SGD(0.0))
        resting = fit(vae, digits[0], epochs=4)["sigma"][-1]
        assert resting == pytest.approx(vae(digits[0]).stddev().numpy().mean(), rel=0.02)


def test_bernoulli_has_a_factor_of_one_and_no_sigma(make_vae, digits):
    last = fit(make_vae(make_likelihood("bernoulli")), binary(digits[0][:64]))
    assert last["mse_scale"] == [1.0]
    assert last["rmse"][0] > 0
    assert "sigma" not in last
    assert "beta_equivalent" not in last


def test_loggers_see_it_wherever_it_stands(make_vae, digits, tmp_path):
    vae = make_vae()
    path = tmp_path / "log.csv"
    callbacks = [keras.callbacks.CSVLogger(path), keras.callbacks.TensorBoard(tmp_path / "board"), MSEEquivalence()]
    vae.fit(digits[0][:64], verbose=0, callbacks=callbacks)
    assert set(path.read_text().splitlines()[0].split(",")) >= SCALAR
    written = b"".join(file.read_bytes() for file in (tmp_path / "board").rglob("events*"))
    assert b"epoch_mse_scale" in written


@pytest.mark.parametrize(("scale", "word"), [(5.0, "too much"), (0.01, "too little")])
def test_warns_once_when_sigma_is_far_off_for_two_epochs(make_vae, digits, scale, word):
    with pytest.warns(UserWarning, match=f"sigma = .*{word} weight.*scale='optimal'") as warned:
        fit(make_vae(vae_tf.likelihoods.Gaussian(SHAPE, scale=scale)), digits[0][:64], epochs=4)
    assert len(warned) == 1


def test_does_not_warn_after_one_epoch_or_near_the_residual(make_vae, digits):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(make_vae(vae_tf.likelihoods.Gaussian(SHAPE, scale=5.0)), digits[0][:64], epochs=1)
        fit(make_vae(vae_tf.likelihoods.Gaussian(SHAPE, scale=0.3)), digits[0][:64], epochs=3)


def test_other_models_are_refused(digits):
    model = keras.Sequential([keras.layers.Flatten(input_shape=SHAPE), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(TypeError, match=r"Model of MSEEquivalence: expected a vae_tf.VAE, received Sequential"):
        model.fit(digits[0][:8], np.zeros(8), verbose=0, callbacks=[MSEEquivalence()])


def test_a_perfect_residual_is_no_division_by_zero(make_vae):
    vae = make_vae(make_likelihood(0.3))
    vae.likelihood.running_mse.assign(0.0)
    logs = {}
    callback = MSEEquivalence()
    callback.set_model(vae)
    callback.on_epoch_end(0, logs)
    assert logs["optimal_mse_scale"] == math.inf


def test_beta_of_objectives_that_weigh_the_kl_otherwise():
    vae = tiny_vae(objective=objectives.GECO(0.5, speed=0.5))
    logs = vae.fit(X, epochs=3, verbose=0, callbacks=[MSEEquivalence()]).history
    weight = np.exp(-float(vae.objective_state["log_multiplier"]))
    assert logs["beta_equivalent"][-1] == pytest.approx(logs["sigma"][-1] ** 2 * weight, rel=1e-5)
    held_up = tiny_vae(objective=objectives.FreeBits(0.1)).fit(X, verbose=0, callbacks=[MSEEquivalence()]).history
    assert "sigma" in held_up
    assert "beta_equivalent" not in held_up
