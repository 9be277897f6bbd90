"""Saving and loading: files come back whole, and hostile files are refused before anything in them runs."""

import base64
import contextlib
import copy
import io
import json
import os
import pathlib
import pickle
import subprocess
import sys
import time
import warnings
import zipfile
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from paths import ROOT

import vae_tf

L = keras.layers
SHAPE = (4, 4, 1)


# --- files ---------------------------------------------------------------------------------------------------


def images(n: int = 6) -> np.ndarray:
    return np.random.default_rng(0).random((n, *SHAPE), dtype=np.float32)


def make(encoder: Any = None, optimizer: Any = "adam", fit: bool = True, **kwargs: Any) -> vae_tf.VAE:
    keras.utils.set_random_seed(0)
    posterior = vae_tf.posteriors.DiagonalNormal(2)
    likelihood = vae_tf.likelihoods.Gaussian(SHAPE, scale="optimal")
    vae = vae_tf.VAE(
        encoder or vae_tf.networks.mlp_encoder(SHAPE, posterior, hidden=(3,)),
        vae_tf.networks.mlp_decoder(2, likelihood, hidden=(3,)),
        vae_tf.priors.StandardNormal(2),
    )
    vae.compile(optimizer, run_eagerly=True, **kwargs)
    if fit:
        vae.fit(images(), epochs=2, batch_size=3, verbose=0)
    else:
        vae.optimizer.build(vae.trainable_variables)
    return vae


def functional(*layers: Any) -> keras.Model:
    """An encoder as a user writes it."""
    x = keras.Input(SHAPE)
    h = x
    for layer in layers:
        h = layer(h)
    h = L.Dense(4)(L.Flatten()(h))
    return keras.Model(x, vae_tf.posteriors.DiagonalNormal(2)(h))


@pytest.fixture(scope="module")
def trained() -> vae_tf.VAE:
    return make(functional(L.BatchNormalization()))


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory, trained: vae_tf.VAE) -> pathlib.Path:
    path = tmp_path_factory.mktemp("good") / "vae.keras"
    trained.save(path)
    return path


