"""What a bundle holds besides its graphs' values: choice of graphs, fixed batches, scores, latents, large weights."""

import json

import cases
import numpy as np
import onnx
import onnxruntime
import pytest
import tf_keras as keras
from models import SHAPE

import vae_tf
from vae_tf_onnx import Decoder, Encoder, export, export_keras, verify
from vae_tf_onnx.bundle import EXAMPLES, GRAPHS, MANIFEST, open_bundle
from vae_tf_onnx.convert import _conversion, _large
from vae_tf_onnx.runtime import Graph

ALL = ("decoder", "encoder", "sampler", "reconstructor", "scorer")


def manifest_of(folder):
    return json.loads((folder / MANIFEST).read_text())


@pytest.fixture
def trained(make_vae, digits):
    vae = make_vae(vae_tf.likelihoods.Gaussian(SHAPE))
    vae.fit(digits[0], epochs=2, verbose=0)
    return vae


@pytest.mark.parametrize(
    ("graphs", "expected"),
    [
        ((), {"decoder", "observation"}),
        (("sampler",), {"decoder", "observation", "sampler"}),
        (["scorer", "encoder"], {"decoder", "observation", "encoder", "scorer"}),
    ],
)
def test_graphs_on_request(make_vae, tmp_path, graphs, expected):
    folder = export(make_vae(), tmp_path / "bundle", graphs=graphs)
    assert set(manifest_of(folder)["graphs"]) == expected
    assert {path.parts[-3] for path in folder.rglob("model.onnx")} == expected
    assert max(verify(folder).values()) < 1e-5


@pytest.mark.parametrize("graphs", [("decoder", "prior"), ("Decoder",), "decoder"])
def test_graphs_that_cannot_be_asked_for(make_vae, tmp_path, graphs):
    with pytest.raises(ValueError, match="graphs: expected some of decoder, encoder, sampler, reconstructor, scorer"):
        export(make_vae(), tmp_path / "bundle", graphs=graphs)


def test_the_parameters_that_an_observation_needs(make_vae, tmp_path):
    folder = export(make_vae(vae_tf.likelihoods.Bernoulli(SHAPE)), tmp_path / "bundle")
    described = manifest_of(folder)["graphs"]["observation"]
    assert [value["name"] for value in described["inputs"]] == ["mean", "observation_noise"]
    noise = np.full((2, *SHAPE), 0.5, np.float32)
    mean = np.stack([np.full(SHAPE, 0.4, np.float32), np.full(SHAPE, 0.6, np.float32)])
    np.testing.assert_array_equal(Graph(folder, "observation").run(mean, noise)["x"], np.rint(mean))


