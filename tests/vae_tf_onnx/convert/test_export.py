"""Export of Keras models: parity with vae_tf, and what a failed export leaves (nothing)."""

import json

import numpy as np
import onnx
import pytest
import tensorflow as tf
import tf2onnx
import tf_keras as keras
from models import SCALES, SHAPE, binary, make_likelihood

import vae_tf
from vae_tf_onnx import BundleError, Decoder, Encoder, ParityError, export, verify
from vae_tf_onnx.bundle import GRAPHS, MANIFEST, sha256
from vae_tf_onnx.convert import newest_opset

ALL = ("decoder", "encoder", "sampler", "reconstructor", "scorer")


@pytest.fixture
def trained(make_vae, digits):
    def train(name="optimal", **arguments):
        vae = make_vae(make_likelihood(name), **arguments)
        vae.fit(binary(digits[0][:64]), verbose=0)
        return vae

    return train


@pytest.mark.parametrize("network", ["mlp", "conv"])
@pytest.mark.parametrize("name", [*SCALES, "bernoulli"])
def test_the_runtime_agrees_with_vae_tf(trained, digits, tmp_path, name, network):
    vae = trained(name, network=network)
    folder = export(vae, tmp_path / "bundle")
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


def test_names_shapes_and_metadata_of_the_graphs(trained, tmp_path):
    folder = export(trained(), tmp_path / "bundle")
    expected = {
        "decoder": ({"z": [4]}, {"mean": SHAPE, "scale": SHAPE}),
        "encoder": ({"x": SHAPE}, {"loc": [4], "scale": [4]}),
    }
    manifest = json.loads((folder / MANIFEST).read_text())
    for name, (inputs, outputs) in expected.items():
        model = onnx.load(folder / GRAPHS[name])
        assert [entry.version for entry in model.opset_import if entry.domain == ""] == [17]
        for values, shapes in ((model.graph.input, inputs), (model.graph.output, outputs)):
            found = {v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}
            assert found == {key: ["batch", *shape] for key, shape in shapes.items()}
        described = manifest["graphs"][name]
        assert {v["name"]: v["shape"] for v in described["outputs"]} == {k: ["batch", *s] for k, s in outputs.items()}
        facts = json.loads({prop.key: prop.value for prop in model.metadata_props}["vae_tf_onnx"])
        assert facts == {key: manifest[key] for key in facts}


def test_sigma_of_the_bundle_is_that_of_the_model(trained, tmp_path):
    vae = trained()
    parameters = Decoder(export(vae, tmp_path / "bundle")).parameters(np.zeros((2, 4)))
    np.testing.assert_allclose(parameters["scale"], float(vae.likelihood.scale), rtol=1e-6)


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_graph_that_computes_something_else(trained, tmp_path, monkeypatch):
    """Parity is measured on the graph that is written: shifted weights must be caught, and leave nothing."""
    original = tf2onnx.convert.from_function

    def wrong(*arguments, **keywords):
        model, external = original(*arguments, **keywords)
        weight = max(model.graph.initializer, key=lambda tensor: int(np.prod(tensor.dims)))
        shifted = onnx.numpy_helper.to_array(weight) * np.float32(1 + 1e-4)
        weight.CopyFrom(onnx.numpy_helper.from_array(shifted, weight.name))
        return model, external

    vae = trained()
    older = export(vae, tmp_path / "bundle")
    before = contents(tmp_path)
    monkeypatch.setattr(tf2onnx.convert, "from_function", wrong)
    with pytest.raises(ParityError, match="Parity of decoder/mean at batch 1") as caught:
        export(vae, older)
    assert 1e-5 < caught.value.error < 1e-3
    assert contents(tmp_path) == before, "the older bundle is as it was, and nothing lies beside it"


def test_a_bundle_is_replaced_whole(trained, tmp_path):
    folder = export(trained("optimal"), tmp_path / "bundle")
    export(trained("bernoulli"), folder)
    assert "logits" in Decoder(folder).output_names
    assert list(tmp_path.iterdir()) == [folder]


def test_a_bundle_with_other_files_in_it_is_not_replaced(trained, tmp_path):
    folder = export(trained(), tmp_path / "bundle")
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(BundleError, match="expected a bundle or nothing"):
        export(trained(), folder)
    assert (folder / "thesis.txt").read_text() == "mine"


def test_other_folders_and_files_are_not_replaced(trained, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "text").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / MANIFEST).write_text('{"name": "a web application"}')
    before = contents(tmp_path)
    for name in ("notes", "file", "site"):
        with pytest.raises(BundleError, match="expected a bundle or nothing"):
            export(trained(), tmp_path / name)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("opset", [12, 99])
def test_bad_opset(trained, tmp_path, opset):
    with pytest.raises(ValueError, match=rf"opset: expected 13 to \d+, received {opset}"):
        export(trained(), tmp_path / "bundle", opset=opset)


@pytest.mark.parametrize("opset", [13, 18, 19, newest_opset()])
def test_opsets(trained, tmp_path, opset):
    """tf2onnx writes up to 18; what is above it was lifted, and is compared after that."""
    folder = export(trained(network="conv"), tmp_path / "bundle", opset=opset, graphs=ALL)
    assert max(verify(folder).values()) < 1e-5
    for graph in ALL:
        model = onnx.load(folder / GRAPHS[graph])
        assert [entry.version for entry in model.opset_import if entry.domain == ""] == [opset]


def test_the_newest_opset_is_one_that_onnxruntime_loads():
    assert 18 < newest_opset() <= onnx.defs.onnx_opset_version()


@pytest.mark.parametrize("data_range", [(1, 0), (0, 0), (0, float("nan"))])
def test_bad_data_range(trained, tmp_path, data_range):
    with pytest.raises(ValueError, match="data_range: expected"):
        export(trained(), tmp_path / "bundle", data_range=data_range)


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


def test_the_reference_is_computed_without_tensorfloat_32(trained, tmp_path, monkeypatch):
    """A GPU that has it would differ from the graphs by 1e-3. Afterwards it is as it was, errors or not."""
    enabled = tf.config.experimental.tensor_float_32_execution_enabled
    seen = []

    def finish(*_):
        seen.append(enabled())
        raise RuntimeError("full disk")

    monkeypatch.setattr("vae_tf_onnx.convert._export.finish", finish)
    assert enabled()
    with pytest.raises(RuntimeError, match="full disk"):
        export(trained(), tmp_path / "bundle")
    assert seen == [False]
    assert enabled()