def rewrite(source: pathlib.Path, target: pathlib.Path, members: dict[str, bytes]) -> pathlib.Path:
    """A copy of the archive with some members replaced or added."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        contents = {name: old.read(name) for name in old.namelist()} | members
        for name, content in contents.items():
            new.writestr(name, content)
    return target


def config_of(path: pathlib.Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("config.json"))


@pytest.fixture
def hostile(good: pathlib.Path, tmp_path: pathlib.Path) -> Callable[..., pathlib.Path]:
    """Writes the good file with an entry planted at a path of keys in its configuration."""

    def write(entry: Any, *where: Any) -> pathlib.Path:
        config = config_of(good)
        node = config
        for key in where[:-1]:
            node = node[key]
        if where:
            node[where[-1]] = entry
        else:
            config = entry
        return rewrite(good, tmp_path / "hostile.keras", {"config.json": json.dumps(config).encode()})

    return write


# --- what must load ------------------------------------------------------------------------------------------


def check_same(loaded: vae_tf.VAE, vae: vae_tf.VAE) -> None:
    assert loaded.get_config() == vae.get_config()
    assert loaded.get_compile_config() == vae.get_compile_config()
    for a, b in zip(loaded.weights, vae.weights, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    for a, b in zip(loaded.optimizer.variables, vae.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    np.testing.assert_array_equal(loaded.reconstruct(images()), vae.reconstruct(images()))
    np.testing.assert_array_equal(loaded.sample(3, seed=0), vae.sample(3, seed=0))


def test_what_was_saved_comes_back(good, trained):
    loaded = vae_tf.load(good)
    check_same(loaded, trained)
    assert int(loaded.optimizer.iterations) == 4
    statistics = [w for w in loaded.non_trainable_weights if "moving_mean" in w.name]
    assert np.abs(statistics[0].numpy()).max() > 0


def test_training_goes_on_as_if_it_had_never_stopped(tmp_path):
    vae, path = make(), tmp_path / "vae.keras"
    vae.save(path)
    loaded = vae_tf.load(str(path))
    for model in (vae, loaded):
        model.fit(images(), epochs=3, initial_epoch=2, batch_size=3, verbose=0)
    check_same(loaded, vae)


def test_in_a_fresh_process_import_vae_tf_is_enough(good, trained, tmp_path):
    """For plain Keras; and with vae_tf.saving come all modules that register a class."""
    sources = [p for p in (ROOT / "vae_tf").rglob("*.py") if "register_keras_serializable(" in p.read_text()]
    modules = [".".join(p.relative_to(ROOT).with_suffix("").parts) for p in sources]
    assert "vae_tf.vae" in modules
    np.save(tmp_path / "x.npy", images())
    script = (
        "import sys, numpy as np, vae_tf, tf_keras\n"
        "model, x, y, *modules = sys.argv[1:]\n"
        "vae = tf_keras.models.load_model(model, safe_mode=True)\n"
        "assert isinstance(vae, vae_tf.VAE) and int(vae.optimizer.iterations) == 4\n"
        "np.save(y, vae.reconstruct(np.load(x)))\n"
        "assert type(vae_tf.load(model)) is vae_tf.VAE and set(modules) <= set(sys.modules)\n"
    )
    files = [good, tmp_path / "x.npy", tmp_path / "y.npy"]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-c", script, *map(str, files), *modules]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), trained.reconstruct(images()), rtol=1e-5)


SCHEDULE = keras.optimizers.schedules.ExponentialDecay(1e-2, 10, 0.9)
ENCODERS = {
    "convolutions": lambda: functional(
        L.Conv2D(2, 3, kernel_regularizer="l2", bias_regularizer=keras.regularizers.L1(0.1), padding="same"),
        L.Conv2D(2, 3, kernel_constraint="max_norm", kernel_initializer="he_normal"),
    ),
    "normalisations": lambda: functional(
        L.Normalization(mean=np.zeros(1), variance=np.ones(1)),
        L.Rescaling(2.0),
        L.BatchNormalization(),
        L.Dropout(0.1),
        L.LayerNormalization(),
    ),
    "activations": lambda: functional(
        L.Dense(3, activation="gelu"),
        L.Activation(keras.activations.gelu),
        L.Dense(3, activation="silu"),
        L.Dense(3, activation=tf.nn.leaky_relu),
        L.Dense(3, activation=L.LeakyReLU()),
        L.PReLU(),
    ),
    "mixed": lambda: functional(L.Dense(3, dtype="mixed_float16")),
    "recurrent": lambda: functional(
        L.Reshape((4, 4)),
        L.Bidirectional(L.SimpleRNN(2, return_sequences=True)),
        L.TimeDistributed(L.Dense(2)),
        L.RNN([L.GRUCell(2), L.LSTMCell(2)]),
    ),
    "nested": lambda: functional(keras.Sequential([L.Conv2D(2, 3), L.MaxPooling2D()])),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_encoders_of_keras_layers_load(name, tmp_path):
    vae = make(ENCODERS[name](), fit=False)
    vae.save(tmp_path / "vae.keras")
    check_same(vae_tf.load(tmp_path / "vae.keras"), vae)


def test_convolutional_networks_and_bernoulli_load(tmp_path):
    vae = vae_tf.VAE(
        vae_tf.networks.conv_encoder(SHAPE, vae_tf.posteriors.DiagonalNormal(2), filters=(2, 2), hidden=3),
        vae_tf.networks.conv_decoder(2, vae_tf.likelihoods.Bernoulli(SHAPE), filters=(2, 2), hidden=3),
        vae_tf.priors.StandardNormal(2),
        vae_tf.objectives.ELBO(2.0),
        seed=3,
    )
    vae.save(tmp_path / "vae.keras")  # never compiled
    loaded = vae_tf.load(tmp_path / "vae.keras")
    assert loaded.get_config() == vae.get_config()
    np.testing.assert_array_equal(loaded.reconstruct(images()), vae.reconstruct(images()))


OPTIMIZERS = {
    "schedule": lambda: keras.optimizers.AdamW(SCHEDULE, weight_decay=1e-3, clipnorm=1.0),
    "loss_scale": lambda: keras.mixed_precision.LossScaleOptimizer(keras.optimizers.Adam(SCHEDULE)),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_load(name, tmp_path):
    vae = make(optimizer=OPTIMIZERS[name]())
    vae.save(tmp_path / "vae.keras")
    loaded = vae_tf.load(tmp_path / "vae.keras")
    assert type(loaded.optimizer) is type(vae.optimizer)
    check_same(loaded, vae)


def test_metrics_load(tmp_path):
    metrics = ["mse", "mae", "accuracy", keras.losses.mean_squared_error, keras.metrics.RootMeanSquaredError()]
    vae = make(metrics=metrics, fit=False)
    vae.save(tmp_path / "vae.keras")
    assert vae_tf.load(tmp_path / "vae.keras").get_compile_config() == vae.get_compile_config()


# --- classes of the caller -----------------------------------------------------------------------------------


@keras.saving.register_keras_serializable("mine")
class Twice(L.Layer):
    def call(self, inputs):
        return 2 * inputs


@keras.saving.register_keras_serializable("mine")
def softer(x):
    return tf.tanh(x / 2)


class Unregistered(L.Layer):
    def call(self, inputs):
        return inputs


CUSTOM = {"mine>Twice": Twice, "mine>softer": softer, "Unregistered": Unregistered}


@pytest.fixture
def custom_file(tmp_path: pathlib.Path) -> pathlib.Path:
    vae = make(functional(Twice(), L.Dense(3, activation=softer), Unregistered()), fit=False)
    vae.save(tmp_path / "custom.keras")
    return tmp_path / "custom.keras"


def test_classes_of_the_caller_load(custom_file):
    loaded = vae_tf.load(custom_file, custom_objects=CUSTOM)
    assert {Twice, Unregistered} <= {type(layer) for layer in loaded.encoder.layers}
    assert loaded.reconstruct(images()).shape == (6, *SHAPE)


@pytest.mark.parametrize("missing", CUSTOM)
def test_classes_of_the_caller_are_refused_unless_given(custom_file, missing):
    with pytest.raises(ValueError, match=f"refused.*custom_objects={{'{missing}': ...}}"):
        vae_tf.load(custom_file, {name: value for name, value in CUSTOM.items() if name != missing})


def test_custom_objects_do_not_let_code_in(hostile, tmp_path):
    op = entry("tf_keras.src.layers.core.tf_op_layer", "TFOpLambda", {"function": "io.write_file"}, "TFOpLambda")
    with pytest.raises(ValueError, match=r"refused.*TFOpLambda"):
        vae_tf.load(hostile(op, *PLACES["layer"]), {"TFOpLambda": L.Dense})


def test_a_name_by_which_keras_does_not_look_does_not_count(custom_file):
    with pytest.raises(ValueError, match="'Twice' of module"):
        vae_tf.load(custom_file, CUSTOM | {"mine>Twice": L.Dense, "Twice": Twice})


# --- what must not -------------------------------------------------------------------------------------------


class Touch:
    """Pickles into a call that creates a folder."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def tfp_payload(marker: pathlib.Path) -> dict[str, Any]:
    code = base64.encodebytes(pickle.dumps(Touch(marker))).decode()
    return {
        "module": "tensorflow_probability.python.layers.distribution_layer",
        "class_name": "DistributionLambda",
        "config": {
            "name": "encoder", "trainable": True, "dtype": "float32", "function": "relu",
            "function_type": "function", "module": None, "output_shape": None, "output_shape_type": "raw",
            "output_shape_module": None, "arguments": {}, "make_distribution_fn": code,
            "convert_to_tensor_fn": "sample",
        },
        "registered_name": "DistributionLambda",
    }  # fmt: skip


