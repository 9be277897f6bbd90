"""The command `serve`: what it refuses to start with, in one line and exit code 2, and when it makes an explorer."""

import socket
import subprocess
import sys

import pytest
from serving import lacks

from vae_tf_onnx.bundle import open_bundle
from vae_tf_onnx.cli import _serve

TWICE = """
import sys
from vae_tf_onnx.cli import main
sys.argv.append("--grpc")
bundle, port = sys.argv[1:3]
for options in (["--http-port", port, "--grpc-port", "0"], ["--http-port", "0", "--grpc-port", port]):
    try:
        main(["serve", bundle, *options])
    except SystemExit as error:
        print(error.code)
"""
"""Starts on a taken port; `--grpc` begins like options of kserve's own, which reads sys.argv while it is imported."""


@lacks("kserve")
def test_a_taken_port_is_one_line_and_exit_code_2(make_bundle):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-c", TWICE, str(make_bundle()), str(port)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "2\n2\n"
    for line, option in zip(done.stderr.splitlines(), ("http_port", "grpc_port"), strict=True):
        expected = f"vae-tf-onnx: error: {option}: expected a free port, received 127.0.0.1:{port}: "
        assert line.startswith(expected)


def bad_files(folder):
    (folder / "empty").write_text("\n")
    (folder / "words").write_text("two words")
    (folder / "none.pem").write_text("none")
    return folder


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "host: expected a loopback address, received '0.0.0.0'. Pass token_file"),
        (["--host", "::"], "host: expected a loopback address, received '::'"),
        (["--host", ""], "host: expected a name or address, received ''"),
        (["--host", "no such host"], "host: expected a name or address"),
        (["--token-file", "empty"], "token_file: expected one word of printable ASCII"),
        (["--token-file", "words"], "token_file: expected one word of printable ASCII"),
        (["--token-file", "nowhere"], "No such file"),
        (["--tls-cert", "none.pem"], "tls_cert, tls_key: expected both or neither"),
        (["--tls-cert", "none.pem", "--tls-key", "none.pem"], "tls_cert, tls_key: expected a PEM certificate"),
        (["--http-port", "65536"], "http_port: expected 0 to 65535, received 65536"),
        (["--max-rows", "0"], "max_rows: expected 1 to"),
        (["--grace-seconds", "-1"], "grace_seconds: expected 0 to"),
        ([], "expected a file, received nothing there"),
    ],
)
def test_what_it_does_not_start_with(run, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(bad_files(tmp_path))
    code, out, err = run("serve", "nowhere", *arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--page", "."], "page: expected a folder with an index.html, received ."),
        (["--page", "nowhere"], "'nowhere' does not exist"),
        (["--variant", "fp17"], "variant: expected fp32, "),
        (["--variant", "fp16"], "variant: expected one that the bundle"),
        (["--threads", "0"], "threads: expected 1 or more, received 0"),
    ],
)
def test_what_it_does_not_serve(run, make_bundle, monkeypatch, arguments, message):
    monkeypatch.chdir(make_bundle().parent)
    code, out, err = run("serve", "bundle", *arguments)
    assert (code, out) == (2, "")
    assert message in err


def test_a_damaged_bundle_is_not_served(run, make_bundle):
    folder = make_bundle()
    (folder / "decoder" / "1" / "model.onnx").write_bytes(b"x")
    code, _, err = run("serve", folder)
    assert code == 2
    assert "expected sha256" in err


def test_without_kserve_the_command_says_how_to_install_it(run, make_bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "kserve", None)
    monkeypatch.delitem(sys.modules, "vae_tf_onnx.serve._server", raising=False)
    code, _, err = run("serve", make_bundle())
    assert code == 2
    assert 'Install it: pip install "vae-tf-onnx[serve]"' in err


def test_a_cache_that_cannot_be_written_stops_nothing(gaussian, tmp_path, monkeypatch, caplog):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    _serve.write_explorer(open_bundle(gaussian), tmp_path / "page", "fp32", None)
    assert "No explorer at /: [Errno" in caplog.text


def test_with_a_token_there_is_no_explorer(gaussian, run, tmp_path, monkeypatch, caplog):
    (tmp_path / "token").write_text("0123456789abcdef")
    served = []
    monkeypatch.setattr(_serve, "serve", lambda *arguments, **options: served.append(options))
    caplog.set_level("INFO", "vae_tf_onnx")
    assert run("serve", gaussian, "--token-file", tmp_path / "token")[0] == 0
    assert served == [{"variant": "fp32", "threads": 1}]
    assert "No explorer at /: a browser that opens a page sends no token" in caplog.text
