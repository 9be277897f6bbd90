"""The page in a browser: loading, failing in words, accessibility, and the pages of other bundles."""

import io
import json
import shutil

import numpy as np
import pytest

pytest.importorskip("playwright", reason="playwright is not installed")
import web_bundles
import web_random
from PIL import Image
from playwright import sync_api as playwright
from web_bundles import run
from web_explorer import MEAN, NAMED, PIXEL, assert_shows, at, decoded, open_page

from vae_tf_onnx import families
from vae_tf_onnx.bundle import EXAMPLES, GOLDEN, write_manifest
from vae_tf_onnx.web import build
from vae_tf_onnx.web._noise_laws import OBSERVATION_NOISE

pytestmark = [pytest.mark.browser, pytest.mark.integration]


@pytest.fixture(scope="module")
def bernoulli(web_folder):
    return web_bundles.bernoulli(web_folder / "bernoulli")


def test_it_loads_without_a_network_and_passes_its_self_test(shared, gaussian):
    badge = shared.page.locator("#self-test")
    assert badge.get_attribute("data-state") == "passed"
    assert "Self-test passed: largest relative error" in badge.inner_text()
    assert not shared.page.get_by_role("alert").is_visible()
    own = shared.page.url.split("/")[2]
    assert {url.split("/")[2] for url in shared.asked_at_first} == {own}, "nothing but its own files is asked for"
    assert not shared.errors
    with np.load(gaussian / EXAMPLES) as examples:
        np.testing.assert_allclose(shared.at_first, decoded(gaussian, examples["z"][0]), rtol=0, atol=255 * PIXEL)


def test_it_may_not_ask_another_place(explorer):
    refused = explorer.page.evaluate(
        """async () => {
            const told = new Promise((resolve) => addEventListener("securitypolicyviolation", resolve, {once: true}));
            const outcome = await fetch("http://127.0.0.1:9/").then(() => "answered", () => "refused");
            return [outcome, (await told).effectiveDirective];
        }"""
    )
    assert refused == ["refused", "connect-src"]


