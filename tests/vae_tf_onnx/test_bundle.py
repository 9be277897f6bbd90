"""Bundles that must not be trusted."""

import json
import pickle

import numpy as np
import pytest
from handmade import golden

from vae_tf_onnx import BundleError, Decoder, Encoder, verify
from vae_tf_onnx.bundle import FORMAT_VERSION, GOLDEN, GRAPHS, MANIFEST, open_bundle, sha256


def test_missing_folder(tmp_path):
    with pytest.raises(BundleError, match=r"manifest.json: expected a file, received nothing there") as caught:
        Decoder(tmp_path / "nowhere")
    assert caught.value.path.endswith(MANIFEST)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", "3", '{"format_version": "1"}', '{"format_version": true}', "[" * 10**5]
)
def test_malformed_manifest(make_bundle, content):
    folder = make_bundle()
    (folder / MANIFEST).write_text(content)
    with pytest.raises(BundleError, match="expected"):
        open_bundle(folder)


def test_binary_manifest(make_bundle):
    folder = make_bundle()
    (folder / MANIFEST).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BundleError, match="expected JSON"):
        open_bundle(folder)


@pytest.mark.parametrize("key", ["data_range", "event_shape", "files", "graphs", "latent_dim", "likelihood", "prior"])
def test_incomplete_manifest(make_bundle, edit_manifest, key):
    folder = make_bundle()
    edit_manifest(folder, lambda manifest: manifest.pop(key))
    with pytest.raises(BundleError, match=f"expected '{key}'"):
        Decoder(folder)


def test_newer_format(make_bundle, edit_manifest):
    folder = make_bundle()
    edit_manifest(folder, lambda manifest: manifest.update(format_version=FORMAT_VERSION + 1))
    with pytest.raises(BundleError, match=r"expected format version 1 or older, received 2. Upgrade"):
        Decoder(folder)


@pytest.mark.parametrize("name", [GRAPHS["decoder"], GRAPHS["encoder"], GOLDEN])
def test_wrong_checksum(make_bundle, name):
    folder = make_bundle()
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(BundleError, match=f"{name}: expected sha256"):
        verify(folder)


def test_a_changed_decoder_is_not_run(make_bundle):
    folder = make_bundle()
    (folder / GRAPHS["decoder"]).write_bytes(b"changed")
    with pytest.raises(BundleError, match="expected sha256"):
        Decoder(folder)


@pytest.mark.parametrize("name", [GRAPHS["decoder"], GRAPHS["encoder"], GOLDEN])
def test_missing_file(make_bundle, name):
    folder = make_bundle()
    (folder / name).unlink()
    with pytest.raises(BundleError, match="expected a file, received nothing there"):
        verify(folder)


def test_unlisted_file(make_bundle, edit_manifest):
    folder = make_bundle()
    edit_manifest(folder, lambda manifest: manifest["files"].pop(GRAPHS["encoder"]))
    with pytest.raises(BundleError, match="expected a file that the manifest lists"):
        Encoder(folder)


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../outside", "decoder/../../outside", "C:\\outside", "..\\outside", "c:x", ""]
)
def test_hostile_path(make_bundle, edit_manifest, name):
    folder = make_bundle()
    edit_manifest(folder, lambda manifest: manifest["files"].update({name: "0"}))
    with pytest.raises(BundleError, match="expected paths inside the bundle"):
        Decoder(folder)


def test_link_out_of_the_bundle(make_bundle, edit_manifest, tmp_path):
    folder = make_bundle()
    outside = tmp_path / "outside.onnx"
    (folder / GRAPHS["decoder"]).rename(outside)
    (folder / GRAPHS["decoder"]).symlink_to(outside)
    with pytest.raises(BundleError, match="a link to"):
        Decoder(folder)


@pytest.mark.parametrize("part", ["likelihood", "prior"])
def test_unknown_family(make_bundle, edit_manifest, part):
    folder = make_bundle()
    edit_manifest(folder, lambda manifest: manifest.update({part: {"family": "Cauchy"}}))
    with pytest.raises(BundleError, match=f"expected a {part} of .*received 'Cauchy'. Upgrade"):
        Decoder(folder)


def replace(folder, name, content):
    """Puts content in place under a valid checksum."""
    (folder / name).write_bytes(content)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"][name] = sha256(content)
    (folder / MANIFEST).write_text(json.dumps(manifest))


def test_a_graph_that_does_not_load(make_bundle):
    folder = make_bundle()
    replace(folder, GRAPHS["decoder"], b"not a graph")
    with pytest.raises(BundleError, match="expected a graph that onnxruntime loads"):
        Decoder(folder)


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_pickle_in_the_golden_set_is_not_run(make_bundle, tmp_path):
    folder, marker = make_bundle(), tmp_path / "marker"
    path = tmp_path / "hostile.npz"
    np.savez(path, z=np.array([Payload(marker)], dtype=object))
    replace(folder, GOLDEN, path.read_bytes())
    with pytest.raises(BundleError, match="expected numeric arrays"):
        verify(folder)
    assert not marker.exists()


def test_that_test_can_fail(tmp_path):
    marker = tmp_path / "marker"
    pickle.loads(pickle.dumps(Payload(marker))).close()
    assert marker.exists()


def test_a_golden_set_without_what_it_must_hold(make_bundle, tmp_path):
    folder = make_bundle()
    path = tmp_path / "empty.npz"
    np.savez(path, z=np.zeros((1, 3), np.float32))
    replace(folder, GOLDEN, path.read_bytes())
    with pytest.raises(BundleError, match=r"golden.npz: expected numeric arrays .*log_prob"):
        verify(folder)


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


@pytest.mark.parametrize(
    "change",
    [
        {"event_shape": ["a"]},
        {"event_shape": [9, 9, 1]},
        {"latent_dim": -1},
        {"latent_dim": True},
        {"likelihood": {"family": []}},
        {"likelihood": {"family": "Bernoulli"}},
        {"posterior": []},
        {"posterior": {"family": []}},
        {"prior": {"family": {}}},
        {"data_range": [1]},
        {"data_range": [0, "1"]},
        {"data_range": [1, 0]},
        {"data_range": [0, float("inf")]},
    ],
)
def test_facts_that_cannot_be(make_bundle, edit_manifest, change):
    folder = make_bundle()
    edit_manifest(folder, lambda manifest: manifest.update(change))
    with pytest.raises(BundleError, match="expected"):
        Decoder(folder)


@pytest.mark.parametrize("values", [{"z": np.array(["a"])}, {"z": np.zeros((0, 3))}, {"x": np.zeros((5, 3))}])
def test_golden_values_that_cannot_be(make_bundle, tmp_path, values):
    folder = make_bundle()
    path = tmp_path / "other.npz"
    np.savez(path, **golden("Gaussian") | values)
    replace(folder, GOLDEN, path.read_bytes())
    with pytest.raises(BundleError, match="expected numeric arrays"):
        verify(folder)


def test_a_golden_set_that_is_a_single_array(make_bundle, tmp_path):
    folder = make_bundle()
    np.save(tmp_path / "x.npy", np.zeros(3))
    replace(folder, GOLDEN, (tmp_path / "x.npy").read_bytes())
    with pytest.raises(BundleError, match="expected numeric arrays"):
        verify(folder)
