"""The running server's first page, the explorer, while it is made and after."""

import os
import stat

import pytest
import serving
import web_bundles
from slow_clients import wait_for

from vae_tf_onnx.web import RUNTIME_FILES, build

pytestmark = serving.lacks("kserve")

TEXT = b"Open Inference Protocol"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return web_bundles.gaussian(tmp_path_factory.mktemp("serve") / "bundle")


def test_the_page_is_that_of_the_command_web(bundle, web_runtime, tmp_path):
    page = build(bundle, tmp_path / "page", ort_web=web_runtime).parent
    types = {"index.html": "text/html", "app.js": "javascript", RUNTIME_FILES[1]: "application/wasm"}
    with serving.serving(bundle, "--ort-web", web_runtime) as server:
        wait_for(lambda: "The explorer is at /" in server.log())
        assert server.request("GET", "/")[2] == (page / "index.html").read_bytes()
        for path in (path for path in page.rglob("*") if path.is_file()):
            status, headers, content = server.request("GET", f"/{path.relative_to(page).as_posix()}")
            assert (status, content) == (200, path.read_bytes())
            assert types.get(path.name, "") in headers["content-type"]
        assert server.request("GET", "/v2/health/ready")[0] == 200


def fake_npm(folder, go):
    """An npm that waits for the file `go`, and then has nothing; the variables that let the server find it."""
    folder.mkdir()
    program = folder / "npm"
    program.write_text(f"#!/bin/sh\nwhile [ ! -e {go} ]; do sleep 0.05; done\necho no registry >&2\nexit 1\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return {"PATH": f"{folder}:{os.environ['PATH']}", "XDG_CACHE_HOME": str(folder / "cache")}


def test_it_serves_while_the_page_is_made_and_where_it_cannot_be(bundle, tmp_path):
    go = tmp_path / "go"
    environment = fake_npm(tmp_path / "bin", go)
    with serving.serving(bundle, page=True, environment=environment) as server:
        status, headers, content = server.request("GET", "/")
        assert (status, headers["content-type"]) == (200, "text/plain; charset=utf-8")
        assert TEXT in content
        assert server.request("GET", "/app.js")[0] == 404
        assert "explorer" not in server.log().lower(), "npm is still at it"
        go.touch()
        wait_for(lambda: "No explorer at /: onnxruntime-web" in server.log())
        assert TEXT in server.request("GET", "/")[2]