def entry(module: Any, name: Any, config: Any = None, registered: Any = None) -> dict[str, Any]:
    return {"module": module, "class_name": name, "config": config or {}, "registered_name": registered}


def refuses(path: pathlib.Path, name: str, tmp_path: pathlib.Path) -> str:
    """The file is refused by the name of what it wants to run, and nothing ran."""
    before = set(sys.modules)
    with pytest.raises(ValueError, match="nothing in it was executed") as caught:
        vae_tf.load(path)
    assert name in str(caught.value)
    assert not (tmp_path / "marker").exists()
    assert not {"evil_module", "antigravity"} & (set(sys.modules) - before)
    return str(caught.value)


PLACES = {
    "root": (),
    "encoder": ("config", "encoder"),
    "layer": ("config", "encoder", "config", "layers", 1),
    "argument": ("config", "encoder", "config", "layers", 1, "config", "momentum"),
    "deep": ("config", "encoder", "config", "layers", 1, "config", "odd"),
    "node": ("config", "encoder", "config", "layers", 1, "inbound_nodes"),
    "build": ("config", "decoder", "build_config"),
    "optimizer": ("compile_config", "optimizer"),
    "rate": ("compile_config", "optimizer", "config", "learning_rate"),
    "loss": ("compile_config", "loss"),
    "metrics": ("compile_config", "metrics"),
    "unknown": ("compile_config", "unknown"),
}


