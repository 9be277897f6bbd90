"""`vae_tf.training`: what is logged, watched, refused and continued while a model trains."""

import random

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import tf_keras as keras
from tiny import X, tiny_vae

import vae_tf
from vae_tf import likelihoods, networks, objectives, posteriors, priors


@pytest.mark.parametrize("unit", ["epochs", "steps"])
def test_a_schedule_goes_on_after_compile(unit):
    vae = tiny_vae(objective=objectives.ELBO(objectives.linear(4 if unit == "epochs" else 8, unit)))
    weights = lambda epochs, batch: vae.fit(X, epochs=epochs, batch_size=batch, verbose=0).history["kl_weight"]  # noqa: E731
    with pytest.warns(UserWarning, match="warm-up") if unit == "epochs" else pytest.warns(UserWarning, match="steps"):
        first = weights(2, 48)
    np.testing.assert_allclose(first, [0.25, 0.5])
    vae.compile(keras.optimizers.Adam(1e-4))
    np.testing.assert_allclose(weights(2, 48), [0.75, 1.0])
    vae.compile(keras.optimizers.SGD(1e-4))
    np.testing.assert_allclose(weights(3, 24), [1.0, 1.0, 1.0])


def test_the_count_of_steps_is_saved(tmp_path):
    vae = tiny_vae()
    vae.fit(X, batch_size=32, epochs=2, verbose=0)
    vae.compile("adam")
    vae.fit(X, batch_size=32, verbose=0)
    vae.save(tmp_path / "x.keras")
    assert int(vae_tf.load(tmp_path / "x.keras").steps_done) == 9


def test_an_encoder_of_two_inputs_is_refused_when_built():
    L = keras.layers
    a, b = L.Input((4,)), L.Input((3,))
    encoder = keras.Model([a, b], posteriors.DiagonalNormal(2)(L.Dense(4)(L.Concatenate()([a, b]))))
    with pytest.raises(ValueError, match="The encoder: expected a model of one input, x, received 2 inputs"):
        vae_tf.VAE(encoder, networks.mlp_decoder(2, likelihoods.Gaussian((4,))), priors.StandardNormal(2))


def test_on_batch_methods_go_through_the_same_door():
    vae = tiny_vae()
    assert np.isfinite(vae.train_on_batch(X.tolist())).all()
    assert np.isfinite(vae.test_on_batch(X, sample_weight=np.ones((len(X), 1)))).all()
    assert vae.predict_on_batch(X.tolist()).shape == X.shape
    for call in (vae.train_on_batch, vae.test_on_batch, vae.predict_on_batch):
        with pytest.raises(ValueError, match="shape"):
            call(X[:, :3])


@pytest.mark.filterwarnings("ignore:Schedule of:UserWarning")  # five of ten epochs
def test_setting_weights_turns_no_time_back():
    vae = tiny_vae(objective=objectives.ELBO(objectives.linear(10, "epochs")))
    first = vae.get_weights()
    vae.fit(X, epochs=3, verbose=0)
    vae.set_weights(first)
    np.testing.assert_allclose(vae.fit(X, epochs=2, verbose=0).history["kl_weight"], [0.4, 0.5], rtol=1e-5)


def test_weights_alone_go_on_with_the_optimizer(tmp_path):
    vae, loaded = tiny_vae(), tiny_vae(seed=1)
    vae.fit(X, epochs=2, verbose=0)
    vae.save_weights(tmp_path / "a.weights.h5")
    loaded.load_weights(tmp_path / "a.weights.h5")
    assert int(loaded.optimizer.iterations) == int(vae.optimizer.iterations)
    loaded.seed = vae.seed
    np.testing.assert_allclose(
        loaded.fit(X, epochs=2, verbose=0).history["loss"], vae.fit(X, epochs=2, verbose=0).history["loss"], rtol=1e-6
    )


@pytest.mark.parametrize("shuffle", [False, True])
def test_an_epoch_is_so_many_steps(shuffle):
    vae = tiny_vae()
    vae.fit(X, batch_size=32, shuffle=shuffle, steps_per_epoch=2, epochs=4, verbose=0)
    assert int(vae.steps_done) == 8
    with pytest.raises(ValueError, match="steps_per_epoch: expected at most 3"):
        vae.fit(X, batch_size=32, shuffle=shuffle, steps_per_epoch=4, verbose=0)


def test_other_networks_are_used_at_once():
    vae, z = tiny_vae(), np.zeros((3, 2), np.float32)
    vae.decode(z)
    vae.decoder = networks.mlp_decoder(2, likelihoods.Gaussian((4,)), hidden=(8,))
    np.testing.assert_allclose(vae.decode(z), vae.decoder(z).mean(), rtol=1e-6)


