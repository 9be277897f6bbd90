"""The page under test in a browser, its controls by their names."""

import http.server

import numpy as np
from web_bundles import run

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]
NAMED = {"button", "checkbox", "combobox", "radio", "slider", "spinbutton", "switch", "textbox"}
PIXEL = 1 / 255
_TIMEOUT = 15_000  # milliseconds


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


class Explorer:
    """A page under test, its controls by their names."""

    def __init__(self, page):
        self.page = page
        self.requests, self.errors = [], []
        self.at_first = self.asked_at_first = None

    def settle(self):
        self.page.wait_for_selector("main[aria-busy=false]")

    def pixels(self, selector="#image"):
        """What a canvas shows, RGB, `[H, W, 3]`."""
        script = """canvas => { const {width, height} = canvas;
            return [height, width, ...canvas.getContext("2d").getImageData(0, 0, width, height).data]; }"""
        self.settle()
        height, width, *values = self.page.locator(selector).first.evaluate(script)
        return np.array(values, np.float64).reshape(height, width, 4)[..., :3]

    def slider(self, index):
        return self.page.get_by_role("slider", name=f"z{index}", exact=True)

    def set_slider(self, index, step):
        """Moves a slider to one of its steps, 0 to 240."""
        self.slider(index).fill(str(step))
        self.settle()

    def shown(self, index):
        return float(self.slider(index).get_attribute("aria-valuetext"))


def open_page(browser, url, **context):
    context = browser.new_context(**context)
    context.set_default_timeout(_TIMEOUT)
    explorer = Explorer(context.new_page())

    def handle(route):
        explorer.requests.append(route.request.url)
        route.continue_() if route.request.url.startswith(url) else route.abort()

    context.route("**/*", handle)
    explorer.page.on("pageerror", lambda error: explorer.errors.append(str(error)))
    explorer.page.goto(url)
    explorer.page.wait_for_selector("#self-test[data-state]")
    return explorer


MEAN = np.float32([0.1, -0.2, 0.3])
LOW, HIGH = MEAN - 3 * np.float32([1.0, 1.1, 0.9]), MEAN + 3 * np.float32([1.0, 1.1, 0.9])


def at(index, step):
    """The value at a step of a slider."""
    return LOW[index] + (HIGH[index] - LOW[index]) * step / 240


def to_pixels(x):
    return 255 * np.clip(np.asarray(x, np.float64), 0, 1)


def decoded(bundle, z):
    """Pixels of the mean at z `[D]`."""
    return to_pixels(run(bundle, "decoder", np.atleast_2d(z))["mean"][0])


def assert_shows(explorer, expected, selector="#image"):
    np.testing.assert_allclose(explorer.pixels(selector), expected, rtol=0, atol=255 * PIXEL)