@pytest.mark.parametrize("place", PLACES)
def test_the_tfp_pickle_is_refused_wherever_it_stands(place, hostile, tmp_path):
    payload: Any = tfp_payload(tmp_path / "marker")
    if place in ("deep", "node", "metrics"):
        payload = [{"a": [[{"b": payload}]]}]
    text = refuses(hostile(payload, *PLACES[place]), "DistributionLambda", tmp_path)
    assert "custom_objects={" not in text  # nobody is told how to run it


@pytest.mark.parametrize("argument", ["make_distribution_fn", "convert_to_tensor_fn", "function"])
def test_our_layers_unpickle_nothing(argument, hostile, tmp_path):
    code = tfp_payload(tmp_path / "marker")["config"]["make_distribution_fn"]
    path = hostile(code, "config", "encoder", "config", "layers", -1, "config", argument)
    with contextlib.suppress(ValueError):  # TFP throws the last one away
        vae_tf.load(path)
    assert not (tmp_path / "marker").exists()


def plain_load(path: pathlib.Path) -> None:
    """Keras alone, whatever it says after the harm is done."""
    with warnings.catch_warnings(), contextlib.suppress(Exception):
        warnings.simplefilter("ignore")
        keras.models.load_model(path, safe_mode=True)


@pytest.mark.parametrize("place", ["root", "encoder", "loss", "unknown"])
def test_the_tfp_pickle_runs_in_plain_keras(place, hostile, tmp_path):
    payload = tfp_payload(tmp_path / "marker")
    plain_load(hostile(payload, *PLACES[place]))
    assert (tmp_path / "marker").exists(), "the payload is harmless: the tests above show nothing"


