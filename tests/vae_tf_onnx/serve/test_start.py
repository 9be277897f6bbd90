"""What the server refuses to start with, in one line and exit code 2, and where it may listen."""

import socket
import subprocess
import sys

import pytest
from serving import lacks

from vae_tf_onnx.cli import main
from vae_tf_onnx.serve import ServerSettings

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
def test_what_it_does_not_start_with(run_command, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(bad_files(tmp_path))
    code, out, err = run_command(main, "serve", "nowhere", *arguments)
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
def test_what_it_does_not_serve(run_command, make_bundle, monkeypatch, arguments, message):
    monkeypatch.chdir(make_bundle().parent)
    code, out, err = run_command(main, "serve", "bundle", *arguments)
    assert (code, out) == (2, "")
    assert message in err


def test_a_damaged_bundle_is_not_served(run_command, make_bundle):
    folder = make_bundle()
    (folder / "decoder" / "1" / "model.onnx").write_bytes(b"x")
    code, _, err = run_command(main, "serve", folder)
    assert code == 2
    assert "expected sha256" in err


@pytest.mark.parametrize(
    "settings",
    [
        ServerSettings(host="127.0.0.1"),
        ServerSettings(host="localhost"),
        ServerSettings(host="::1"),
        ServerSettings(host="0.0.0.0", insecure=True),
    ],
)
def test_where_it_may_listen(settings):
    settings.check()


def test_a_token_is_enough_beyond_loopback(tmp_path):
    (tmp_path / "token").write_text("0123456789abcdef\n")
    settings = ServerSettings(host="0.0.0.0", token_file=tmp_path / "token")
    settings.check()
    assert settings.token() == "0123456789abcdef"


def test_without_kserve_the_command_says_how_to_install_it(run_command, make_bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "kserve", None)
    for name in [name for name in sys.modules if name.startswith("vae_tf_onnx.serve._server")]:
        monkeypatch.delitem(sys.modules, name)
    code, _, err = run_command(main, "serve", make_bundle())
    assert code == 2
    assert 'Install it: pip install "vae-tf-onnx[serve]"' in err
