"""Models that compute in float16, and the float32 of their graphs."""

import json

import numpy as np
import onnx
import pytest
import tensorflow as tf
import tf_keras as keras
from keras_decoders import Subclassed, called, image, network
from models import SHAPE
from tf_keras import layers

import vae_tf
from vae_tf_onnx import Decoder, Encoder, ParityError, export, export_keras, verify
from vae_tf_onnx.bundle import GRAPHS, MANIFEST


def test_the_reference_is_computed_without_tensorfloat_32(trained, tmp_path, monkeypatch):
    """A GPU that has it would differ from the graphs by 1e-3. Afterwards it is as it was, errors or not."""
    enabled = tf.config.experimental.tensor_float_32_execution_enabled
    seen = []

    def finish(*_):
        seen.append(enabled())
        raise RuntimeError("full disk")

    monkeypatch.setattr("vae_tf_onnx.convert._export.finish", finish)
    tf.config.experimental.enable_tensor_float_32_execution(True)  # whatever other tests of this process did
    with pytest.raises(RuntimeError, match="full disk"):
        export(trained(), tmp_path / "bundle")
    assert seen == [False]
    assert enabled()


@pytest.fixture
def policy():
    """Sets Keras' policy until the test ends."""
    yield keras.mixed_precision.set_global_policy
    keras.mixed_precision.set_global_policy("float32")


HALF = {
    "mixed_float16": lambda: image(
        layers.Conv2DTranspose(3, 3, strides=2), layers.BatchNormalization(), layers.Activation("gelu")
    ),
    "float16": lambda: network(layers.Dense(32, "relu"), layers.LayerNormalization(), layers.Dense(6)),
    "subclassed": called,
}


@pytest.mark.filterwarnings("ignore:.*float16:UserWarning")
@pytest.mark.parametrize("name", HALF)
def test_models_in_half_precision(tmp_path, policy, name):
    """The graph computes in float32 with the same weights: 1e-5 from a twin in float32, 1e-2 from the model itself."""
    policy("float16" if name == "float16" else "mixed_float16")
    model = HALF[name]()
    policy("float32")
    twin = HALF[name]()
    twin.set_weights(model.get_weights())
    folder = export_keras(model, tmp_path / "bundle")
    assert json.loads((folder / MANIFEST).read_text())["compute_dtype"] == "float16"
    z = np.random.default_rng(0).normal(size=(16, 8)).astype(np.float32)
    received, expected = Decoder(folder).decode(z), twin(z).numpy()
    np.testing.assert_allclose(received, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    halves = np.asarray(model(z), np.float32)
    np.testing.assert_allclose(received, halves, atol=1e-2 * np.abs(halves).max())
    assert np.abs(received - halves).max() > 1e-5 * np.abs(halves).max(), "the model itself is less precise"
    kinds = {tensor.data_type for tensor in onnx.load(folder / GRAPHS["decoder"]).graph.initializer}
    assert onnx.TensorProto.FLOAT16 not in kinds


@pytest.mark.integration
def test_a_vae_in_mixed_precision(tmp_path, make_vae, digits, policy):
    policy("mixed_float16")
    vae = make_vae(vae_tf.likelihoods.Gaussian(SHAPE), prior=lambda d: vae_tf.priors.MixtureOfNormals(d, 3))
    losses = vae.fit(digits[0][:512], batch_size=32, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    folder = export(vae, tmp_path / "bundle", graphs=("encoder", "scorer"), x=digits[1])
    assert keras.mixed_precision.global_policy().name == "mixed_float16", "as it was"
    assert max(verify(folder).values()) < 1e-5
    manifest = json.loads((folder / MANIFEST).read_text())
    assert manifest["compute_dtype"] == "float16"
    x = digits[1][:16]
    expected = vae.encode(x)
    np.testing.assert_allclose(Encoder(folder).encode(x), expected, atol=1e-2 * np.abs(expected).max())
    sigma = float(vae.likelihood.scale)
    np.testing.assert_allclose(Decoder(folder).parameters(np.zeros((1, 4)))["scale"], sigma, rtol=1e-6)


class Forgetful(Subclassed):
    def get_config(self):
        raise NotImplementedError("no configuration")


def test_a_model_in_half_precision_that_cannot_be_rebuilt(tmp_path, policy):
    policy("mixed_float16")
    model = Forgetful()
    model(np.zeros((1, 8), np.float32))
    with pytest.raises(ValueError, match=r"expected one that Keras can rebuild from get_config.*no configuration"):
        export_keras(model, tmp_path / "bundle")


class Changed(Subclassed):
    """Comes back from its configuration with another activation."""

    def get_config(self):
        return {"units": self.units, "name": "changed"}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        model = cls(**config)
        model.hidden.activation = keras.activations.exponential
        return model


def test_a_model_in_half_precision_that_is_rebuilt_otherwise(tmp_path, policy):
    policy("mixed_float16")
    model = Changed()
    model(np.zeros((1, 8), np.float32))
    with pytest.raises(ParityError, match="Parity of decoder/mean, in float32 against float16,"):
        export_keras(model, tmp_path / "bundle")
