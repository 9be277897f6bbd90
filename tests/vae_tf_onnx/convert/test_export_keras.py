"""export_keras: decoders with layers of every kind, and models that are no decoder."""

import json

import numpy as np
import pytest
import tf_keras as keras
from keras_decoders import DECODERS, Subclassed, network
from tf_keras import layers

import vae_tf
from vae_tf_onnx import BundleError, Decoder, export_keras, verify
from vae_tf_onnx.bundle import GOLDEN, MANIFEST

SLOW = {"sequences"}  # a loop, which takes half a minute to convert


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.integration) if name in SLOW else name for name in DECODERS]
)
def test_decoders(tmp_path, name, capfd):
    model = DECODERS[name]()
    folder = export_keras(model, tmp_path / "bundle")
    assert verify(folder)["decoder/mean"] < 1e-5
    for batch in (1, 3, 17):
        z = np.random.default_rng(batch).normal(size=(batch, 8)).astype(np.float32)
        expected = model(z)
        np.testing.assert_allclose(Decoder(folder).decode(z), expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    assert "onnxruntime" not in capfd.readouterr().err, "no warnings about attributes outside the standard"


def test_the_likelihood_is_unstated(tmp_path):
    folder = export_keras(DECODERS["gelu"](), tmp_path / "bundle", data_range=(-1, 1), data="moons")
    manifest = json.loads((folder / MANIFEST).read_text())
    assert manifest["likelihood"] == {"family": None, "parameters": {}, "equivalence": None}
    assert manifest["prior"]["family"] is manifest["posterior"]["family"] is None
    assert (manifest["event_shape"], manifest["latent_dim"], manifest["data"]) == ([6], 8, "moons")
    assert manifest["data_range"] == [-1.0, 1.0]
    assert set(manifest["graphs"]) == {"decoder"}
    with np.load(folder / GOLDEN) as golden:
        assert set(golden) == {"z", "decoder/mean"}
    decoder = Decoder(folder)
    for ask in (lambda: decoder.sample(1), lambda: decoder.log_prob(np.zeros((1, 6)), np.zeros((1, 8)))):
        with pytest.raises(BundleError, match="a Keras decoder states none"):
            ask()


def test_spatial_latents_are_taken_flat(tmp_path):
    model = network(layers.Conv2DTranspose(3, 4, strides=2, padding="same"), shape=(4, 4, 2))
    folder = export_keras(model, tmp_path / "bundle")
    z = np.random.default_rng(0).normal(size=(3, 4, 4, 2)).astype(np.float32)
    np.testing.assert_allclose(Decoder(folder).decode(z.reshape(3, 32)), model(z), rtol=1e-4, atol=1e-6)


def two_inputs():
    a, b = keras.Input((4,)), keras.Input((4,))
    return keras.Model([a, b], layers.Add()([a, b]))


def two_outputs():
    z = keras.Input((4,))
    return keras.Model(z, [layers.Dense(2)(z), layers.Dense(2)(z)])


def distribution():
    z = keras.Input((4,))
    return keras.Model(z, vae_tf.likelihoods.Gaussian((2,))(layers.Dense(2)(z)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (two_inputs, "model: expected a model of one input, z, called once, received 2 inputs"),
        (two_outputs, "Output of the model: expected one tensor of floats"),
        (distribution, "Output of the model: expected a tensor, received a distribution"),
        (Subclassed, "model: expected a model of one input, z, called once, received one that was never called"),
        (lambda: network(layers.Dense(2), shape=(None, 4)), r"Input of the model: expected fixed sizes, received"),
        (lambda: network(layers.Dense(1), layers.Reshape(())), r"Output of the model: expected shape \[B, \*E\]"),
    ],
)
def test_models_that_are_no_decoder(tmp_path, make, message):
    with pytest.raises(ValueError, match=message):
        export_keras(make(), tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_model(tmp_path):
    with pytest.raises(TypeError, match="model: expected a tf_keras model, received <class 'str'>"):
        export_keras("model.keras", tmp_path / "bundle")
