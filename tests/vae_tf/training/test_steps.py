"""The steps of training: their noise, what stops them, and a training loop of one's own."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from tiny import X, tiny_vae

from vae_tf import likelihoods


def test_recompiled_training_draws_new_noise():
    """The noise is that of the model's own step, not of the new optimizer's."""
    once, twice = tiny_vae(learning_rate=0.0), tiny_vae(learning_rate=0.0)
    logs = once.fit(X, epochs=2, verbose=0).history["loss"]
    first = twice.fit(X, verbose=0).history["loss"]
    twice.compile(keras.optimizers.Adam(0.0))
    np.testing.assert_allclose([*first, *twice.fit(X, verbose=0).history["loss"]], logs, rtol=1e-6)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_diverged_loss_is_one_line_and_moves_no_sigma(jit_compile):
    vae = tiny_vae(likelihoods.Gaussian((4,)), jit_compile=jit_compile)
    vae.fit(X, batch_size=len(X), verbose=0)
    sigma = float(vae.likelihood.scale)
    kernel = vae.decoder.layers[-2].kernel
    kernel.assign(tf.fill(kernel.shape, np.nan))
    with pytest.raises(ValueError, match="lower the learning rate") as caught:
        vae.fit(X, verbose=0)
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)
    assert float(vae.likelihood.scale) == sigma


@pytest.mark.parametrize("compiled", [False, True])
def test_an_own_loop_without_the_update_is_warned_of_once(compiled):
    vae = tiny_vae()
    with pytest.warns(UserWarning, match=r"call p = vae.likelihood.update\(p, x\)") as caught:
        own_loop(vae, update=False, compiled=compiled)
    assert len(caught) == 1
    assert float(vae.likelihood.scale) == 1.0


@pytest.mark.parametrize("compiled", [False, True])
def test_an_own_loop_with_the_update_has_the_optimal_sigma(compiled):
    """Its square is the running average of the squared residuals, the first batches weighing alike."""
    vae, average = tiny_vae(), 0.0
    for n, squared in enumerate(own_loop(vae, update=True, compiled=compiled), start=1):
        average += max(1 / n, 1 - vae.likelihood.decay) * (squared - average)
    assert float(vae.likelihood.scale) ** 2 == pytest.approx(average, rel=1e-4)


def own_loop(vae, *, update, compiled):
    """Trains for 40 steps; returns the mean squared residual of each."""

    def step():
        with tf.GradientTape() as tape:
            q = vae.encoder(X, training=True)
            p = vae.decoder(q.sample(), training=True)
            squared = tf.reduce_mean(tf.square(X - p.mean()))
            if update:
                p = vae.likelihood.update(p, X)
            loss = tf.reduce_mean(-p.log_prob(X) + vae.prior.closed_form(q))
        vae.optimizer.apply_gradients(
            zip(tape.gradient(loss, vae.trainable_variables), vae.trainable_variables, strict=True)
        )
        return squared

    vae.optimizer.build(vae.trainable_variables)
    run = tf.function(step) if compiled else step
    return [float(run()) for _ in range(40)]


def test_the_end_of_a_stream_is_no_step():
    """A dataset of unknown length, and a generator, train the model that an array trains, for three epochs."""
    expected, received = tiny_vae(), tiny_vae()
    known = tf.data.Dataset.from_tensor_slices(X).batch(32)
    logs = expected.fit(known, epochs=3, verbose=0).history
    of_unknown_length = known.filter(lambda batch: True)
    assert received.fit(of_unknown_length, epochs=3, verbose=0).history == logs
    assert int(received.steps_done) == int(received.optimizer.iterations) == 9
    assert float(received.likelihood.scale) == float(expected.likelihood.scale)


@pytest.mark.parametrize("wrong", [-1.0, np.nan, np.inf])
def test_weights_in_any_batch_of_a_stream_are_checked(wrong):
    weight = np.ones(len(X))
    weight[70] = wrong
    data = tf.data.Dataset.from_tensor_slices((X, X, weight)).batch(32)
    for call in (tiny_vae().fit, tiny_vae().evaluate):
        with pytest.raises(ValueError, match="sample_weight: expected one finite number"):
            call(data, verbose=0)


@pytest.mark.parametrize("call", ["evaluate", "train_on_batch", "test_on_batch"])
def test_xla_lets_no_infinite_loss_pass(call):
    vae = tiny_vae(likelihoods.Gaussian((4,), scale=0.1), jit_compile=True)
    far = X.copy()
    far[50, 0] = 1e25
    with pytest.raises(ValueError, match="lower the learning rate"):
        getattr(vae, call)(far, **({"verbose": 0} if call == "evaluate" else {}))


def test_a_later_batch_outside_the_support_is_one_line():
    data = tf.data.Dataset.from_tensor_slices(np.repeat([0.0, 1.0, 7.0], 32)[:, None] * np.ones((1, 4))).batch(32)
    with pytest.raises(ValueError, match="Data for Bernoulli") as caught:
        tiny_vae(likelihoods.Bernoulli((4,))).fit(data, verbose=0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_a_diverged_encoder_moves_no_sigma(run_eagerly):
    vae = tiny_vae(decoder=sigmoid_decoder, run_eagerly=run_eagerly)
    vae.fit(X, verbose=0)
    before = float(vae.likelihood.scale)
    bias = vae.encoder.layers[-2].bias
    bias.assign(np.full(bias.shape, 1e25))
    with pytest.raises(ValueError, match="expected a finite number for every example") as caught:
        vae.fit(X, verbose=0)
    assert "\n" not in str(caught.value)
    assert float(vae.likelihood.scale) == before


def sigmoid_decoder(likelihood):
    return keras.Sequential([keras.layers.Dense(4, "sigmoid", input_shape=(2,)), likelihood])