@pytest.fixture
def evil_module(tmp_path, monkeypatch):
    """A module on the path that creates the marker when it is imported."""
    (tmp_path / "evil_module.py").write_text(f"open({str(tmp_path / 'marker')!r}, 'w').close()\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield entry("evil_module", "Evil", registered="Evil")
    sys.modules.pop("evil_module", None)


def test_a_module_that_a_file_names_is_not_imported(evil_module, hostile, tmp_path):
    refuses(hostile(evil_module, *PLACES["encoder"]), "'Evil' of module 'evil_module'", tmp_path)


def test_plain_keras_imports_a_module_that_a_file_names(evil_module, hostile, tmp_path):
    plain_load(hostile(evil_module, *PLACES["encoder"]))
    assert (tmp_path / "marker").exists()


LAMBDA = entry("keras.layers", "Lambda", {"function": "relu", "function_type": "function"})
POPEN = {"args": ["touch", "marker"]}
ENTRIES = {
    "subprocess": entry("subprocess", "Popen", POPEN),
    "registered_popen": entry("subprocess", "Popen", POPEN, "Popen"),
    "hidden_behind_vae": entry("subprocess", "Popen", POPEN, "vae_tf>VAE"),
    "vae_of_another_module": entry("subprocess", "VAE", POPEN, "vae_tf>VAE"),
    "unknown_of_vae_tf": entry("vae_tf.vae", "Popen", POPEN, "vae_tf>Popen"),
    "imported_by_vae_tf": entry("vae_tf.vae", "np", {}, "np"),
    "imported_by_keras": entry("tf_keras.src.utils.generic_utils", "func_load", {"code": ""}, "func_load"),
    "lambda": LAMBDA,
    "dotted_lambda": entry("keras", "layers.Lambda", LAMBDA["config"]),
    "tf_keras_lambda": entry("tf_keras.layers", "Lambda", LAMBDA["config"]),
    "old_lambda": {"class_name": "Lambda", "config": LAMBDA["config"]},
    "lambda_as_vae": entry("vae_tf.vae", "Lambda", LAMBDA["config"], "vae_tf>VAE"),
    "lambda_v1": entry("compat.v1.keras.layers", "Lambda", LAMBDA["config"]),
    "old_function": {"class_name": "deserialize_keras_object", "config": {"config": LAMBDA, "safe_mode": False}},
    "no_config": {"module": "keras.layers", "class_name": "Lambda", "registered_name": None},
    "bytecode": {"class_name": "__lambda__", "config": {"value": ["", None, None]}},
    "tensor_and_more": {"class_name": "__tensor__", "config": {}, "module": "os", "registered_name": "x"},
    "typespec": entry("antigravity", "__typespec__", [], "x") | {"spec_name": "x"},
    "tf_op": entry("tf_keras.src.layers.core.tf_op_layer", "TFOpLambda", {"function": "io.write_file"}, "TFOpLambda"),
    "slicing": entry("tf_keras.src.layers.core.tf_op_layer", "SlicingOpLambda", {}, "SlicingOpLambda"),
    "method": entry("tf_keras.src.layers.core.tf_op_layer", "ClassMethod", {}, "ClassMethod"),
    "wrapper": entry("keras.layers", "TimeDistributed", {"layer": LAMBDA}),
    "both_ways": entry("keras.layers", "Bidirectional", {"layer": LAMBDA, "backward_layer": None}),
    "cell": entry("keras.layers", "RNN", {"cell": [LAMBDA]}),
    "old_cell": entry("keras.layers", "ResidualWrapper", {"cell": {}, "residual_fn_type": "lambda"}),
    "nn_cell": entry("nn", "RNNCellResidualWrapper", {}),
    "vocabulary": entry("keras.layers", "StringLookup", {"vocabulary": "/etc/passwd"}),
    "integers": entry("keras.layers", "IntegerLookup", {"vocabulary": "/etc/passwd"}),
    "text": entry("keras.layers", "TextVectorization", {"vocabulary": "/etc/passwd"}),
    "old_text": entry("keras.layers.experimental.preprocessing", "TextVectorization", {}),
    "feature_space": entry("keras.utils", "FeatureSpace", {"features": {}}),
    "column": entry("keras.layers", "DenseFeatures", {"columns": [{"class_name": "NumericColumn", "config": {}}]}),
    "callback": entry("keras.callbacks", "BackupAndRestore", {"backup_dir": "."}),
    "internal": entry("keras.__internal__.losses", "LossFunctionWrapper", {"fn": "mse"}),
    "no_class": entry("keras.utils", "get_file", {"fname": "x", "origin": "file:///etc/passwd"}),
    "registered_by_keras": entry("x", "CustomScaleLayer", {}, "Custom>CustomScaleLayer"),
    "list_as_name": entry("os", ["Popen"]),
    "list_as_module": entry(["Popen"], "Dense"),
    "dict_as_registered": entry("keras.layers", "Dense", {}, {"Popen": 1}),
    "system": entry("os", "function", "system", "system"),
    "eval": entry("builtins", "function", "eval", "function"),
    "posix": entry("posix", "function", "system", "function"),
    "getter": entry("builtins", "function", "get", "function"),
    "get_file": entry("keras.utils", "function", "get_file", "get_file"),
    "two_names": entry("keras.activations", "function", "relu", "deserialize"),
    "two_modules": entry("os", "function", "relu", "function"),
    "class_as_function": entry("builtins", "function", "Adam", "function"),
    "no_function": entry("builtins", "function", ["system"], "function"),
}  # fmt: skip
NAMES = {
    "tensor_and_more": "__tensor__", "wrapper": "Lambda", "both_ways": "Lambda", "cell": "Lambda",
    "column": "NumericColumn", "list_as_module": "Dense", "dict_as_registered": "Dense",
}  # fmt: skip


@pytest.mark.parametrize("place", ["layer", "argument", "metrics"])
@pytest.mark.parametrize("attack", ENTRIES)
def test_what_is_not_known_is_refused(attack, place, hostile, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    planted = copy.deepcopy(ENTRIES[attack])
    name = planted["config"] if planted["class_name"] == "function" else planted["class_name"]
    refuses(hostile(planted, *PLACES[place]), NAMES.get(attack, str(name)), tmp_path)


STRINGS = {
    "deserialize": ("config", "decoder", "config", "layers", 1, "config", "activation"),
    "Lambda": ("config", "decoder", "config", "layers", 1, "config", "activation"),
    "keras_export": ("config", "decoder", "config", "layers", 1, "config", "kernel_regularizer"),
    "get": ("config", "decoder", "config", "layers", 1, "config", "bias_constraint"),
    "clone_metric": ("compile_config", "metrics"),
    "tf": ("compile_config", "loss"),
    "Custom>CustomScaleLayer": ("config", "decoder", "config", "layers", 1, "config", "kernel_initializer"),
}


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("name", STRINGS)
def test_names_that_keras_resolves_are_judged_too(name, nested, hostile, tmp_path):
    refuses(hostile({"x": [name]} if nested else name, *STRINGS[name]), name, tmp_path)


@pytest.mark.parametrize("function", [lambda x: x, "slice", "multiply"])
def test_layers_that_carry_code_are_refused(function, tmp_path):
    x = keras.Input(SHAPE)
    h = {"slice": lambda: x[:, :2], "multiply": lambda: 2 * x}.get(function, lambda: L.Lambda(function)(x))()
    encoder = keras.Model(x, vae_tf.posteriors.DiagonalNormal(2)(L.Dense(4)(L.Flatten()(h))))
    vae = make(encoder, fit=False)
    keras.models.save_model(vae, tmp_path / "vae.keras")  # vae.save refuses to
    refuses(tmp_path / "vae.keras", "Lambda", tmp_path)


# --- archives ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/tmp/evil", "a\\evil", "C:/evil", "assets/evil", "evil"])
def test_members_that_vae_save_does_not_write_are_refused(name, good, tmp_path):
    refuses(rewrite(good, tmp_path / "vae.keras", {name: b"evil"}), "evil", tmp_path)


@pytest.mark.parametrize("name", ["config.json", "model.weights.h5"])
def test_two_members_of_one_name_are_refused(name, good, tmp_path):
    path = rewrite(good, tmp_path / "vae.keras", {})
    with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr(name, b"{}")
    refuses(path, f"'{name}', '{name}'", tmp_path)


@pytest.mark.parametrize("text", [b"[]", b'"vae"', b"null", b"1"])
def test_a_configuration_that_is_no_object_is_refused(text, good, tmp_path):
    refuses(rewrite(good, tmp_path / "vae.keras", {"config.json": text}), "JSON object", tmp_path)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"{}", b'{"config": {}}'])
