"""The files of a page, as a folder and as a single file; page/ opens them in a browser."""

import base64
import gzip
import re

import pytest

from vae_tf_onnx.bundle import GRAPHS
from vae_tf_onnx.web import RUNTIME_FILES, build
from vae_tf_onnx.web._page import join_modules


def test_a_folder(bundle, runtime, tmp_path):
    index = build(bundle, tmp_path / "page", ort_web=runtime)
    assert index == tmp_path / "page" / "index.html"
    names = {path.relative_to(index.parent).as_posix() for path in index.parent.rglob("*") if path.is_file()}
    assert {"index.html", "app.js", "style.css", "bundle.json", "decoder.onnx", "observation.onnx"} < names
    assert {name for name in names if "/" in name} == {f"ort/{name}" for name in RUNTIME_FILES}
    assert (index.parent / "decoder.onnx").read_bytes() == (bundle / GRAPHS["decoder"]).read_bytes()


def test_a_single_file(bundle, runtime, tmp_path):
    index = build(bundle, tmp_path / "page", ort_web=runtime, single_file=True)
    assert [path.name for path in index.parent.iterdir()] == ["index.html"]
    text = index.read_text()
    (carried,) = re.findall(r'id="asset:decoder.onnx">([^<]*)<', text)
    assert gzip.decompress(base64.b64decode(carried)) == (bundle / GRAPHS["decoder"]).read_bytes()
    assert "onerror=" not in text, "names from the manifest are not part of the HTML"
    assert "unsafe-inline" not in text


def test_the_same_bundle_gives_the_same_page(bundle, runtime, tmp_path):
    pages = [build(bundle, tmp_path / name, ort_web=runtime, single_file=True).read_bytes() for name in "ab"]
    assert pages[0] == pages[1]


def test_joined_modules_share_no_name():
    script = join_modules("app.js")
    assert not re.search(r"^(import|export) ", script, re.MULTILINE)
    names = re.findall(r"^(?:async )?(?:const|let|class|function) (\w+)", script, re.MULTILINE)
    assert len(names) > 30
    assert len(set(names)) == len(names)


def test_what_is_there_is_replaced_only_where_it_is_a_page(bundle, runtime, tmp_path):
    out = tmp_path / "page"
    out.mkdir()
    build(bundle, out, ort_web=runtime)
    build(bundle, out, ort_web=runtime, single_file=True)
    build(bundle, out, ort_web=runtime)
    (out / "mine.txt").write_text("keep")
    with pytest.raises(ValueError, match=r"expected a page of the latent explorer, .* Choose another folder"):
        build(bundle, out, ort_web=runtime)
    assert (out / "mine.txt").read_text() == "keep"


@pytest.mark.parametrize("name", ["index.html", "notes.txt"])
def test_a_folder_of_somebody_else_is_kept(bundle, runtime, tmp_path, name):
    out = tmp_path / "site"
    out.mkdir()
    (out / name).write_text("<p>mine</p>")
    with pytest.raises(ValueError, match="received something else"):
        build(bundle, out, ort_web=runtime)
    assert (out / name).read_text() == "<p>mine</p>"