def test_screen_readers_hear_every_control_and_the_result(explorer):
    session = explorer.page.context.new_cdp_session(explorer.page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    controls = [node for node in nodes if node.get("role", {}).get("value") in NAMED and not node["ignored"]]
    assert len(controls) > 40
    assert [node for node in controls if not node.get("name", {}).get("value", "").strip()] == []
    label = explorer.page.locator("#image").get_attribute("aria-label")
    assert label.startswith("Image of 6 by 5 pixels. Mean of x: ")
    explorer.set_slider(1, 240)
    assert explorer.page.locator("#image").get_attribute("aria-label") != label
    said = explorer.page.locator("#image").get_attribute("aria-label").removeprefix("Image of 6 by 5 pixels. ")
    playwright.expect(explorer.page.locator("#summary")).to_have_text(said)
    assert explorer.page.locator("#summary").get_attribute("role") == "status"


def luminance(colour):
    """Relative luminance (WCAG 2) of #rrggbb."""
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark(explorer, scheme):
    explorer.page.emulate_media(color_scheme=scheme)
    script = "name => getComputedStyle(document.documentElement).getPropertyValue(name).trim()"
    colour = {name: luminance(explorer.page.evaluate(script, f"--{name}")) for name in COLOURS}
    for text, ground in PAIRS:
        high, low = sorted((colour[text], colour[ground]), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5, (text, ground)
    picture = np.asarray(Image.open(io.BytesIO(explorer.page.screenshot())).convert("L"))
    assert (np.median(picture) > 200) == (scheme == "light")


COLOURS = ("page", "card", "text", "quiet", "accent", "on-accent", "tint", "good", "good-tint", "bad", "bad-tint")
PAIRS = [(text, ground) for text in ("text", "quiet", "accent") for ground in ("page", "card")]
PAIRS += [("text", "tint"), ("quiet", "tint"), ("good", "good-tint"), ("bad", "bad-tint"), ("on-accent", "accent")]


def test_a_narrow_screen_does_not_scroll_sideways(explorer):
    explorer.page.set_viewport_size({"width": 390, "height": 844})
    width = explorer.page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390


def test_noise_has_the_laws_of_numpy(explorer):
    """Two-sample Kolmogorov-Smirnov, 10,000 numbers each: fails with probability 1e-6 for each law."""
    script = """async ([law, df]) => { const {sampleNoise, generator} = await import("./random.js");
        return Array.from(sampleNoise(law, generator(11), 10000, df)); }"""
    configs = {"StudentT": {"df": 3.0}, "MixtureOfLogistics": {"levels": 256, "components": 2}}
    laws = set(OBSERVATION_NOISE.values())
    page = {law: np.sort(explorer.page.evaluate(script, [law, configs["StudentT"]["df"]])) for law in laws}
    for family, law in OBSERVATION_NOISE.items():
        received, config = page[law], configs.get(family, {"levels": 256})
        likelihood = families.LIKELIHOODS[family](config)
        expected = np.sort(likelihood.noise(np.random.default_rng(0), 10000, ()).reshape(-1)[:10000])
        points = np.concatenate([received, expected])
        below = [np.searchsorted(numbers, points, side="right") / 10000 for numbers in (received, expected)]
        limit = np.sqrt(-0.5 * np.log(1e-6 / 2)) * np.sqrt(2 / 10000)
        assert np.abs(below[0] - below[1]).max() < limit, family


def test_a_wrong_golden_set_fails_the_self_test(show, gaussian, web_folder):
    bundle = shutil.copytree(gaussian, web_folder / "tampered")
    with np.load(bundle / GOLDEN) as file:
        golden = dict(file)
    golden["decoder/mean"][0, 0, 0, 0] += 0.001
    np.savez(bundle / GOLDEN, **golden)
    write_manifest(bundle, json.loads((bundle / "manifest.json").read_text()))
    explorer = show(bundle)
    assert explorer.page.locator("#self-test").get_attribute("data-state") == "failed"
    alert = explorer.page.get_by_role("alert")
    assert "does not give what the trained model gave" in alert.inner_text()


def test_what_does_not_start_is_told_in_words(show, gaussian):
    explorer = show(gaussian, spoil=lambda page: (page / "ort/ort-wasm-simd-threaded.wasm").write_bytes(b"no code"))
    assert explorer.page.locator("#self-test").inner_text() == "Self-test not run"
    assert "onnxruntime-web cannot run the graph decoder" in explorer.page.get_by_role("alert").inner_text()


def test_a_file_that_is_missing_is_told_in_words(show, gaussian):
    explorer = show(gaussian, spoil=lambda page: (page / "bundle.json").unlink())
    assert "bundle.json: the server answered 404" in explorer.page.get_by_role("alert").inner_text()


def test_series_a_mixture_as_prior_and_a_fixed_batch(show, bernoulli):
    explorer = show(bernoulli)
    page = explorer.page
    assert page.locator("#self-test").get_attribute("data-state") == "passed"
    assert page.locator("#interpolation-section").is_hidden()
    explorer.settle()
    assert page.locator("#image").get_attribute("aria-label").startswith("Plot of 12 values. Mean of x: ")
    noise = web_random.mixture(web_random.generator(0), 9, 3)
    z = run(bernoulli, "prior", noise)["z"]
    assert len(set(noise[:, 0] < 0.4)) == 2, "both components occur"
    page.get_by_role("button", name="Sample 9 of seed 0").click()
    np.testing.assert_allclose([explorer.shown(0), explorer.shown(1)], z[8], atol=0.006)
    page.get_by_role("switch", name="Observation noise").check()
    uniform = web_random.generator(web_random.NOISE_STREAM)
    noise = np.float32([[next(uniform) for _ in range(12)]])
    x = run(bernoulli, "observation", run(bernoulli, "decoder", z[8:])["mean"], noise)["x"]
    explorer.settle()
    text = f"Sample of x: 0.00 to 1.00, average {x.mean():.2f}."
    assert page.locator("#image").get_attribute("aria-label") == f"Plot of 12 values. {text}"
    assert not explorer.errors


def test_one_example(show, gaussian, web_folder):
    """There is no line between two of them, and no number that is none."""
    bundle = shutil.copytree(gaussian, web_folder / "one")
    with np.load(bundle / EXAMPLES) as file:
        examples = {name: array[:1] for name, array in file.items()}
    np.savez(bundle / EXAMPLES, **examples)
    write_manifest(bundle, json.loads((bundle / "manifest.json").read_text()))
    explorer = show(bundle)
    explorer.settle()
    assert explorer.page.locator("#interpolation-section").is_hidden()
    assert explorer.page.locator("#self-test").get_attribute("data-state") == "passed"
    assert "NaN" not in explorer.page.locator("body").inner_text()
    explorer.page.get_by_role("button", name="Reset latents").click()
    assert_shows(explorer, decoded(bundle, MEAN))
    assert not explorer.errors


def test_a_single_file_opens_from_disk(browser, web_folder, web_runtime, gaussian):
    index = build(gaussian, web_folder / "single", ort_web=web_runtime, single_file=True)
    explorer = open_page(browser, index.as_uri())
    assert explorer.page.locator("#self-test").get_attribute("data-state") == "passed"
    explorer.page.get_by_role("button", name="Reset latents").click()
    explorer.set_slider(1, 30)
    assert_shows(explorer, decoded(gaussian, [MEAN[0], at(1, 30), MEAN[2]]))
    assert {url.split(":")[0] for url in explorer.requests} <= {"file", "blob", "data"}
    assert [url for url in explorer.requests if url.startswith("file")] == [index.as_uri()]
    assert not explorer.errors
