"""The source of onnxruntime-web: a folder of the user's, or npm."""

import io
import os
import tarfile

import pytest

from vae_tf_onnx.web import RUNTIME_FILES, _onnxruntime_web, ort_web


@pytest.mark.parametrize("part", ["", "dist"])
def test_a_given_runtime(runtime, part):
    assert ort_web(runtime / part) == runtime / "dist"


def test_a_folder_without_the_runtime(tmp_path):
    with pytest.raises(ValueError, match=r"expected onnxruntime-web .*`npm pack onnxruntime-web@"):
        ort_web(tmp_path)


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """Puts a program `npm` of these lines of Python on an otherwise empty path, and an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    def install(script):
        program = tmp_path / "bin" / "npm"
        program.parent.mkdir()
        program.write_text(f"#!{os.path.realpath('/bin/sh')}\n{script}\n")
        program.chmod(0o755)

    return install


def archive(path):
    """An archive as npm packs it."""
    with tarfile.open(path, "w:gz") as package:
        for name in RUNTIME_FILES:
            entry = tarfile.TarInfo(f"package/dist/{name}")
            entry.size = 4
            package.addfile(entry, io.BytesIO(b"code"))


def test_without_npm(npm):
    with pytest.raises(ValueError, match=r"expected npm, which fetches it, received no npm .* --ort-web DIR"):
        ort_web()


def test_npm_that_fails(npm):
    npm("echo no network >&2; exit 1")
    with pytest.raises(ValueError, match=r"received no network \(exit code 1\)"):
        ort_web()


def test_a_package_of_another_content_is_refused(npm, tmp_path):
    archive(tmp_path / "package.tgz")
    npm(f'/bin/cp {tmp_path}/package.tgz "$4/onnxruntime-web.tgz"')
    with pytest.raises(ValueError, match=r"expected an archive with sha512-.*, received sha512-"):
        ort_web()
    assert not list((tmp_path / "cache").rglob("*.wasm"))


def test_what_npm_fetched_is_kept(npm, tmp_path, monkeypatch):
    archive(tmp_path / "package.tgz")
    npm(f'/bin/cp {tmp_path}/package.tgz "$4/onnxruntime-web.tgz"; echo x >> {tmp_path}/calls')
    monkeypatch.setattr(
        _onnxruntime_web, "_INTEGRITY", _onnxruntime_web.integrity((tmp_path / "package.tgz").read_bytes())
    )
    folder = ort_web()
    assert folder.is_relative_to(tmp_path / "cache" / "vae-tf")
    assert {path.name for path in folder.iterdir()} == set(RUNTIME_FILES)
    assert ort_web() == folder
    assert (tmp_path / "calls").read_text() == "x\n", "the second time npm is not asked"
