"""`vae_tf.training`: what is logged, watched, refused and continued while a model trains."""

import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from paths import ROOT
from tiny import X, tiny_vae

import vae_tf
from vae_tf import likelihoods, networks, objectives, posteriors, priors
from vae_tf.callbacks import MSEEquivalence

RISING = {"elbo": None, "val_elbo": X}


# --- a quantity to be maximised beside tools that minimise ------------------------------------------------


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


# --- the logs -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verbose", [1, 2])
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


# --- state outside the step -----------------------------------------------------------------------------


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


def test_recompiled_training_draws_new_noise():
    """The noise is that of the model's own step, not of the new optimizer's."""
    once, twice = tiny_vae(learning_rate=0.0), tiny_vae(learning_rate=0.0)
    logs = once.fit(X, epochs=2, verbose=0).history["loss"]
    first = twice.fit(X, verbose=0).history["loss"]
    twice.compile(keras.optimizers.Adam(0.0))
    np.testing.assert_allclose([*first, *twice.fit(X, verbose=0).history["loss"]], logs, rtol=1e-6)


def test_the_optimizer_is_left_as_it_was():
    optimizer = keras.optimizers.Adam(1e-2)
    before = optimizer.get_config()
    vae = tiny_vae()
    vae.compile(optimizer)
    vae.fit(X, verbose=0)
    assert vae.optimizer is optimizer
    assert optimizer.get_config() == before
    assert optimizer.jit_compile is keras.optimizers.Adam().jit_compile
    assert "update_step" not in vars(optimizer)


# --- an optimal sigma measures what is trained ------------------------------------------------------------


def noisy(count=4000):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(count, 1))
    return (np.concatenate([np.sin(2 * z), np.cos(2 * z), z, -z], axis=1) + 0.3 * rng.normal(size=(count, 4))).astype(
        np.float32
    )


@pytest.mark.integration
def test_under_iwae_an_optimal_sigma_maximises_the_bound():
    """At the sigma that training settles at, the importance-weighted bound is flat in sigma."""
    data = noisy(1000)
    vae = tiny_vae(objective=objectives.IWAE(16), likelihood=likelihoods.Gaussian((4,), decay=0.99))
    vae.fit(data, batch_size=100, epochs=30, verbose=0)
    vae.calibrate(data, num_samples=16)
    sigma = float(vae.likelihood.scale)

    def loss(factor):
        fixed = tiny_vae(objective=objectives.IWAE(16), likelihood=likelihoods.Gaussian((4,), scale=factor * sigma))
        fixed.encoder.set_weights(vae.encoder.get_weights())
        fixed.decoder.layers[0].set_weights(vae.decoder.layers[0].get_weights())
        fixed.decoder.layers[1].set_weights(vae.decoder.layers[1].get_weights())
        return np.mean([fixed.evaluate(data, verbose=0, batch_size=1000)[0] for _ in range(3)])

    losses = {factor: loss(factor) for factor in (0.93, 1.0, 1.07)}
    assert losses[1.0] == min(losses.values())


@pytest.mark.integration
def test_calibrate_sets_sigma_to_the_residual_without_dropout():
    L = keras.layers

    def decoder(likelihood):
        return keras.Sequential([L.InputLayer((2,)), L.Dense(32, "relu"), L.Dropout(0.3), L.Dense(4), likelihood])

    data, held_out = noisy(2000), noisy(3000)[2000:]
    vae = tiny_vae(decoder=decoder)
    vae.fit(data, batch_size=100, epochs=10, verbose=0)
    trained = float(vae.likelihood.scale)
    before = vae.evaluate(data, verbose=0, return_dict=True)["elbo"]
    vae.calibrate(data)
    sigma = float(vae.likelihood.scale)
    z = vae.encoder(data).sample(seed=1)
    residual = np.sqrt(np.mean((data - vae.decode(z)) ** 2))
    assert sigma == pytest.approx(residual, rel=0.02)
    assert trained > 1.02 * sigma
    assert vae.evaluate(data, verbose=0, return_dict=True)["elbo"] > before
    vae.calibrate(data, batch_size=7)
    assert float(vae.likelihood.scale) == pytest.approx(sigma, rel=1e-5)
    vae.calibrate(held_out)
    assert float(vae.likelihood.scale) != pytest.approx(sigma, rel=1e-4)


