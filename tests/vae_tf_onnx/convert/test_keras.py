"""Keras decoders that are not ours, layers of every kind, and models that compute in float16."""

import json

import numpy as np
import onnx
import pytest
import tf_keras as keras
from models import SHAPE

import vae_tf
from vae_tf_onnx import BundleError, Decoder, Encoder, ParityError, export, export_keras, verify
from vae_tf_onnx.bundle import GOLDEN, GRAPHS, MANIFEST

layers = keras.layers


def network(*parts, shape=(8,)):
    """A Sequential model of these layers, with weights that are far from their first values."""
    model = keras.Sequential([keras.Input(shape), *parts])
    scatter(model)
    return model


def scatter(model):
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if "kernel" not in weight.name:
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))


def image(*parts):
    """Layers on 4 x 4 images of 4 channels."""
    return network(layers.Dense(64), layers.Reshape((4, 4, 4)), *parts)


@keras.saving.register_keras_serializable("test")
class Subclassed(keras.Model):
    def __init__(self, units=6, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.hidden = layers.Dense(16, "gelu")
        self.last = layers.Dense(units)

    def call(self, z):
        return self.last(self.hidden(z))

    def get_config(self):
        return {"units": self.units}


def called():
    model = Subclassed()
    model(np.zeros((1, 8), np.float32))
    return model


def built():
    model = Subclassed()
    model.build((None, 8))
    return model


def functional():
    z = keras.Input((8,))
    h = layers.Concatenate()([layers.Dense(8, "relu")(z), z])
    return keras.Model(z, layers.Reshape((4, 4, 1))(layers.Add()([layers.Dense(16)(h), layers.Dense(16)(z)])))


MODELS = {
    "gelu": lambda: network(layers.Dense(32, "gelu"), layers.Dense(6)),
    "layer normalization": lambda: network(layers.Dense(32), layers.LayerNormalization(), layers.Dense(6)),
    "layer normalization of images": lambda: image(layers.LayerNormalization(axis=[1, 2, 3])),
    "group normalization": lambda: image(layers.GroupNormalization(2), layers.Conv2D(3, 3), layers.ReLU()),
    "nearest": lambda: image(layers.UpSampling2D((2, 3)), layers.Conv2D(3, 3, padding="same")),
    "bilinear": lambda: image(layers.UpSampling2D((2, 3), interpolation="bilinear"), layers.Conv2D(3, 3)),
    "same": lambda: image(layers.Conv2DTranspose(3, 3, padding="same")),
    "same, strides": lambda: image(layers.Conv2DTranspose(3, 4, strides=2, padding="same", activation="elu")),
    "valid": lambda: image(layers.Conv2DTranspose(3, 3)),
    "valid, strides": lambda: image(layers.Conv2DTranspose(3, 3, strides=(2, 3), use_bias=False)),
    "output padding": lambda: image(layers.Conv2DTranspose(3, 3, strides=2, output_padding=1)),
    "dilation": lambda: image(layers.Conv2DTranspose(3, 3, dilation_rate=2, padding="same")),
    "sequences": lambda: network(layers.RepeatVector(5), layers.GRU(6, return_sequences=True), layers.Dense(2)),
    "functional": functional,
    "subclassed, called": called,
    "subclassed, built": built,
}


@pytest.mark.parametrize("name", MODELS)
def test_decoders(tmp_path, name, capfd):
    model = MODELS[name]()
    folder = export_keras(model, tmp_path / "bundle")
    assert verify(folder)["decoder/mean"] < 1e-5
    for batch in (1, 3, 17):
        z = np.random.default_rng(batch).normal(size=(batch, 8)).astype(np.float32)
        expected = model(z)
        np.testing.assert_allclose(Decoder(folder).decode(z), expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    assert "onnxruntime" not in capfd.readouterr().err, "no warnings about attributes outside the standard"


def test_the_likelihood_is_unstated(tmp_path):
    folder = export_keras(MODELS["gelu"](), tmp_path / "bundle", data_range=(-1, 1), data="moons")
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


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("use_bias", [True, False])
def test_batch_normalization_is_folded(tmp_path, padding, use_bias):
    """Neither tf2onnx nor onnxruntime does; each graph has two, one with an activation behind it."""

    def block(channels, strides):
        options = {"strides": strides, "padding": padding, "use_bias": use_bias}
        return [layers.Conv2DTranspose(channels, 3, **options), layers.BatchNormalization(epsilon=1e-2)]

    model = network(layers.Reshape((2, 2, 2)), *block(5, 2), layers.ReLU(), *block(3, 1))
    folder = export_keras(model, tmp_path / "bundle")
    graph = onnx.load(folder / GRAPHS["decoder"]).graph
    assert [node.op_type for node in graph.node if node.op_type == "ConvTranspose"] == ["ConvTranspose"] * 2
    assert not {node.op_type for node in graph.node} & {"BatchNormalization", "Mul", "Add", "Sub", "Div"}
    assert len(graph.initializer) <= 2 * 2 + 2, "kernels, biases, and shapes: nothing else is left in the file"
    z = np.random.default_rng(0).normal(size=(7, 8)).astype(np.float32)
    np.testing.assert_allclose(Decoder(folder).decode(z), model(z), rtol=1e-4, atol=1e-5)


def test_batch_normalization_is_folded_in_three_dimensions(tmp_path):
    parts = [layers.Reshape((1, 2, 2, 2)), layers.Conv3DTranspose(5, 3, strides=2), layers.BatchNormalization()]
    model = network(*parts)
    folder = export_keras(model, tmp_path / "bundle")
    kinds = {node.op_type for node in onnx.load(folder / GRAPHS["decoder"]).graph.node}
    assert "ConvTranspose" in kinds
    assert "BatchNormalization" not in kinds
    z = np.random.default_rng(0).normal(size=(7, 8)).astype(np.float32)
    np.testing.assert_allclose(Decoder(folder).decode(z), model(z), rtol=1e-4, atol=1e-5)


def test_normalization_behind_an_activation_is_not(tmp_path):
    model = image(layers.Conv2DTranspose(3, 3), layers.ReLU(), layers.BatchNormalization())
    folder = export_keras(model, tmp_path / "bundle")
    assert verify(folder)["decoder/mean"] < 1e-5
    kinds = [node.op_type for node in onnx.load(folder / GRAPHS["decoder"]).graph.node]
    assert "BatchNormalization" in kinds


def test_gelu_is_what_onnxruntime_fuses(tmp_path):
    graph = onnx.load(export_keras(MODELS["gelu"](), tmp_path / "bundle") / GRAPHS["decoder"]).graph
    kinds = [node.op_type for node in graph.node]
    assert kinds.count("Erf") == 1
    assert "Exp" not in kinds


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
