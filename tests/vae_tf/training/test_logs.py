"""The logs of training: each is a metric, and a weighted mean over the examples."""

import numpy as np
import pytest
import tensorflow as tf
from tiny import X, tiny_vae

from vae_tf import objectives


def test_every_log_is_a_metric():
    vae = tiny_vae(objective=objectives.ELBO(objectives.linear(8, "steps"), num_samples=2))
    logs = vae.fit(X, epochs=3, verbose=0).history
    assert set(logs) <= {metric.name for metric in vae.metrics}
    np.testing.assert_allclose(logs["elbo"], -np.array(logs["distortion"]) - np.array(logs["rate"]), rtol=1e-5)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_logs_do_not_scale_with_the_weights(factor):
    """Weights count relative to each other: sum(w t) / sum(w)."""
    plain, weighted = tiny_vae(learning_rate=1e-9), tiny_vae(learning_rate=1e-9)
    expected = plain.fit(X, verbose=0, shuffle=False).history
    received = weighted.fit(X, verbose=0, shuffle=False, sample_weight=np.full(len(X), factor)).history
    for name, values in expected.items():
        np.testing.assert_allclose(received[name], values, rtol=1e-5)


def test_a_weight_of_zero_leaves_an_example_out():
    vae, weight = tiny_vae(), np.repeat([1.0, 0.0], [32, 64])
    expected = vae.evaluate(X[:32], verbose=0)
    np.testing.assert_allclose(vae.evaluate(X, verbose=0, sample_weight=weight, batch_size=32), expected, rtol=1e-5)


def test_weights_are_of_use_whatever_keras_thinks(recwarn):
    vae = tiny_vae()
    vae.fit(X, sample_weight=np.ones(len(X)), validation_data=(X, X, np.ones(len(X))), verbose=0)
    vae.evaluate(X, sample_weight=np.ones(len(X)), verbose=0)
    assert not [str(warning.message) for warning in recwarn]


def test_a_batch_without_weight_counts_nothing():
    vae, weight = tiny_vae(learning_rate=1e-9), np.repeat([0.0, 1.0], [64, 32])
    vae.fit(X, batch_size=32, shuffle=False, sample_weight=weight, verbose=0)
    alone = tiny_vae(learning_rate=1e-9)
    alone.fit(X[64:], batch_size=32, shuffle=False, verbose=0)
    assert float(vae.likelihood.scale) == pytest.approx(float(alone.likelihood.scale), rel=0.1)  # other noise
    assert float(vae.likelihood.update_count) == 1


@pytest.mark.parametrize("batches", [lambda: weightless(), lambda: weightless().filter(lambda *_: False)])
def test_a_mean_over_nothing_is_refused(batches):
    vae = tiny_vae()
    for call in (
        lambda: vae.evaluate(batches(), verbose=0),
        lambda: vae.fit(X, validation_data=batches(), verbose=0),
    ):
        with pytest.raises(ValueError, match="expected an example with a weight above 0"):
            call()


def weightless():
    return tf.data.Dataset.from_tensor_slices((X, X, np.zeros(len(X)))).batch(32)


def test_both_parts_of_a_split_have_weight():
    weight = np.repeat([1.0, 0.0], [80, 16])
    for given in (weight, 1 - weight):
        with pytest.raises(ValueError, match="sample_weight: expected a weight above 0"):
            tiny_vae().fit(X, sample_weight=given, validation_split=16 / 96, verbose=0)