def test_a_configuration_that_is_no_model_is_one_value_error(text, good, tmp_path):
    with pytest.raises(ValueError, match=r"expected .* received"):
        vae_tf.load(rewrite(good, tmp_path / "vae.keras", {"config.json": text}))


@pytest.mark.parametrize("missing", ["config.json", "model.weights.h5"])
def test_a_missing_member_is_named(missing, good, tmp_path):
    with zipfile.ZipFile(good) as old, zipfile.ZipFile(tmp_path / "vae.keras", "w") as new:
        for name in set(old.namelist()) - {missing}:
            new.writestr(name, old.read(name))
    refuses(tmp_path / "vae.keras", missing, tmp_path)


@pytest.mark.parametrize("content", [b"", b"no hdf5", "empty", "half"])
def test_broken_weights_are_one_value_error(content, good, tmp_path):
    if content == "empty":
        content = hdf5(lambda file: None)
    elif content == "half":
        content = zipfile.ZipFile(good).read("model.weights.h5")[:4000]
    with pytest.raises(ValueError, match="cannot be loaded: expected a whole file") as caught:
        vae_tf.load(rewrite(good, tmp_path / "vae.keras", {"model.weights.h5": content}))
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.99])
def test_half_a_file_is_one_value_error(cut, good, tmp_path):
    content = good.read_bytes()
    (tmp_path / "vae.keras").write_bytes(content[: int(cut * len(content))])
    with pytest.raises(ValueError, match="expected a zip file"):
        vae_tf.load(tmp_path / "vae.keras")


def test_flipped_bytes_are_a_value_error_or_nothing(good, tmp_path):
    """In 40 places; a byte that nobody reads may be flipped without harm."""
    content, path = good.read_bytes(), tmp_path / "vae.keras"
    for place in np.linspace(0, len(content) - 1, 40).astype(int):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        try:
            vae_tf.load(path)
        except ValueError as error:
            assert "expected" in str(error)  # noqa: PT017


def hdf5(fill: Callable[[Any], None]) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        fill(file)
    return buffer.getvalue()


LINKS = {
    "external_link": lambda file: file.__setitem__("vars", h5py.ExternalLink("/etc/passwd", "/x")),
    "soft_link": lambda file: file.__setitem__("vars", h5py.SoftLink("/x")),
    "storage": lambda file: file.create_dataset("a/vars/0", (4,), "u1", external=[("/etc/passwd", 0, 4)]),
    "virtual": lambda file: file.create_virtual_dataset("a/vars/0", virtual_layout()),
}


def virtual_layout() -> h5py.VirtualLayout:
    layout = h5py.VirtualLayout((1,), "u1")
    layout[:] = h5py.VirtualSource("/etc/other.h5", "x", (1,), "u1")
    return layout


@pytest.mark.parametrize("name", LINKS)
def test_weights_in_other_files_are_refused(name, good, tmp_path):
    refuses(rewrite(good, tmp_path / "vae.keras", {"model.weights.h5": hdf5(LINKS[name])}), "vars", tmp_path)