def test_a_generator_is_one_epoch():
    batches = (X[i : i + 32] for i in range(0, len(X), 32))
    with pytest.raises(ValueError, match="epochs: expected steps_per_epoch beside a generator"):
        tiny_vae().fit(batches, epochs=3, verbose=0)


def test_a_decoder_of_other_latents_is_refused_when_built():
    vae = tiny_vae()
    decoder = networks.mlp_decoder(8, likelihoods.Gaussian((4,)))
    with pytest.raises(ValueError, match=r"The decoder: expected inputs \[B, 2\]"):
        vae_tf.VAE(vae.encoder, decoder, priors.StandardNormal(2))


@pytest.mark.parametrize(
    ("call", "remedy"),
    [
        (lambda vae: vae.decode(np.zeros((3, 5))), "Pass latents, such as vae.encode"),
        (lambda vae: vae.fit(X[0], verbose=0), "Add the batch axis"),
        (lambda vae: vae.fit(X, X[:, :1], verbose=0), "dataset.map"),
    ],
)
def test_a_wrong_shape_has_a_remedy_of_its_own(call, remedy):
    with pytest.raises(ValueError, match=remedy):
        call(tiny_vae())


def test_after_an_interruption_validation_is_on_the_new_data():
    class Interrupts(keras.callbacks.Callback):
        def on_test_end(self, logs=None):
            raise KeyboardInterrupt

    vae = tiny_vae()
    with pytest.raises(KeyboardInterrupt):
        vae.fit(X, validation_data=X[:32] * 100, verbose=0, callbacks=[Interrupts()])
    (after,) = vae.fit(X, validation_data=X, verbose=0).history["val_loss"]
    assert after == pytest.approx(vae.evaluate(X, verbose=0)[0], rel=1e-4)


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_a_part_that_is_frozen_after_compile_trains_on_as_in_keras(part):
    vae = tiny_vae()
    getattr(vae, part).trainable = False
    before = vae.get_weights()
    vae.fit(X, verbose=0)
    assert any((one != other).any() for one, other in zip(before, vae.get_weights(), strict=True))


class Sixths(keras.utils.Sequence):
    def __len__(self):
        return 6

    def __getitem__(self, i):
        return pd.DataFrame(X[i * 16 : (i + 1) * 16])


def test_the_order_of_a_sequence_is_a_function_of_seed_and_epoch(tmp_path):
    straight, halves, plain = tiny_vae(), tiny_vae(), tiny_vae()
    straight.fit(Sixths(), epochs=4, verbose=0)
    halves.fit(Sixths(), epochs=2, verbose=0)
    halves.save(tmp_path / "half.keras")
    random.random()
    resumed = vae_tf.load(tmp_path / "half.keras")
    resumed.fit(Sixths(), epochs=4, initial_epoch=2, verbose=0)
    for one, other in zip(straight.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    plain.fit(Sixths(), epochs=4, shuffle=False, verbose=0)
    assert not np.array_equal(plain.encode(X), straight.encode(X))


def test_a_schedule_by_epochs_needs_epochs():
    vae = tiny_vae(objective=objectives.ELBO(objectives.linear(4, "epochs")))
    with pytest.raises(ValueError, match="Schedule of kl_weight: expected data of known length"):
        vae.train_on_batch(X)
    vae.steps_done.assign_add(30)  # a training loop of one's own
    assert vae.fit(X, epochs=4, verbose=0).history["kl_weight"][0] < 0.3


def test_weights_of_a_file_are_finite(tmp_path):
    vae = tiny_vae()
    kernel = vae.decoder.layers[0].kernel
    kernel.assign(np.full(kernel.shape, np.nan))
    keras.Model.save_weights(vae, tmp_path / "x.weights.h5")
    with pytest.raises(ValueError, match=r"Weights in .*x\.weights\.h5: expected finite numbers"):
        tiny_vae().load_weights(tmp_path / "x.weights.h5")


@pytest.mark.parametrize("steps", [1, 3])
def test_predict_refuses_as_encode_does(steps):
    x = X.copy()
    x[32 * (steps - 1), 0] = np.nan
    batches = tf.data.Dataset.from_tensor_slices(x).batch(32)
    message = "expected finite numbers" if steps == 1 else "Outputs of the model: expected finite numbers"
    with pytest.raises(ValueError, match=message):
        tiny_vae().predict(batches, verbose=0)