def test_calibrate_refuses_a_scale_that_is_not_set():
    with pytest.raises(ValueError, match=r"expected .* received"):
        tiny_vae(likelihoods.Gaussian((4,), scale=0.3)).calibrate(X)
    with pytest.raises(ValueError, match=r"expected .* received"):
        tiny_vae(likelihoods.Bernoulli((4,))).calibrate((X > 0.5).astype(np.float32))


# --- divergence -----------------------------------------------------------------------------------------


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


def test_a_weight_that_is_nan_stops_training_though_the_loss_is_finite():
    vae = tiny_vae()
    kernel = vae.encoder.layers[1].kernel
    kernel.assign(tf.concat([tf.fill((4, 1), np.nan), kernel[:, 1:]], axis=1))
    with pytest.raises(ValueError, match="NaN") as caught:
        vae.fit(X, verbose=0)
    assert len(str(caught.value)) < 500


# --- what is refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize("epochs", [{"epochs": "3"}, {"epochs": 2.5}, {"epochs": 0}, {"initial_epoch": -1}])
def test_epochs_are_whole_numbers(epochs):
    (name,) = epochs
    with pytest.raises(ValueError, match=f"^{name}: expected a whole number"):
        tiny_vae().fit(X, verbose=0, **epochs)


def test_arguments_without_a_meaning_are_refused_by_name():
    vae = tiny_vae()
    for call in (
        lambda: vae.fit(X, class_weight={0: 1.0}, verbose=0),
        lambda: vae.train_on_batch(X, class_weight={0: 1.0}),
        lambda: vae.fit(X, shuffle="batch", verbose=0),
        lambda: vae.fit(X, nonsense=1, verbose=0),
        lambda: vae.compile(loss_weights=[1.0]),
        lambda: vae.fit(X, callbacks=[print], verbose=0),
    ):
        with pytest.raises(TypeError, match=r"class_weight|shuffle|nonsense|loss_weights|callbacks"):
            call()


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


# --- a training loop of one's own -----------------------------------------------------------------------


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


# --- several replicas ------------------------------------------------------------------------------------

REPLICAS = """
import sys
sys.path[:0] = [{helpers!r}]
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from paths import ROOT
from tiny import X, tiny_vae
vae = tiny_vae()
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    for call in (tiny_vae, lambda: vae.fit(X, verbose=0)):
        try:
            call()
        except NotImplementedError as error:
            print(error)
with tf.distribute.OneDeviceStrategy("CPU:1").scope():
    print(len(tiny_vae().fit(X, verbose=0).history["loss"]))
"""