def test_old_formats_under_the_name_are_refused(trained, tmp_path):
    path = tmp_path / "vae.keras"
    marker = tmp_path / "marker"
    model = keras.Sequential([L.Dense(1, input_shape=(1,))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(tmp_path / "old.h5")
    for content in ((tmp_path / "old.h5").read_bytes(), pickle.dumps(Touch(marker)), b""):
        path.write_bytes(content)
        refuses(path, "a zip file", tmp_path)
    path.unlink()
    path.mkdir()
    refuses(path, "a zip file", tmp_path)


def test_another_ending_is_refused(good, tmp_path):
    (tmp_path / "vae.zip").write_bytes(good.read_bytes())
    refuses(tmp_path / "vae.zip", "vae.save('x.keras')", tmp_path)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"expected a \.keras file, received no file"):
        vae_tf.load(tmp_path / "none.keras")


def test_another_model_is_refused(tmp_path):
    keras.Sequential([L.Dense(1, input_shape=(1,))]).save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="expected a VAE, received a Sequential"):
        vae_tf.load(tmp_path / "model.keras")


# --- sizes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compressed_member_is_refused_before_it_unfolds(method, good, tmp_path):
    path = tmp_path / "vae.keras"
    with zipfile.ZipFile(good) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            bomb = name == "config.json"
            content = b" " * 2**26 if bomb else old.read(name)
            new.writestr(name, content, compress_type=method if bomb else zipfile.ZIP_STORED)
    assert path.stat().st_size < 2**20
    refuses(path, "config.json, compressed from 67,108,864 bytes", tmp_path)


def test_a_declared_size_is_held_against_the_file(good, tmp_path):
    """A directory that says 64 MiB of a member of 5 kB is refused."""
    path = rewrite(good, tmp_path / "vae.keras", {})
    content = bytearray(path.read_bytes())
    entry_at = content.rfind(b"config.json") - 46
    assert content[entry_at : entry_at + 4] == b"PK\x01\x02"
    content[entry_at + 24 : entry_at + 28] = (2**26).to_bytes(4, "little")
    path.write_bytes(content)
    refuses(path, "config.json, compressed", tmp_path)


def test_a_huge_configuration_is_refused(good, tmp_path):
    path = rewrite(good, tmp_path / "vae.keras", {"config.json": b"{}" + b" " * 2**24})
    refuses(path, "at most 16,777,216 bytes, received 16,777,218", tmp_path)


def nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("depth", [150, 900])
def test_deep_nesting_is_refused(depth, hostile, tmp_path):
    refuses(hostile(nested(depth), *PLACES["deep"]), "at most 100 levels", tmp_path)


def test_nesting_deeper_than_python_can_read_is_one_value_error(good, tmp_path):
    text = b'{"a": ' * 10**6 + b"1" + b"}" * 10**6
    with pytest.raises(ValueError, match="expected a whole file"):
        vae_tf.load(rewrite(good, tmp_path / "vae.keras", {"config.json": text}))


SIZES = {
    "dense": (10**9, ("config", "decoder", "config", "layers", 1, "config", "units")),
    "wide": (2 * 10**5, ("config", "decoder", "config", "layers", 1, "config", "units")),
    "sequential": (4 * 10**4, ("config", "decoder", "config", "layers", 1, "config", "units")),
    "functional": (4 * 10**4, ("config", "encoder", "config", "layers", -2, "config", "units")),
    "event": ([10**9], ("config", "decoder", "config", "layers", -1, "config", "event_shape")),
    "event_of_many_axes": ([2] * 40, ("config", "decoder", "config", "layers", -1, "config", "event_shape")),
    "input": ([None, 10**5, 10**5], ("config", "encoder", "config", "layers", 0, "config", "batch_input_shape")),
    "built": ({"input_shape": [None, 10**9]}, ("config", "encoder", "config", "layers", -2, "build_config")),
    "built_from_many": (
        {"input_shape": [[None, 10**9]]},
        ("config", "encoder", "config", "layers", -2, "build_config"),
    ),
    "latents": (10**9, ("config", "prior", "config", "latent_dim")),
    "flow": (
        entry("vae_tf.priors.flow", "FlowPrior", {"latent_dim": 2, "flows": 10**9, "units": 1}, "vae_tf>FlowPrior"),
        ("config", "prior"),
    ),
    "flow_masks": (
        entry(
            "vae_tf.posteriors.flow",
            "InverseAutoregressiveFlow",
            {"latent_dim": 10**4, "flows": 1, "units": 10**4},
            "vae_tf>InverseAutoregressiveFlow",
        ),
        ("config", "encoder", "config", "layers", -1),
    ),
    "pseudo_inputs": (
        entry(
            "vae_tf.priors.mixtures", "VampPrior", {"latent_dim": 2, "pseudo_inputs": [10**6, 4, 4]}, "vae_tf>VampPrior"
        ),
        ("config", "prior"),
    ),
    "metric": (
        [entry("keras.metrics", "AUC", {"name": "auc", "num_thresholds": 10**9})],
        ("compile_config", "metrics"),
    ),
    "table": (
        [entry("keras.metrics", "MeanIoU", {"name": "iou", "num_classes": 10**5})],
        ("compile_config", "metrics"),
    ),
}


