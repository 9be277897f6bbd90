"""What a VAE is saved as, and what is refused with the file that is there left as it is."""

import functools
import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from models import SHAPE, make_vae

import vae_tf

L = keras.layers
X = np.random.default_rng(0).random((32, *SHAPE), dtype=np.float32)


@pytest.fixture(scope="module")
def vae():
    vae = make_vae()
    vae.fit(X, verbose=0)
    return vae


@pytest.fixture
def kept(tmp_path):
    """A folder with files of every name that is tried; afterwards they are as they were, and nothing is beside them."""
    names = ("x.h5", "x.hdf5", "folder", "x.keras", "x.weights.h5", "x.tf")
    for name in names:
        (tmp_path / name).write_text("what was there")
    yield tmp_path
    assert sorted(os.listdir(tmp_path)) == sorted(names)
    assert all((tmp_path / name).read_text() == "what was there" for name in names)


FOREIGN = {
    "h5": lambda vae, folder: vae.save(folder / "x.h5"),
    "hdf5": lambda vae, folder: vae.save(str(folder / "x.hdf5")),
    "folder": lambda vae, folder: vae.save(folder / "folder"),
    "tf": lambda vae, folder: vae.save(folder / "folder", save_format="tf"),
    "tensorflow": lambda vae, folder: vae.save(folder / "x.tf", save_format="tensorflow"),
    "h5_by_format": lambda vae, folder: vae.save(folder / "folder", save_format="h5"),
    "h5_as_keras": lambda vae, folder: vae.save(folder / "x.keras", save_format="h5"),
    "tf_as_keras": lambda vae, folder: vae.save(folder / "x.keras", save_format="tf"),
    "keras_elsewhere": lambda vae, folder: vae.save(folder / "x.h5", save_format="keras"),
    "options": lambda vae, folder: vae.save(folder / "x.h5", overwrite=True, options=tf.saved_model.SaveOptions()),
    "export": lambda vae, folder: vae.export(folder / "folder"),
    "export_of_text": lambda vae, folder: vae.export(str(folder / "x.onnx")),
    "function": lambda vae, folder: keras.models.save_model(vae, folder / "folder"),
    "function_tf": lambda vae, folder: keras.models.save_model(vae, folder / "x.tf", save_format="tf"),
    "saved_model": lambda vae, folder: tf.saved_model.save(vae, str(folder / "folder")),
}


@pytest.mark.parametrize("called", [False, True], ids=["fresh", "called"])
@pytest.mark.parametrize("way", FOREIGN)
def test_foreign_formats_are_refused_with_both_ways_out(way, called, kept, vae):
    """Keras takes other paths through its code once a model was called, and each had an error of its own."""
    if called:
        vae(X[:2])
    with pytest.raises(ValueError, match=r"vae\.save\('.*\.keras'\).*vae_tf_onnx\.export\(vae, 'folder'\)"):
        FOREIGN[way](vae, kept)


def test_the_remedy_is_the_line_to_type(vae, tmp_path):
    with pytest.raises(ValueError, match=r"received '.*a\.h5'\. Call vae\.save\('a\.keras'\)"):
        vae.save(tmp_path / "a.h5")
    with pytest.raises(ValueError, match=r"with save_format='tf'\. Call vae\.save\('b\.keras'\)"):
        vae.save(tmp_path / "b", save_format="tf")


@pytest.mark.parametrize("name", ["x.h5", "folder"])
def test_a_checkpoint_callback_is_refused_alike(name, kept):
    vae = make_vae()
    with pytest.raises(ValueError, match=r"\.keras"):
        vae.fit(X, verbose=0, callbacks=[keras.callbacks.ModelCheckpoint(str(kept / name))])