@pytest.mark.integration
def test_several_replicas_are_refused_by_name():
    code = REPLICAS.format(helpers=str(ROOT / "tests" / "helpers"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    first, second, trained = done.stdout.strip().splitlines()
    assert first.startswith("tf.distribute strategy: expected one replica, received MirroredStrategy of 2")
    assert second == first
    assert trained == "1"


# --- streams, weights and time ----------------------------------------------------------------------------


def test_the_end_of_a_stream_is_no_step():
    """A dataset of unknown length, and a generator, train the model that an array trains, for three epochs."""
    expected, received = tiny_vae(), tiny_vae()
    known = tf.data.Dataset.from_tensor_slices(X).batch(32)
    logs = expected.fit(known, epochs=3, verbose=0).history
    of_unknown_length = known.filter(lambda batch: True)
    assert received.fit(of_unknown_length, epochs=3, verbose=0).history == logs
    assert int(received.steps_done) == int(received.optimizer.iterations) == 9
    assert float(received.likelihood.scale) == float(expected.likelihood.scale)


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


def test_a_batch_without_weight_counts_nothing():
    vae, weight = tiny_vae(learning_rate=1e-9), np.repeat([0.0, 1.0], [64, 32])
    vae.fit(X, batch_size=32, shuffle=False, sample_weight=weight, verbose=0)
    alone = tiny_vae(learning_rate=1e-9)
    alone.fit(X[64:], batch_size=32, shuffle=False, verbose=0)
    assert float(vae.likelihood.scale) == pytest.approx(float(alone.likelihood.scale), rel=0.1)  # other noise
    assert float(vae.likelihood.update_count) == 1


@pytest.mark.parametrize("shuffle", [False, True])
def test_an_epoch_is_so_many_steps(shuffle):
    vae = tiny_vae()
    vae.fit(X, batch_size=32, shuffle=shuffle, steps_per_epoch=2, epochs=4, verbose=0)
    assert int(vae.steps_done) == 8
    with pytest.raises(ValueError, match="steps_per_epoch: expected at most 3"):
        vae.fit(X, batch_size=32, shuffle=shuffle, steps_per_epoch=4, verbose=0)


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


def test_other_networks_are_used_at_once():
    vae, z = tiny_vae(), np.zeros((3, 2), np.float32)
    vae.decode(z)
    vae.decoder = networks.mlp_decoder(2, likelihoods.Gaussian((4,)), hidden=(8,))
    np.testing.assert_allclose(vae.decode(z), vae.decoder(z).mean(), rtol=1e-6)


@pytest.mark.integration
def test_calibrate_maximises_the_objective_whatever_the_draws():
    """More draws sharpen the estimate of the same bound, that of two draws."""
    vae = tiny_vae(objective=objectives.IWAE(2))
    vae.fit(X, epochs=20, verbose=0)
    vae.calibrate(X, num_samples=200)
    many = float(vae.likelihood.scale)
    vae.calibrate(X, num_samples=2)
    assert many == pytest.approx(float(vae.likelihood.scale), rel=0.02)


def test_a_checkpoint_of_every_epoch_watches_nothing(recwarn, tmp_path):
    every = keras.callbacks.ModelCheckpoint(str(tmp_path / "x.keras"))
    tiny_vae(objective=objectives.GECO(1.0)).fit(X, verbose=0, callbacks=[every])
    assert not [warning for warning in recwarn if "watches" in str(warning.message)]


def test_a_generator_is_one_epoch():
    batches = (X[i : i + 32] for i in range(0, len(X), 32))
    with pytest.raises(ValueError, match="epochs: expected steps_per_epoch beside a generator"):
        tiny_vae().fit(batches, epochs=3, verbose=0)


def test_a_later_batch_outside_the_support_is_one_line():
    data = tf.data.Dataset.from_tensor_slices(np.repeat([0.0, 1.0, 7.0], 32)[:, None] * np.ones((1, 4))).batch(32)
    with pytest.raises(ValueError, match="Data for Bernoulli") as caught:
        tiny_vae(likelihoods.Bernoulli((4,))).fit(data, verbose=0)
    assert "\n" not in str(caught.value)


def test_what_is_of_keras_3_is_refused_with_the_remedy():
    keras3 = pytest.importorskip("keras", reason="Keras 3 is not installed")
    foreign = keras3.Sequential([keras3.layers.Dense(4)])
    with pytest.raises(TypeError, match=r"The decoder: expected a model of tf_keras.* Import tf_keras as keras"):
        vae_tf.VAE(tiny_vae().encoder, foreign, priors.StandardNormal(2))
    with pytest.raises(TypeError, match="optimizer: expected an optimizer of tf_keras"):
        tiny_vae().compile(keras3.optimizers.Adam())
    with pytest.raises(TypeError, match=r"callbacks: .* Keras' are in tf_keras.callbacks"):
        tiny_vae().fit(X, callbacks=[keras3.callbacks.EarlyStopping()], verbose=0)
    with pytest.raises(TypeError, match=r"callbacks: .* Pass instances"):
        tiny_vae().fit(X, callbacks=MSEEquivalence, verbose=0)


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