@pytest.mark.parametrize("name", SIZES)
def test_sizes_for_which_the_file_has_no_weights_are_refused_before_their_memory_is_taken(name, hostile):
    value, where = SIZES[name]
    path = hostile(value, *where)
    resource = pytest.importorskip("resource")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match="expected") as caught:
        vae_tf.load(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024  # kB on Linux
    assert any(text in str(caught.value) for text in ("bytes of weights", "shapes of at most", "thresholds"))


def test_the_check_of_memory_does_not_hold_for_what_comes_later(good):
    vae_tf.load(good)
    assert tf.Variable(tf.zeros(2**20)).shape == (2**20,)


@pytest.mark.parametrize("functional_model", [False, True])
def test_a_large_model_has_room(functional_model, tmp_path):
    """One whose variables are far above what every file may have beside its weights; half of it are slots."""
    encoder = functional(L.Flatten(), L.Dense(500), L.Dense(700)) if functional_model else None
    vae = make(encoder, fit=False)
    vae.save(tmp_path / "vae.keras")
    check_same(vae_tf.load(tmp_path / "vae.keras"), vae)


BOMBS = {
    "chunked": lambda file: file.create_dataset("vars/0", (10**12,), "f4", chunks=(10**6,)),
    "gzip": lambda file: file.create_dataset("vars/0", data=np.zeros(10**6), compression="gzip"),
    "unwritten": lambda file: file.create_dataset("vars/0", (10**12,), "f4"),
    "text": lambda file: file.create_dataset("vars/0", data=["a", "b"], dtype=h5py.string_dtype()),
    "type": lambda file: file.__setitem__("vars", np.dtype("f4")),
}


@pytest.mark.parametrize("name", BOMBS)
def test_weights_that_unfold_or_are_not_there_are_refused(name, good, tmp_path):
    path = rewrite(good, tmp_path / "vae.keras", {"model.weights.h5": hdf5(BOMBS[name])})
    refuses(path, "plain arrays, received something else at /vars", tmp_path)


def test_groups_within_groups_without_end_do_not_exhaust_the_stack(good, tmp_path):
    def fill(file: Any) -> None:
        group = file
        for _ in range(5000):
            group = group.create_group("g")
        group["loop"] = file  # a hard link to the root: a circle
        file["x"] = h5py.SoftLink("/nowhere")

    refuses(rewrite(good, tmp_path / "vae.keras", {"model.weights.h5": hdf5(fill)}), "at /x", tmp_path)


def test_a_million_known_names_take_no_time(hostile, tmp_path):
    """Each costs some forty look-ups the first time only."""
    path = hostile(["relu"] * 10**6, "config", "decoder", "config", "layers", 1, "config", "odd_activation")
    before = time.monotonic()
    with pytest.raises(ValueError, match="expected"):
        vae_tf.load(path)
    assert time.monotonic() - before < 30


def test_a_pipe_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "vae.keras")
    refuses(tmp_path / "vae.keras", "another kind", tmp_path)


# --- weights that are not finite -----------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["weights", "optimizer"])
def test_weights_that_are_not_finite_are_refused_with_variable_and_file(place, tmp_path, monkeypatch):
    vae, path = make(), tmp_path / "vae.keras"
    variable = vae.encoder.layers[1].kernel if place == "weights" else vae.optimizer.variables[3]
    variable.assign(np.full(variable.shape, np.nan, np.float32))
    with monkeypatch.context() as patch:
        patch.setattr("vae_tf.storage.model.check_weights", lambda *_: None)  # or they would not be saved
        keras.models.save_model(vae, path)
    with pytest.raises(ValueError, match=r"Weights in .*vae\.keras: expected finite numbers, received") as caught:
        vae_tf.load(path)
    assert variable.name.removeprefix("Adam/") in str(caught.value)  # Keras adds that when it trains
