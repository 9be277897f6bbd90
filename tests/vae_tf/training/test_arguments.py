"""Arguments of Keras' methods that a VAE refuses, each by its name."""

import subprocess
import sys

import pytest
import tf_keras as keras
from paths import ROOT
from tiny import X, tiny_vae

import vae_tf
from vae_tf import objectives, priors
from vae_tf.callbacks import MSEEquivalence

COUNTS = {
    "epochs": ("3", 2.5, 0),
    "initial_epoch": (-1,),
    "steps_per_epoch": (0, -1, "2"),
    "batch_size": (0,),
    "validation_batch_size": (0,),
    "validation_steps": (0, "a"),
}


@pytest.mark.parametrize(("name", "count"), [(name, count) for name, counts in COUNTS.items() for count in counts])
def test_counts_are_whole_numbers_and_a_refusal_changes_nothing(name, count):
    vae = tiny_vae(objective=objectives.ELBO(objectives.linear(4, "epochs")))
    with pytest.raises(ValueError, match=f"^{name}: expected a whole number of at least 1, received {count!r}"):
        vae.fit(X, validation_data=X, verbose=0, **{name: count})
    assert float(vae.progress.epoch) == 0
    assert float(vae.clock.steps_per_epoch) == 0


def test_arguments_without_a_meaning_are_refused_by_name():
    vae = tiny_vae()
    for call in (
        lambda: vae.fit(X, class_weight={0: 1.0}, verbose=0),
        lambda: vae.train_on_batch(X, class_weight={0: 1.0}),
        lambda: vae.fit(X, shuffle="batch", verbose=0),
        lambda: vae.fit(X, nonsense=1, verbose=0),
        lambda: vae.compile(loss_weights=[1.0]),
        lambda: vae.fit(X, callbacks=[print], verbose=0),
        lambda: vae.fit(X, callbacks=print, verbose=0),
        lambda: vae.fit(X, callbacks=5, verbose=0),
        lambda: vae.compile(keras.optimizers.Adam),
        lambda: vae.compile(None),
    ):
        with pytest.raises(TypeError, match=r"class_weight|shuffle|nonsense|loss_weights|callbacks: |optimizer: "):
            call()


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