def test_fixed_batch(trained, digits, tmp_path):
    folder = export(trained, tmp_path / "bundle", graphs=ALL, fixed_batch=4)
    assert manifest_of(folder)["batch"] == open_bundle(folder).batch == 4
    for graph in (*ALL, "observation"):
        model = onnx.load(folder / GRAPHS[graph])
        for value in (*model.graph.input, *model.graph.output):
            sizes = [axis.dim_value for axis in value.type.tensor_type.shape.dim]
            assert sizes[0] == 4
            assert all(sizes)
        described = manifest_of(folder)["graphs"][graph]
        assert {value["shape"][0] for value in (*described["inputs"], *described["outputs"])} == {4}
    assert max(verify(folder).values()) < 1e-5
    session = onnxruntime.InferenceSession(folder / GRAPHS["decoder"], providers=["CPUExecutionProvider"])
    with pytest.raises(Exception, match="Got: 3 Expected: 4"):  # onnxruntime's exceptions share no narrower class
        session.run(None, {"z": np.zeros((3, 4), np.float32)})
    for rows in (1, 4, 6):
        x = digits[1][:rows]
        np.testing.assert_allclose(Encoder(folder).encode(x), trained.encode(x), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("batch", [0, -1, 2.0, True])
def test_bad_fixed_batch(make_vae, tmp_path, batch):
    with pytest.raises(ValueError, match="fixed_batch: expected a whole number of at least 1"):
        export(make_vae(), tmp_path / "bundle", fixed_batch=batch)


def test_scores_and_examples_of_data(trained, digits, tmp_path):
    x = digits[1]
    folder = export(trained, tmp_path / "bundle", x=x, data="digits")
    manifest = manifest_of(folder)
    assert manifest["data"] == "digits"
    scores = manifest["evaluation"]
    assert scores["num_examples"] == len(x)
    assert scores["elbo"] == pytest.approx(-scores["distortion"] - scores["rate"])
    q = trained.encoder(x)
    assert scores["rate"] == pytest.approx(float(np.mean(trained.prior.closed_form(q))), rel=1e-5)
    exact = vae_tf.evaluation.elbo(trained, x, num_samples=50, progress=False)
    # one draw for each of 297 examples: the standard error of their mean, seven times
    spread = float(np.std([np.mean(trained.terms(x, seed=100 + i).distortion) for i in range(20)]))
    assert scores["elbo"] == pytest.approx(exact.mean, abs=7 * spread)
    mean, scale = q.mean().numpy(), q.stddev().numpy()
    latents = manifest["latents"]
    assert latents["source"] == "x"
    assert latents["kl_is_exact"]
    kl = 0.5 * (scale**2 + mean**2 - 1 - 2 * np.log(scale)).mean(axis=0)
    np.testing.assert_allclose(latents["kl"], kl, rtol=1e-4)
    np.testing.assert_allclose(latents["mean"], mean.mean(axis=0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(latents["scale"], np.sqrt((scale**2).mean(axis=0) + mean.var(axis=0)), rtol=1e-4)
    with np.load(folder / EXAMPLES) as examples:
        assert len(examples["x"]) == len(examples["z"]) == 32
        np.testing.assert_array_equal(examples["x"][[0, -1]], x[[0, -1]])
        np.testing.assert_allclose(examples["z"], trained.encode(examples["x"]), rtol=1e-5, atol=1e-6)


def test_without_data_the_model_speaks_of_its_own_samples(trained, tmp_path):
    folder = export(trained, tmp_path / "bundle")
    manifest = manifest_of(folder)
    assert manifest["evaluation"] is None
    assert manifest["data"] is None
    assert manifest["latents"]["source"] == "samples of the model"
    with np.load(folder / EXAMPLES) as examples:
        assert examples["x"].shape == (32, *SHAPE)


def test_few_examples(trained, digits, tmp_path):
    folder = export(trained, tmp_path / "bundle", x=digits[1][:3])
    with np.load(folder / EXAMPLES) as examples:
        np.testing.assert_array_equal(examples["x"], digits[1][:3])


@pytest.mark.parametrize(("posterior", "prior"), [("diagonal", "mixture"), ("flow", "standard_normal")])
def test_latents_without_a_closed_form(make_vae, digits, tmp_path, posterior, prior):
    """Normals with the moments of q and p stand in: against moments of 4,000 draws, whose error is below 5 %."""
    vae = make_vae(posterior=cases.POSTERIORS[posterior], prior=cases.PRIORS[prior])
    x = digits[1][:8]
    latents = manifest_of(export(vae, tmp_path / "bundle", x=x))["latents"]
    assert not latents["kl_is_exact"]
    q = vae.encoder(x).sample(4000).numpy()
    p = vae.prior.distribution().sample(4000).numpy()
    ratio = q.var(axis=0) / p.var(axis=0)
    kl = 0.5 * (ratio - 1 - np.log(ratio) + (q.mean(axis=0) - p.mean(axis=0)) ** 2 / p.var(axis=0))
    np.testing.assert_allclose(latents["kl"], kl.mean(axis=0), rtol=0.2, atol=0.05)
    np.testing.assert_allclose(latents["mean"], q.mean(axis=(0, 1)), atol=0.1)
    np.testing.assert_allclose(latents["scale"], q.std(axis=(0, 1)), rtol=0.1)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((3, 4, 4, 1)), r"x: expected shape \[n, 8, 8, 1\], received \[3, 4, 4, 1\]"),
        (np.zeros((0, *SHAPE)), r"x: expected shape \[n, 8, 8, 1\], received \[0, 8, 8, 1\]"),
        (np.full((3, *SHAPE), np.nan), "Data for Gaussian: expected finite numbers"),
    ],
)
def test_data_that_do_not_fit(make_vae, tmp_path, x, message):
    with pytest.raises(ValueError, match=message):
        export(make_vae(vae_tf.likelihoods.Gaussian(SHAPE)), tmp_path / "bundle", x=x)
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_gives_nan(make_vae, tmp_path):
    vae = make_vae()
    vae.decoder.weights[2].assign(np.full(vae.decoder.weights[2].shape, np.nan))
    with pytest.raises(ValueError, match=r"decoder/mean: expected finite numbers, received .* training may have"):
        export(vae, tmp_path / "bundle")