def test_a_checkpoint_callback_with_a_good_name_saves(tmp_path):
    vae = make_vae()
    names = ("whole.keras", "part.weights.h5", "checkpoint")
    checkpoints = [
        keras.callbacks.ModelCheckpoint(str(tmp_path / name), save_weights_only=i > 0) for i, name in enumerate(names)
    ]
    vae.fit(X, verbose=0, callbacks=checkpoints)
    same_weights(vae_tf.load(tmp_path / names[0]), vae)
    for name in names[1:]:
        other = make_vae(seed=1)
        other.load_weights(str(tmp_path / name))
        same_weights(other, vae)


@pytest.mark.parametrize("path", [None, 3, b"x.keras" if os.name == "nt" else object()])
def test_what_is_no_path_is_refused(path, vae):
    with pytest.raises(TypeError, match="filepath: expected a path"):
        vae.save(path)


@pytest.mark.parametrize("save_format", [None, "keras", "keras_v3"])
def test_the_one_format(save_format, vae, tmp_path):
    vae.save(tmp_path / "new" / "vae.keras", save_format=save_format)
    same_weights(vae_tf.load(tmp_path / "new" / "vae.keras"), vae)


@pytest.mark.parametrize("name", ["include_optimizer", "signatures", "save_traces"])
def test_arguments_of_other_formats_are_refused_by_name(name, kept, vae):
    with pytest.raises(ValueError, match=f"received {name}"):
        vae.save(kept / "x.keras", **{name: False})


def test_a_file_is_not_replaced_unless_that_is_meant(kept, vae):
    for save, name in ((vae.save, "x.keras"), (vae.save_weights, "x.weights.h5")):
        with pytest.raises(FileExistsError, match="overwrite=True"):
            save(kept / name, overwrite=False)


def test_a_remote_file_is_written_here_and_copied_there(vae, tmp_path, monkeypatch):
    copies = []
    monkeypatch.setattr(tf.io.gfile, "copy", lambda *paths, overwrite: copies.append((Path(paths[0]).name, paths[1])))
    monkeypatch.setattr(tf.io.gfile, "exists", lambda path: False)
    monkeypatch.chdir(tmp_path)
    vae.save("gs://bucket/vae.keras")
    assert copies == [("vae.keras", "gs://bucket/vae.keras")]
    assert os.listdir(tmp_path) == []


