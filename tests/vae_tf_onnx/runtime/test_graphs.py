"""Graph beyond the plain case: fixed batches, weights beside the graph, providers, buffers, unstated likelihoods."""

import importlib.metadata

import numpy as np
import onnx
import onnxruntime
import pytest
from handmade import EVENT_SHAPE, LATENT_DIM, weights

from vae_tf_onnx import Bound, BundleError, Decoder, Encoder, ProviderError
from vae_tf_onnx.bundle import EXTERNAL, GRAPHS, Bundle, is_bundle_only, open_bundle, write_manifest
from vae_tf_onnx.runtime import Graph
from vae_tf_onnx.runtime._session import open_session

CUDA = "CUDAExecutionProvider"


def means(z):
    return (z @ weights()[0]).reshape(len(z), *EVENT_SHAPE)


def latents(count):
    return np.random.default_rng(count).normal(size=(count, LATENT_DIM)).astype(np.float32)


def rewrite(folder, change, **facts):
    """Changes the decoder's graph, and facts of the manifest, under valid checksums."""
    model = onnx.load(folder / GRAPHS["decoder"])
    change(model)
    onnx.save(model, folder / GRAPHS["decoder"])
    write_manifest(folder, open_bundle(folder).manifest | facts)
    return folder


@pytest.fixture
def fixed_batch(make_bundle):
    """A bundle whose decoder takes four rows and no other number."""

    def fix(model):
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.shape.dim[0].dim_value = 4

    return rewrite(make_bundle(), fix, batch=4)


@pytest.mark.parametrize("rows", [1, 4, 5, 11])
def test_a_fixed_batch_takes_any_number_of_rows(fixed_batch, rows):
    decoder, z = Decoder(fixed_batch), latents(rows)
    with pytest.raises(Exception, match="Got invalid dimensions"):
        decoder.session.run(None, {"z": latents(3)})
    np.testing.assert_allclose(decoder.decode(z), means(z), rtol=1e-4, atol=1e-6)
    assert decoder.parameters(z)["scale"].shape == (rows, *EVENT_SHAPE)
    assert decoder.sample(rows, seed=0).shape == (rows, *EVENT_SHAPE)


@pytest.mark.parametrize("batch", ["4", 0, -1, True])
def test_a_batch_that_cannot_be(make_bundle, edit_manifest, batch):
    folder = make_bundle()
    edit_manifest(folder, lambda manifest: manifest.update(batch=batch))
    with pytest.raises(BundleError, match="expected shapes of positive whole numbers"):
        Decoder(folder)


def spill(folder):
    """Moves the decoder's weights into a file beside it."""
    path = folder / GRAPHS["decoder"]
    onnx.save(
        onnx.load(path),
        path,
        save_as_external_data=True,
        location=path.name + EXTERNAL,
        size_threshold=100,
        convert_attribute=False,
    )
    write_manifest(folder, open_bundle(folder).manifest)
    return folder


def test_weights_beside_the_graph(make_bundle):
    folder, z = spill(make_bundle()), latents(3)
    assert (folder / (GRAPHS["decoder"] + EXTERNAL)).is_file()
    np.testing.assert_allclose(Decoder(folder).decode(z), means(z), rtol=1e-4, atol=1e-6)


def test_changed_weights_beside_the_graph_are_not_run(make_bundle):
    folder = spill(make_bundle())
    path = folder / (GRAPHS["decoder"] + EXTERNAL)
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match=f"{path.name}: expected sha256"):
        Decoder(folder)


