"""The draft of a bundle: it replaces a bundle whole, and nothing else."""

import shutil

import pytest
from paths import contents

from vae_tf_onnx import BundleError, Decoder, export
from vae_tf_onnx.bundle import MANIFEST


def test_a_bundle_is_replaced_whole(trained, exported, tmp_path):
    folder = shutil.copytree(exported("optimal"), tmp_path / "bundle")
    export(trained("bernoulli"), folder)
    assert "logits" in Decoder(folder).output_names
    assert list(tmp_path.iterdir()) == [folder]


def test_a_bundle_with_other_files_in_it_is_not_replaced(trained, exported, tmp_path):
    folder = shutil.copytree(exported(), tmp_path / "bundle")
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
