"""Models whose weights lie in a file beside the graph."""

import numpy as np
import onnx
import pytest
import tf_keras as keras

import vae_tf
from vae_tf_onnx import Decoder, export, export_keras, verify
from vae_tf_onnx.bundle import GRAPHS, open_bundle
from vae_tf_onnx.convert import _conversion, _large
from vae_tf_onnx.convert._functions import ON_REQUEST


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
    assert "decoder/1/model.onnx.data" in open_bundle(folder).manifest["files"]
    onnx.checker.check_model(path, full_check=True)
    z = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)
    np.testing.assert_allclose(Decoder(folder).decode(z), model(z), rtol=1e-4, atol=1e-5)
    content = bytearray(weights.read_bytes())
    content[100] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ValueError, match=r"model.onnx.data: expected sha256"):
        Decoder(folder)


@pytest.mark.integration
def test_all_graphs_with_weights_beside_them(make_vae, tmp_path, monkeypatch):
    monkeypatch.setattr(_conversion, "EXTERNAL_BYTES", 10_000)
    monkeypatch.setattr(_large, "LARGE_WEIGHT", 1_000)
    vae = make_vae(network="conv", prior=lambda d: vae_tf.priors.MixtureOfNormals(d, 3))
    folder = export(vae, tmp_path / "bundle", graphs=ON_REQUEST)
    assert max(verify(folder).values()) < 1e-5
    assert all((folder / f"{GRAPHS[graph]}.data").is_file() for graph in ON_REQUEST)
    assert not (folder / f"{GRAPHS['observation']}.data").exists(), "it has no weights"


@pytest.mark.slow
def test_more_than_two_gigabytes(tmp_path):
    """Takes about 12 GB of memory."""
    dense = keras.layers.Dense
    model = keras.Sequential([keras.Input((8,)), dense(17_000, "tanh"), dense(17_000, "tanh"), dense(17_000), dense(4)])
    folder = export_keras(model, tmp_path / "bundle")
    assert (folder / "decoder/1/model.onnx.data").stat().st_size > 2**31
    assert verify(folder)["decoder/mean"] < 1e-5