@pytest.mark.parametrize("batch", [1, 7])
def test_bound_buffers(make_bundle, batch):
    decoder = Decoder(make_bundle())
    bound = Bound(decoder, batch)
    first = bound.run(latents(batch))["mean"]
    kept, z = first.copy(), latents(batch) + 1
    np.testing.assert_allclose(bound.run(z)["mean"], means(z), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(first, kept, "outputs of one run are not those of the next")
    with pytest.raises(ValueError, match=rf"z: expected {batch} rows, received {batch + 1}"):
        bound.run(latents(batch + 1))


@pytest.mark.parametrize("batch", [0, -1, True, 2.0])
def test_bound_to_a_batch_that_cannot_be(make_bundle, batch):
    with pytest.raises(ValueError, match="batch: expected a whole number of at least 1"):
        Bound(Decoder(make_bundle()), batch)


def test_bound_to_a_fixed_batch(fixed_batch):
    decoder = Decoder(fixed_batch)
    np.testing.assert_allclose(Bound(decoder, 4).run(latents(4))["mean"], means(latents(4)), rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match="batch: expected 4, that of the bundle, received 3"):
        Bound(decoder, 3)


def test_cuda_graphs_need_cuda(make_bundle):
    with pytest.raises(ProviderError, match="expected CUDAExecutionProvider, for cuda_graph"):
        Bound(Decoder(make_bundle()), 1, cuda_graph=True)


def test_a_provider_that_is_not_there(make_bundle):
    folder = make_bundle()
    assert Decoder(folder, providers=["CPUExecutionProvider"]).session.get_providers() == ["CPUExecutionProvider"]
    with pytest.raises(ProviderError, match="received NoSuchProvider"):
        Decoder(folder, providers=["NoSuchProvider"])
    if CUDA not in onnxruntime.get_available_providers():
        with pytest.raises(ProviderError, match='pip install "onnxruntime-gpu'):
            Encoder(folder, providers=[(CUDA, {"device_id": 0}), "CPUExecutionProvider"])


def test_a_session_on_another_provider_than_asked_for_is_refused(make_bundle, monkeypatch):
    """CUDA without its libraries: onnxruntime warns, and takes the CPU."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, "CPUExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)
    make = onnxruntime.InferenceSession
    monkeypatch.setattr(
        onnxruntime, "InferenceSession", lambda *arguments, providers: make(*arguments, providers=providers[1:])
    )
    with pytest.raises(ProviderError, match=r"expected a session on CUDAExecutionProvider, received \['CPUExec"):
        Decoder(make_bundle(), providers=[CUDA, "CPUExecutionProvider"])


def test_two_builds_of_onnxruntime_are_refused(make_bundle, monkeypatch):
    monkeypatch.setattr("vae_tf_onnx.runtime._session.version", lambda wheel: "1.31.1")
    with pytest.raises(ProviderError, match="expected one build of onnxruntime, received onnxruntime and onnxruntime-"):
        Decoder(make_bundle(), providers=[CUDA])


def test_the_gpu_extra_names_the_gpu_wheel():
    required = [line for line in importlib.metadata.requires("vae-tf-onnx") if "onnxruntime" in line]
    assert any(line.startswith("onnxruntime-gpu") and "extra == 'gpu'" in line.replace('"', "'") for line in required)


@pytest.fixture
def unstated(make_bundle):
    """The bundle of a Keras decoder: a mean, and no likelihood."""

    def only_the_mean(model):
        del model.graph.output[1:]

    unknown = {"family": None, "parameters": {}}
    return rewrite(make_bundle(), only_the_mean, likelihood=unknown, prior=unknown, posterior=unknown)


def test_a_decoder_without_a_likelihood(unstated):
    decoder, z = Decoder(unstated), latents(3)
    np.testing.assert_allclose(decoder.decode(z), means(z), rtol=1e-4, atol=1e-6)
    with pytest.raises(BundleError, match="expected a likelihood, received none: a Keras decoder states none"):
        decoder.log_prob(means(z), z)
    with pytest.raises(BundleError, match="expected a prior, received none"):
        decoder.sample(3)


def test_rows_that_do_not_fit(make_bundle):
    decoder = Decoder(make_bundle())
    for z in (np.zeros((0, 3)), np.zeros(3), np.zeros((2, 4)), 1.0):
        for decode in (decoder.decode, decoder.parameters):
            with pytest.raises(ValueError, match=r"z: expected shape \[B, 3\], received .* of at least one row"):
                decode(z)


def test_a_variant_that_is_none(make_bundle):
    folder = make_bundle()
    with pytest.raises(ValueError, match=r"variant: expected fp32, fp16, .* received 'fp8'\. Choose one"):
        Decoder(folder, variant="fp8")
    with pytest.raises(BundleError, match=r"model\.fp16\.onnx: expected a file that the manifest lists"):
        Decoder(folder, variant="fp16")


def test_names_of_variants(tmp_path):
    bundle = Bundle(tmp_path, {"files": {"decoder/1/model.fp16.ort": ""}})
    assert bundle.file("decoder") == "decoder/1/model.onnx"
    assert bundle.file("encoder", "ort") == "encoder/1/model.ort"
    assert bundle.file("decoder", "int8-static") == "decoder/1/model.int8-static.onnx"
    assert bundle.holds("decoder", "fp16-ort")
    assert not bundle.holds("decoder")


def test_an_unknown_input_is_refused(make_bundle):
    def rename(model):
        model.graph.input[0].name = model.graph.node[0].input[0] = "y"

    folder = rewrite(make_bundle(), rename)
    with pytest.raises(BundleError, match="expected inputs of this kind of graph, received 'y'"):
        Graph(folder, "decoder")


def test_the_graphs_beside_a_head_take_its_provider(make_bundle, monkeypatch):
    asked = []

    def spy(bundle, name, *, threads, providers):
        asked.append((name, threads, providers))
        return open_session(bundle, name, threads=threads, providers=None)

    monkeypatch.setattr("vae_tf_onnx.runtime._graph.open_session", spy)
    Decoder(make_bundle(), threads=3, providers=[CUDA]).beside("encoder")
    assert asked == [(GRAPHS[name], 3, [CUDA]) for name in ("decoder", "encoder")]


def test_strangers_in_the_folder_are_not_listed(make_bundle):
    folder = make_bundle()
    listed = set(open_bundle(folder).manifest["files"])
    strangers = ("id_rsa", "decoder/1/model.onnx.tmp", "other/1/model.onnx", "decoder/notes.txt", "x/README.md")
    for name in strangers:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("?")
    (folder / "decoder/1/model.int8-static.ort").write_text("?")
    write_manifest(folder, open_bundle(folder).manifest)
    assert set(open_bundle(folder).manifest["files"]) == listed | {"decoder/1/model.int8-static.ort"}
    assert not is_bundle_only(folder)
