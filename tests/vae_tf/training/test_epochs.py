"""Callbacks around the epochs: which way is better, what is shown, and the containers that callbacks come in."""

import re

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from marks import integration_but
from tiny import X, tiny_vae

import vae_tf
from vae_tf import objectives
from vae_tf.callbacks import MSEEquivalence

RISING = {"elbo": None, "val_elbo": X}


@pytest.mark.parametrize("monitor", RISING)
def test_early_stopping_keeps_the_best_elbo(monitor):
    vae = tiny_vae()
    stop = keras.callbacks.EarlyStopping(monitor, patience=3, min_delta=0.0, restore_best_weights=True)
    logs = vae.fit(X, validation_data=X, epochs=15, verbose=0, callbacks=[stop]).history[monitor]
    assert len(logs) == 15  # it rises, and nothing stopped it
    assert stop.best == max(logs)


def test_a_checkpoint_keeps_the_best_elbo(tmp_path):
    vae, path = tiny_vae(), tmp_path / "best.keras"
    keep = keras.callbacks.ModelCheckpoint(str(path), monitor="val_elbo", save_best_only=True)
    logs = vae.fit(X, validation_data=X, epochs=5, verbose=0, callbacks=(keep,)).history["val_elbo"]
    kept = vae_tf.load(path).evaluate(X, verbose=0, return_dict=True)["elbo"]
    assert kept == pytest.approx(max(logs), rel=1e-5)


def test_the_learning_rate_falls_only_when_the_elbo_does():
    vae = tiny_vae()
    reduce = keras.callbacks.ReduceLROnPlateau("val_elbo", patience=2, min_delta=0.0)
    vae.fit(X, validation_data=X, epochs=8, verbose=0, callbacks=[reduce])
    assert float(vae.optimizer.learning_rate) == pytest.approx(1e-2)


def test_what_falls_is_still_minimised():
    stop = keras.callbacks.EarlyStopping("val_loss", patience=3)
    tiny_vae().fit(X, validation_data=X, epochs=2, verbose=0, callbacks=[stop])
    assert stop.monitor_op is np.less


@pytest.mark.parametrize("objective", [objectives.ELBO(objectives.linear(2, "epochs")), objectives.GECO(1.0)])
def test_watching_a_loss_that_changes_its_meaning_is_warned_of(objective):
    stop = keras.callbacks.EarlyStopping("val_loss", patience=3)
    with pytest.warns(UserWarning, match="EarlyStopping watches val_loss.* Watch val_elbo instead"):
        tiny_vae(objective=objective).fit(X, validation_data=X, epochs=2, verbose=0, callbacks=[stop])


@pytest.mark.parametrize("verbose", integration_but([1, 2], 2))
@pytest.mark.parametrize("objective", [None, objectives.ELBO(objectives.linear(8, "steps")), objectives.GECO(1.0)])
def test_shown_is_what_is_logged(verbose, objective, capsys):
    vae = tiny_vae(objective=objective)
    history = vae.fit(X, epochs=4, verbose=verbose, validation_data=X, callbacks=[MSEEquivalence()]).history
    lines = re.split(r"[\r\n]+", capsys.readouterr().out.strip())
    last = dict(re.findall(r"(\w+): (-?[\d.e+-]+)", lines[-1]))
    assert {"loss", "elbo", "rate", "sigma", "val_elbo"} <= set(last)
    assert lines[-1].count("sigma") == 1
    assert len(lines[-1]) < 180
    for name, value in last.items():
        assert float(value) == pytest.approx(history[name][-1], rel=1e-4), name


def test_a_weight_that_is_nan_stops_training_though_the_loss_is_finite():
    vae = tiny_vae()
    kernel = vae.encoder.layers[1].kernel
    kernel.assign(tf.concat([tf.fill((4, 1), np.nan), kernel[:, 1:]], axis=1))
    with pytest.raises(ValueError, match="NaN") as caught:
        vae.fit(X, verbose=0)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("kind", [list, tuple, iter, keras.callbacks.CallbackList])
def test_callbacks_in_any_container(kind, tmp_path):
    path = tmp_path / "log.csv"
    tiny_vae().fit(X, verbose=0, callbacks=kind([keras.callbacks.CSVLogger(str(path)), MSEEquivalence()]))
    assert "sigma" in path.read_text()


def test_a_single_callback():
    assert "sigma" in tiny_vae().fit(X, verbose=0, callbacks=MSEEquivalence()).history


@pytest.mark.parametrize(("name", "weights_only"), [("best.h5", False), ("folder", False), ("w.keras", True)])
def test_a_checkpoint_that_cannot_hold_the_model_is_refused_before_the_first_step(name, weights_only, tmp_path):
    vae = tiny_vae()
    keep = keras.callbacks.ModelCheckpoint(str(tmp_path / name), save_weights_only=weights_only)
    with pytest.raises(ValueError, match=r"Saving .* expected a path that ends in"):
        vae.fit(X, verbose=0, callbacks=[keep])
    assert int(vae.steps_done) == 0


def test_a_checkpoint_of_every_epoch_watches_nothing(recwarn, tmp_path):
    every = keras.callbacks.ModelCheckpoint(str(tmp_path / "x.keras"))
    tiny_vae(objective=objectives.GECO(1.0)).fit(X, verbose=0, callbacks=[every])
    assert not [warning for warning in recwarn if "watches" in str(warning.message)]
