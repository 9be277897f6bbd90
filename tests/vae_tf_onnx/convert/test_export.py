"""export: the runtime agrees with vae_tf, and the bundle says what it is."""

import json

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from models import SCALES, SHAPE, binary
from scipy import stats

import vae_tf
from vae_tf_onnx import Decoder, Encoder, export, verify
from vae_tf_onnx.bundle import GRAPHS, MANIFEST, sha256


@pytest.mark.parametrize(
    ("name", "network"),
    [
        *((name, "mlp") for name in (*SCALES, "bernoulli")),
        ("per_pixel", "conv"),
        *(
            pytest.param(name, "conv", marks=pytest.mark.integration)
            for name in (*SCALES, "bernoulli")
            if name != "per_pixel"
        ),
    ],
)
def test_the_runtime_agrees_with_vae_tf(trained, exported, digits, name, network):
    vae, folder = trained(name, network), exported(name, network)
    decoder, encoder = Decoder(folder), Encoder(folder)
    for batch in (1, 3, 17):
        z = np.random.default_rng(batch).normal(size=(batch, vae.latent_dim)).astype(np.float32)
        x = binary(digits[1][:batch])
        np.testing.assert_allclose(decoder.decode(z), vae.decode(z), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(decoder.log_prob(x, z), vae.decoder(z).log_prob(x), rtol=1e-4)
        np.testing.assert_allclose(encoder.encode(x), vae.encode(x), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(encoder.parameters(x)["scale"], vae.encoder(x).stddev(), rtol=1e-4)
        for noise in (True, False):
            expected = vae.sample(batch, seed=batch, observation_noise=noise)
            received = decoder.sample(batch, seed=batch, observation_noise=noise)
            np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-5)
    assert max(verify(folder).values()) < 1e-5


def test_the_bundle_says_what_it_is(trained, tmp_path):
    vae = trained()
    folder = export(vae, tmp_path / "bundle", opset=15, data_range=(-1, 1))
    manifest = json.loads((folder / MANIFEST).read_text())
    sigma = float(vae.likelihood.scale)
    assert manifest["format_version"] == 1
    assert manifest["opset"] == 15
    assert manifest["data_range"] == [-1.0, 1.0]
    assert manifest["prior"]["family"] == "StandardNormal"
    assert manifest["posterior"]["family"] == "DiagonalNormal"
    assert manifest["likelihood"]["family"] == "Gaussian"
    assert manifest["likelihood"]["parameters"]["scale"] == "optimal"
    assert manifest["likelihood"]["equivalence"]["scale_factor"] == pytest.approx(0.5 / sigma**2)
    assert manifest["versions"]["tensorflow"] == tf.__version__
    files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST}
    assert manifest["files"] == {name: sha256(path.read_bytes()) for name, path in files.items()}
    graphs = ("decoder", "encoder", "observation")
    assert set(manifest["graphs"]) == set(graphs)
    rest = {"golden.npz", "examples.npz", "README.md"} | {f"{graph}/config.pbtxt" for graph in graphs}
    assert set(files) == {GRAPHS[graph] for graph in graphs} | rest
    assert manifest["batch"] is None
    assert manifest["compute_dtype"] == "float32"


def test_sigma_of_the_bundle_is_that_of_the_model(trained, exported):
    parameters = Decoder(exported()).parameters(np.zeros((2, 4)))
    np.testing.assert_allclose(parameters["scale"], float(trained().likelihood.scale), rtol=1e-6)


def test_networks_of_others(digits, tmp_path):
    """Functional and subclassed networks, with layers of many kinds."""

    class Encoder_(keras.Model):
        def __init__(self):
            super().__init__()
            self.network = keras.Sequential(
                [
                    keras.layers.Conv2D(4, 3, padding="same"),
                    keras.layers.BatchNormalization(),
                    keras.layers.LeakyReLU(),
                    keras.layers.MaxPooling2D(),
                    keras.layers.Flatten(),
                    keras.layers.LayerNormalization(),
                    keras.layers.Dense(8, "tanh"),
                ]
            )
            self.posterior = vae_tf.posteriors.DiagonalNormal(4)

        def call(self, x, training=None):
            return self.posterior(self.network(x, training=training))

    z = keras.Input((4,))
    h = keras.layers.Reshape((4, 4, 2))(keras.layers.Dense(32, "elu")(z))
    h = keras.layers.Conv2DTranspose(1, 3, strides=2, padding="same")(h)
    decoder = keras.Model(z, vae_tf.likelihoods.Gaussian(SHAPE)(h))
    vae = vae_tf.VAE(Encoder_(), decoder, vae_tf.priors.StandardNormal(4))
    vae.compile()
    vae.fit(digits[0][:64], verbose=0)
    folder = export(vae, tmp_path / "bundle")
    x = digits[1][:5]
    np.testing.assert_allclose(Encoder(folder).encode(x), vae.encode(x), rtol=1e-4, atol=1e-6)


def test_linear_vae(tmp_path):
    """Its exact posterior mean and log p(x|z) survive the export."""
    vae = vae_tf.LinearVAE(3, (2, 3), scale=0.4)
    rng = np.random.default_rng(0)
    for weight in vae.trainable_variables:
        weight.assign(rng.normal(scale=0.5, size=weight.shape))
    vae.compile("adam")
    bundle = export(vae, tmp_path / "bundle")
    assert max(verify(bundle).values()) < 1e-5
    x = rng.normal(size=(5, 2, 3)).astype(np.float32)
    weights, _ = vae.linear_encoder
    z = (x.reshape(5, 6) - vae.linear_gaussian.mean) @ weights.T
    np.testing.assert_allclose(Encoder(bundle).encode(x), z, rtol=1e-4, atol=1e-5)
    mean = z @ vae.linear_gaussian.loadings.T + vae.linear_gaussian.mean
    np.testing.assert_allclose(Decoder(bundle).decode(z.astype(np.float32)).reshape(5, 6), mean, rtol=1e-4, atol=1e-5)
    expected = stats.norm.logpdf(x.reshape(5, 6), mean, 0.4).sum(axis=1)
    np.testing.assert_allclose(Decoder(bundle).log_prob(x, z.astype(np.float32)), expected, rtol=1e-4)