def test_draws_of_levels_do_not_hang_on_rounding(make_vae, tmp_path):
    """Noise of the golden set keeps its distance from the steps of the distribution function."""
    vae = make_vae(vae_tf.likelihoods.DiscretizedLogistic(SHAPE, levels=256))
    folder = export(vae, tmp_path / "bundle", graphs=("sampler",))
    with np.load(folder / "golden.npz") as golden:
        arrays = {name: golden[name] for name in golden}
    given = {name: arrays[f"decoder/{name}"] for name in ("loc", "scale")}
    for factor in (1 - 2e-6, 1 + 2e-6):
        shifted = {name: (value * factor).astype(np.float32) for name, value in given.items()}
        x = vae.likelihood.observe(arrays["observation/observation_noise"], shifted)
        np.testing.assert_array_equal(x, arrays["observation/x"])
    loose = vae.likelihood.noise(np.random.default_rng(0), 20000)
    some = {name: value[:1] for name, value in given.items()}
    moved = {name: (value * (1 + 2e-6)).astype(np.float32) for name, value in some.items()}
    draws = [vae.likelihood.observe(loose, parameters).numpy() for parameters in (some, moved)]
    assert (draws[0] != draws[1]).any(), "other noise does not"


def test_what_is_added_to_the_graphs(trained, digits, tmp_path):
    """Variants, Triton's files and the model card, each described in the manifest by its checksum."""
    folder = export(
        trained, tmp_path / "bundle", x=digits[1], variants=("fp16",), gpu=True, kserve="s3://models/digits"
    )
    files = manifest_of(folder)["files"]
    expected = {"README.md", "decoder/1/model.fp16.onnx", "decoder/config.pbtxt", "inference_service.yaml"}
    assert expected <= set(files)
    assert "tensorrt" in (folder / "decoder/config.pbtxt").read_text().lower()
    assert "s3://models/digits" in (folder / "inference_service.yaml").read_text()
    assert manifest_of(folder)["graphs"]["decoder"]["variants"].keys() >= {"fp16"}
    x = digits[1][:4]
    np.testing.assert_allclose(Encoder(folder, variant="fp16").encode(x), trained.encode(x), atol=2e-2)


def large(units):
    return keras.Sequential([keras.Input((8,)), keras.layers.Dense(units), keras.layers.Dense(4, "gelu")])


@pytest.mark.parametrize("opset", [17, 19])
def test_weights_beside_the_graph(tmp_path, monkeypatch, opset):
    """Beyond 2 GB; here the limit is 10 kB."""
    monkeypatch.setattr(_conversion, "EXTERNAL_BYTES", 10_000)
    monkeypatch.setattr(_large, "LARGE_WEIGHT", 1_000)
    model = large(1000)
    folder = export_keras(model, tmp_path / "bundle", opset=opset)
    path = folder / GRAPHS["decoder"]
    assert onnx.load(path, load_external_data=False).opset_import[0].version == opset
    weights = path.with_name("model.onnx.data")
    assert weights.stat().st_size >= 4 * 1000 * 12
    assert path.stat().st_size < 10_000
    assert "decoder/1/model.onnx.data" in manifest_of(folder)["files"]
    onnx.checker.check_model(path, full_check=True)
    z = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)
    np.testing.assert_allclose(Decoder(folder).decode(z), model(z), rtol=1e-4, atol=1e-5)
    content = bytearray(weights.read_bytes())
    content[100] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ValueError, match=r"model.onnx.data: expected sha256"):
        Decoder(folder)


def test_all_graphs_with_weights_beside_them(make_vae, tmp_path, monkeypatch):
    monkeypatch.setattr(_conversion, "EXTERNAL_BYTES", 10_000)
    monkeypatch.setattr(_large, "LARGE_WEIGHT", 1_000)
    vae = make_vae(network="conv", prior=lambda d: vae_tf.priors.MixtureOfNormals(d, 3))
    folder = export(vae, tmp_path / "bundle", graphs=ALL)
    assert max(verify(folder).values()) < 1e-5
    assert all((folder / f"{GRAPHS[graph]}.data").is_file() for graph in ALL)
    assert not (folder / f"{GRAPHS['observation']}.data").exists(), "it has no weights"


@pytest.mark.slow
def test_more_than_two_gigabytes(tmp_path):
    """Takes about 12 GB of memory."""
    dense = keras.layers.Dense
    model = keras.Sequential([keras.Input((8,)), dense(17_000, "tanh"), dense(17_000, "tanh"), dense(17_000), dense(4)])
    folder = export_keras(model, tmp_path / "bundle")
    assert (folder / "decoder/1/model.onnx.data").stat().st_size > 2**31
    assert verify(folder)["decoder/mean"] < 1e-5
