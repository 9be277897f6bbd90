"""Fixtures around the bundle made by hand, and around pages in a browser."""

import functools
import http.server
import json
import os
import shutil
import threading

import handmade
import pytest
import web_bundles
import web_explorer

from vae_tf_onnx.web import build, ort_web


@pytest.fixture
def make_bundle(tmp_path):
    """See handmade.write_bundle; the folder is new."""
    return lambda family="Gaussian": handmade.write_bundle(tmp_path / "bundle", family)


@pytest.fixture
def edit_manifest():
    """Changes a bundle's manifest by a function of its content."""

    def edit(folder, change):
        path = folder / "manifest.json"
        manifest = json.loads(path.read_text())
        change(manifest)
        path.write_text(json.dumps(manifest))

    return edit


@pytest.fixture(scope="module")
def browser():
    """Chromium, started once for the tests of a file."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    with playwright.sync_playwright() as api:
        chromium = api.chromium.launch(executable_path=program, args=web_explorer.ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def web_runtime():
    """The folder of onnxruntime-web."""
    try:
        return ort_web(os.environ.get("VAE_TF_ORT_WEB"))
    except ValueError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def web_folder(tmp_path_factory):
    """For the bundles and pages of a file of tests."""
    return tmp_path_factory.mktemp("web")


@pytest.fixture(scope="module")
def gaussian(web_folder):
    """See web_bundles.gaussian."""
    return web_bundles.gaussian(web_folder / "gaussian")


@pytest.fixture(scope="module")
def show(browser, web_folder, web_runtime):
    """Builds and opens a bundle's page on a server of its own; requests to other places are refused and recorded."""
    servers = []

    def show(bundle, spoil=lambda page: None, **context):
        root = build(bundle, web_folder / f"page{len(servers)}", ort_web=web_runtime).parent
        spoil(root)
        handler = functools.partial(web_explorer.QuietHandler, directory=root)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return web_explorer.open_page(browser, f"http://127.0.0.1:{server.server_port}/", **context)

    yield show
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def shared(show, gaussian):
    """The Gaussian bundle's page."""
    explorer = show(gaussian)
    explorer.at_first, explorer.asked_at_first = explorer.pixels(), list(explorer.requests)
    return explorer


@pytest.fixture
def explorer(shared):
    """The Gaussian page as it opens; it is loaded once for all tests."""
    page = shared.page
    page.set_viewport_size({"width": 1280, "height": 900})
    page.locator("#unused").evaluate("details => { details.open = true; }")
    page.locator("#noise").set_checked(False)
    for field in ("#noise-seed", "#sample-seed"):
        page.locator(field).fill("0")
    for end in ("From", "To"):
        page.get_by_role("radio", name=f"{end} test image {1 if end == 'From' else 2}", exact=True).check()
    page.get_by_label("Latent", exact=True).select_option("1")
    page.get_by_label("Across", exact=True).select_option("1")
    page.get_by_label("Up", exact=True).select_option("2")
    page.get_by_role("button", name="Reset latents").click()
    shared.settle()
    yield shared
    assert not shared.errors
