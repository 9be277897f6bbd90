"""The controls of the page in a browser, against plain onnxruntime; test_pages.py opens other pages."""

import io

import numpy as np
import pytest

pytest.importorskip("playwright", reason="playwright is not installed")
import web_bundles
import web_random
from PIL import Image
from web_bundles import run
from web_explorer import HIGH, LOW, MEAN, assert_shows, at, decoded, to_pixels

from vae_tf_onnx.bundle import EXAMPLES

pytestmark = pytest.mark.browser


def test_facts_are_text(explorer):
    assert explorer.page.get_by_role("heading", level=1).inner_text().endswith("<img src=x onerror=alert(1)></script>")
    assert explorer.page.locator("img").count() == 0
    assert "-12.3 nats" in explorer.page.locator("#facts").inner_text()
    assert explorer.page.locator("#sigma").inner_text().endswith("= 0.250, 1/(2\N{GREEK SMALL LETTER SIGMA}²) = 8.00")


def test_a_slider_changes_the_image_to_what_onnxruntime_gives(explorer, gaussian):
    before = explorer.pixels()
    assert_shows(explorer, decoded(gaussian, MEAN))
    z = MEAN.copy()
    for index, step in ((1, 200), (0, 17), (2, 240)):
        explorer.set_slider(index, step)
        z[index] = at(index, step)
        assert explorer.shown(index) == pytest.approx(z[index], abs=0.006)
        assert_shows(explorer, decoded(gaussian, z))
    assert np.abs(explorer.pixels() - before).max() > 50, "the image did change"


def test_that_test_can_fail(explorer, gaussian):
    explorer.set_slider(1, 200)
    with pytest.raises(AssertionError):
        assert_shows(explorer, decoded(gaussian, MEAN))


def test_sliders_by_keyboard(explorer, gaussian):
    explorer.slider(1).focus()
    explorer.page.keyboard.press("End")
    assert_shows(explorer, decoded(gaussian, [MEAN[0], HIGH[1], MEAN[2]]))
    explorer.page.keyboard.press("ArrowLeft")
    explorer.settle()
    assert explorer.shown(1) == pytest.approx(at(1, 239), abs=0.006)


def test_sliders_are_ordered_by_kl(explorer):
    names = explorer.page.locator("#latents label").all_inner_texts()
    assert names == ["z1", "z2"]
    assert explorer.page.locator("#unused-summary").inner_text() == "1 unused, below 0.01 nats"
    assert explorer.page.locator("#latents .kl").all_inner_texts() == ["KL 1.50", "KL 0.75"]


def test_the_pad_by_keyboard(explorer, gaussian):
    pad = explorer.page.locator("#pad")
    pad.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "Shift+ArrowUp"):
        explorer.page.keyboard.press(key)
    explorer.settle()
    step = HIGH - LOW
    z = MEAN + step * [0, 0.04, 0.08]
    assert pad.get_attribute("aria-valuetext") == f"z1 {z[1]:.2f}, z2 {z[2]:.2f}"
    assert_shows(explorer, decoded(gaussian, z))


def test_the_pad_by_pointer(explorer, gaussian):
    explorer.page.get_by_label("Up", exact=True).select_option("0")
    box = explorer.page.locator("#pad").bounding_box()
    explorer.page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
    explorer.page.mouse.down()
    explorer.page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 0.1 * box["height"])
    explorer.page.mouse.up()
    explorer.page.mouse.move(box["x"], box["y"])
    explorer.settle()
    expected = LOW + (HIGH - LOW) * [0.9, 0.25, 0.5]
    np.testing.assert_allclose([explorer.shown(i) for i in range(3)], expected, atol=0.05)


def test_the_pad_shows_a_grid_of_decodes(explorer, gaussian):
    grid = explorer.pixels("#pad-map")
    assert grid.shape == (9 * 6, 9 * 5, 3)
    z = MEAN.copy()
    z[[1, 2]] = (LOW + (HIGH - LOW) * 0.5 / 9)[1], (HIGH - (HIGH - LOW) * 0.5 / 9)[2]
    np.testing.assert_allclose(grid[:6, :5], decoded(gaussian, z), rtol=0, atol=1)