def same_weights(a, b):
    for one, other in zip(a.weights, b.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


# --- weights alone -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("save_format", [None, "h5"])
def test_weights_come_back(save_format, vae, tmp_path):
    vae.save_weights(tmp_path / "a.weights.h5", save_format=save_format)
    other = make_vae(seed=1)
    other.load_weights(tmp_path / "a.weights.h5")
    same_weights(other, vae)


@pytest.mark.parametrize("save_format", [None, "tf"])
def test_a_tensorflow_checkpoint_of_the_weights_comes_back(save_format, vae, tmp_path):
    vae.save_weights(tmp_path / "checkpoint", save_format=save_format)
    other = make_vae(seed=1)
    other.load_weights(tmp_path / "checkpoint").expect_partial()
    same_weights(other, vae)


@pytest.mark.parametrize(
    ("name", "save_format"),
    [("x.h5", None), ("x.hdf5", None), ("x.keras", None), ("folder", "h5"), ("x.weights.h5", "tf"), ("x.h5", "tf")],
)
def test_formats_that_lose_weights_are_refused(name, save_format, kept, vae):
    with pytest.raises(ValueError, match=r"vae\.save_weights\('(x|folder)\.weights\.h5'\)"):
        vae.save_weights(kept / name, save_format=save_format)


def test_the_old_format_does_lose_weights(vae, tmp_path):
    """The reason for the refusal: the count of steps is not in the file, and nothing says so."""
    keras.Model.save_weights(vae, tmp_path / "old.h5")
    other = make_vae(seed=1)
    other.load_weights(tmp_path / "old.h5")
    assert int(vae.steps_done) > 0
    assert int(other.steps_done) == 0


# --- weights that are not finite -----------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["weights", "slots"])
def test_a_diverged_model_does_not_replace_the_last_good_file(place, kept):
    vae = make_vae()
    vae.fit(X, verbose=0)
    variable = vae.decoder.layers[0].kernel if place == "weights" else vae.optimizer.variables[2]
    variable.assign(np.full(variable.shape, np.nan, np.float32))
    by_keras = functools.partial(keras.models.save_model, vae)
    names = {vae.save: "x.keras", by_keras: "x.keras", vae.save_weights: "x.weights.h5"}
    for save, name in (*names.items(), (vae.save_weights, "folder")):
        with pytest.raises(ValueError, match="Weights to be saved: expected finite numbers") as caught:
            save(kept / name)
        assert variable.name in str(caught.value)


def test_a_save_that_is_interrupted_leaves_the_file_as_it_is(kept, vae, monkeypatch):
    def interrupted(*arguments, **keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr(vae, "save_own_variables", interrupted)
    for save, name in ((vae.save, "x.keras"), (vae.save_weights, "x.weights.h5")):
        with pytest.raises(KeyboardInterrupt):
            save(kept / name)


# --- models that could not be loaded -------------------------------------------------------------------------


@keras.saving.register_keras_serializable("mine")
class Mine(L.Layer):
    def call(self, inputs):
        return inputs


class Unregistered(L.Layer):
    def call(self, inputs):
        return inputs


@keras.saving.register_keras_serializable("mine")
class WithFiles(Mine):
    def save_assets(self, store):
        Path(store, "words.txt").write_text("a b c")

    def load_assets(self, store):
        raise AssertionError(store)


def softer(x):
    return tf.tanh(x / 2)


def with_layers(*layers):
    """A VAE whose encoder has these layers first."""
    x = keras.Input(SHAPE)
    h = x
    for layer in layers:
        h = layer(h)
    h = L.Dense(4)(L.Flatten()(h))
    return vae_tf.VAE(
        keras.Model(x, vae_tf.posteriors.DiagonalNormal(2)(h)),
        vae_tf.networks.mlp_decoder(2, vae_tf.likelihoods.Gaussian(SHAPE), hidden=(3,)),
        vae_tf.priors.StandardNormal(2),
    )


LOST = {
    "Lambda": lambda: with_layers(L.Lambda(lambda x: 2 * x)),
    "named Lambda": lambda: with_layers(L.Lambda(tf.nn.relu)),
    "TFOpLambda": lambda: with_layers(lambda x: 2 * x),
    "SlicingOpLambda": lambda: with_layers(lambda x: x[:, :2]),
    "nested Lambda": lambda: with_layers(keras.Sequential([L.Lambda(lambda x: x)])),
    "wrapped Lambda": lambda: with_layers(L.TimeDistributed(L.Lambda(lambda x: x))),
    "activation": lambda: with_layers(L.Dense(3, activation=lambda x: x)),
    "IntegerLookup": lambda: with_layers(L.IntegerLookup(vocabulary=[1, 2]), L.Rescaling(1.0)),
    "assets": lambda: with_layers(WithFiles()),
}


THEIRS = pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")  # Keras says so too


@THEIRS
@pytest.mark.parametrize("name", LOST)
def test_a_model_that_could_not_be_loaded_is_refused_when_it_is_saved(name, kept):
    vae = LOST[name]()
    with pytest.raises(ValueError, match=r"is not written, because vae_tf\.load would refuse it: expected") as caught:
        vae.save(kept / "x.keras")
    assert name.split(" ")[-1] in str(caught.value)


def test_layers_of_the_caller_are_no_reason_to_refuse(tmp_path):
    vae = with_layers(Mine(), Unregistered(), L.Dense(3, activation=softer))
    vae.save(tmp_path / "vae.keras")
    custom = {"mine>Mine": Mine, "Unregistered": Unregistered, "softer": softer}
    same_weights(vae_tf.load(tmp_path / "vae.keras", custom), vae)


@THEIRS
def test_what_is_compiled_in_is_judged_too(kept):
    vae = make_vae(metrics=[lambda x, p: 0.0])
    with pytest.raises(ValueError, match="__lambda__"):
        vae.save(kept / "x.keras")
