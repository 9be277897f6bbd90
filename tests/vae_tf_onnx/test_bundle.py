"""Bundle: the names of its files, and bundles that must not be trusted."""

import pytest

from vae_tf_onnx import BundleError, Decoder, Encoder, verify
from vae_tf_onnx.bundle import (
    FORMAT_VERSION,
    GOLDEN,
    GRAPHS,
    MANIFEST,
    Bundle,
    is_bundle_only,
    open_bundle,
    write_manifest,
)


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
        {"columns": ["a", "b"]},
        {"columns": "ab", "event_shape": [2]},
        {"columns": [1, 2], "event_shape": [2]},
        {"data_range": [0, float("inf")]},
    ],
)
def test_facts_that_cannot_be(make_bundle, edit_manifest, change):
    folder = make_bundle()
    edit_manifest(folder, lambda manifest: manifest.update(change))
    with pytest.raises(BundleError, match="expected"):
        Decoder(folder)


@pytest.mark.parametrize("batch", ["4", 0, -1, True])
def test_a_batch_that_cannot_be(make_bundle, edit_manifest, batch):
    folder = make_bundle()
    edit_manifest(folder, lambda manifest: manifest.update(batch=batch))
    with pytest.raises(BundleError, match="expected shapes of positive whole numbers"):
        Decoder(folder)


def test_names_of_variants(tmp_path):
    bundle = Bundle(tmp_path, {"files": {"decoder/1/model.fp16.ort": ""}})
    assert bundle.file("decoder") == "decoder/1/model.onnx"
    assert bundle.file("encoder", "ort") == "encoder/1/model.ort"
    assert bundle.file("decoder", "int8-static") == "decoder/1/model.int8-static.onnx"
    assert bundle.holds("decoder", "fp16-ort")
    assert not bundle.holds("decoder")


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