def test_observation_noise(explorer, gaussian):
    page = explorer.page
    page.get_by_role("switch", name="Observation noise").check()
    noise = web_random.normals(web_random.generator(web_random.NOISE_STREAM), 1, *web_bundles.RGB)
    parameters = run(gaussian, "decoder", MEAN[None])
    assert_shows(explorer, to_pixels(run(gaussian, "observation", *parameters.values(), noise)["x"][0]))
    first = explorer.pixels()
    page.get_by_role("button", name="New noise").click()
    assert page.get_by_label("Noise seed", exact=True).input_value() == "1"
    assert np.abs(explorer.pixels() - first).max() > 20
    page.get_by_label("Noise seed", exact=True).fill("0")
    np.testing.assert_array_equal(explorer.pixels(), first)
    page.get_by_role("switch", name="Observation noise").uncheck()
    assert_shows(explorer, decoded(gaussian, MEAN))


def test_samples_of_a_seed(explorer, gaussian):
    field = explorer.page.get_by_label("Sample seed", exact=True)
    field.fill("3")
    z = web_random.normals(web_random.generator(3), 9, 3)
    for i in (0, 8):
        assert_shows(explorer, decoded(gaussian, z[i]), f"#samples button:nth-child({i + 1}) canvas")
    first = explorer.pixels("#samples canvas")
    explorer.page.get_by_role("button", name="New samples").click()
    assert np.abs(explorer.pixels("#samples canvas") - first).max() > 20
    field.fill("3")
    np.testing.assert_array_equal(explorer.pixels("#samples canvas"), first)
    explorer.page.get_by_role("button", name="Sample 9 of seed 3").click()
    assert_shows(explorer, decoded(gaussian, z[8]))
    explorer.page.locator("#noise").check()
    noise = web_random.normals(web_random.generator(3 ^ web_random.NOISE_STREAM), 9, *web_bundles.RGB)
    x = run(gaussian, "observation", *run(gaussian, "decoder", z).values(), noise)["x"]
    assert_shows(explorer, to_pixels(x[8]), "#samples button:nth-child(9) canvas")


def test_traversal(explorer, gaussian):
    explorer.slider(2).focus()
    assert explorer.page.get_by_label("Latent", exact=True).input_value() == "2", "that of the slider in use"
    for i in range(9):
        z = [MEAN[0], MEAN[1], at(2, 30 * i)]
        assert_shows(explorer, decoded(gaussian, z), f"#traversal button:nth-child({i + 1}) canvas")
    explorer.page.get_by_role("button", name=f"z2 = {LOW[2]:.2f}").click()
    assert_shows(explorer, decoded(gaussian, [MEAN[0], MEAN[1], LOW[2]]))


def test_interpolation(explorer, gaussian):
    page = explorer.page
    with np.load(gaussian / EXAMPLES) as examples:
        x, z = examples["x"], examples["z"]
    assert_shows(explorer, to_pixels(x[4]), "#from label:nth-child(5) canvas")
    page.get_by_role("radio", name="From test image 5").check()
    page.get_by_role("radio", name="To test image 4").check()
    for position in (0, 1, 0.25):
        page.get_by_label("Position", exact=True).fill(str(position))
        assert_shows(explorer, decoded(gaussian, (1 - position) * z[4] + position * z[3]))
    assert_shows(explorer, decoded(gaussian, z[4]), "#interpolation canvas")
    assert_shows(explorer, decoded(gaussian, z[3]), "#interpolation button:last-child canvas")


def test_the_download_is_the_canvas(explorer):
    explorer.set_slider(1, 220)
    with explorer.page.expect_download() as download:
        explorer.page.get_by_role("button", name="Download PNG").click()
    with open(download.value.path(), "rb") as file:
        image = Image.open(io.BytesIO(file.read()))
    assert image.format == "PNG"
    np.testing.assert_array_equal(np.asarray(image)[..., :3], explorer.pixels())
