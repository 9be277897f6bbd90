"""`vae_tf.callbacks.CollapseMonitor`: its logs, its warning, and what it refuses."""

import warnings

import pytest
import tf_keras as keras
from linear_model import X, linear_vae
from models import SHAPE
from models import make_vae as digits_vae

import vae_tf
from vae_tf import collapse
from vae_tf.callbacks import CollapseMonitor, MSEEquivalence
from vae_tf.objectives import ELBO, linear
from vae_tf.posteriors import InverseAutoregressiveFlow


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


@pytest.fixture(scope="module")
def flow_vae():
    """A VAE whose KL is no sum over latents: only the threshold says which of them collapsed."""
    return digits_vae(posterior=InverseAutoregressiveFlow)


def test_the_threshold_of_the_monitor_counts_in_its_last_warning(flow_vae, digits):
    x = digits[1][:50]
    for threshold, expected in ((1e9, True), (0.0, False)):
        monitor = CollapseMonitor(x, threshold=threshold)
        monitor.set_model(flow_vae)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            monitor.on_train_end()
        assert [str(w.message).startswith("4 of 4 latents collapsed") for w in caught] == [True] * expected
