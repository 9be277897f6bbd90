"""Sessions: weights beside the graph, and the providers that were asked for."""

import importlib.metadata

import numpy as np
import onnx
import onnxruntime
import pytest
from bundle_changes import replace
from handmade import latents, means

from vae_tf_onnx import BundleError, Decoder, Encoder, ProviderError
from vae_tf_onnx.bundle import (
    EXTERNAL,
    GRAPHS,
    open_bundle,
    write_manifest,
)

CUDA = "CUDAExecutionProvider"


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


def test_a_graph_that_does_not_load(make_bundle):
    folder = make_bundle()
    replace(folder, GRAPHS["decoder"], b"not a graph")
    with pytest.raises(BundleError, match="expected a graph that onnxruntime loads"):
        Decoder(folder)


@pytest.mark.parametrize("location", ["{folder}/secret", "secret", "../secret"])
def test_external_data_outside_the_bundle_is_not_read(make_bundle, tmp_path, monkeypatch, location):
    """A graph may name a file for its weights: none that no checksum covers is opened."""
    monkeypatch.chdir(tmp_path)
    import onnx

    folder = make_bundle()
    secret = tmp_path / "secret"
    secret.write_bytes(np.ones((3, 8), np.float32).tobytes())
    model = onnx.load(folder / GRAPHS["decoder"])
    (matrix,) = (tensor for tensor in model.graph.initializer if tensor.name == "matrix")
    matrix.ClearField("raw_data")
    matrix.data_location = onnx.TensorProto.EXTERNAL
    matrix.external_data.add(key="location", value=location.format(folder=tmp_path))
    replace(folder, GRAPHS["decoder"], model.SerializeToString())
    with pytest.raises(BundleError, match="expected a graph that onnxruntime loads"):
        Decoder(folder)
