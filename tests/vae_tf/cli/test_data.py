"""`--data` and its options: bad input is one line and leaves nothing, and a run reads its data again as before."""

import json
import os
import warnings

import numpy as np
import pytest
from image_files import COLOUR, GREY, header_only, images, save
from PIL import Image

import vae_tf
from vae_tf.runs import run as runs

MIXED = {
    "a/1.png": ("RGB", (50, 40)),
    "a/2.gif": ("P", (9, 12)),
    "b/3.jpg": ("L", (31, 90)),
    "b/4.webp": ("RGBA", (20, 20)),
}


def mixed(tmp_path):
    return images(tmp_path / "photos", MIXED)


def damaged(tmp_path):
    folder = mixed(tmp_path)
    (folder / "a" / "0.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n")
    return folder


def pipe(tmp_path):
    os.mkfifo(tmp_path / "x.npy")
    return tmp_path / "x.npy"


def huge(tmp_path):
    folder = images(tmp_path / "photos", {"a.png": ("L", (4, 4))})
    (folder / "a.png").write_bytes(header_only(13_000, 13_000))
    return folder


def records(tmp_path):
    (tmp_path / "x.tfrecord").write_bytes(b"no records")
    return tmp_path / "x.tfrecord"


def same(tmp_path):
    return images(tmp_path / "photos", {f"{number}.png": ("L", (4, 4)) for number in range(4)})


@pytest.mark.parametrize(
    ("data", "options", "match"),
    [
        (mixed, [], "2.gif: expected 50 x 40 pixels, as 1.png has, received 9 x 12. Pass size=64, say, or --size 64"),
        (
            mixed,
            ["--size", "big"],
            "expected a number of pixels, or height x width, received 'big'. Write 64 or 64x48.",
        ),
        (mixed, ["--size", "0"], "expected a number of pixels"),
        (mixed, ["--crop", "30"], "9 x 12 pixels, less than the crop of 30 x 30"),
        (mixed, ["--size", "8", "--channels", "2"], "channels: expected 1 or 3, received 2"),
        (mixed, ["--size", "8", "--background", "whyte"], "background: expected a colour"),
        (mixed, ["--size", "8", "--test-fraction", "1.5"], "test_fraction: expected a number between 0 and 1"),
        (mixed, ["--stretch"], "stretch: expected a size beside it"),
        (
            damaged,
            ["--size", "8"],
            "0.png: expected an image that Pillow can read, received no image in one of the formats",
        ),
        (pipe, [], "a named pipe and not a regular file"),
        (huge, ["--on-error", "skip"], "13000 x 13000 pixels, more than 64,000,000"),
        (records, [], "expected a TFRecord file"),
        (lambda path: save(path / "x.npy", GREY), ["--size", "8"], "size (--size): expected a folder of image files"),
        (lambda path: save(path / "x.npy", GREY), ["--on-error", "skip"], "on_error (--on-error): expected a folder"),
        (lambda path: save(path / "x.npz", x_train=GREY, x_test=GREY), ["--test-fraction", "0.2"], "which has one"),
        (lambda path: save(path / "x.npz", x_train=GREY, x_test=COLOUR), [], "expected images of one shape"),
        (lambda path: path / "none", [], "there is no such name or path"),
    ],
)
@pytest.mark.filterwarnings("ignore:Image size:PIL.Image.DecompressionBombWarning")
def test_bad_input(run, tmp_path, data, options, match):
    code, out, err = run("train", "--out", tmp_path / "run", "--data", data(tmp_path), *options)
    assert code == 2
    assert out == ""
    assert match in err
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_run_among_its_data(run, tmp_path):
    folder = same(tmp_path)
    code, _, err = run("train", "--data", folder, "--out", folder / "run")
    assert code == 2
    assert "expected a place outside the folder of the data" in err
    assert not (folder / "run").exists()


def test_options_of_a_run_that_is_resumed(run, tmp_path):
    code, _, err = run("train", "--out", tmp_path / "run", "--resume", "--stream", "--size", "8")
    assert code == 2
    assert "leave out" in err


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder of photos, some damaged; a run that read them as needed and was resumed; and one in one go in memory."""
    place = tmp_path_factory.mktemp("lazy")
    for number in range(40):
        pixels = np.random.default_rng(number).integers(0, 256, (9 + number % 5, 12, 3), dtype=np.uint8)
        (place / "photos" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / "photos" / "ab"[number % 2] / f"{number}.png")
    (place / "photos" / "a" / "6.png").write_bytes(b"")
    reading = {"size": (8, 6), "channels": 3, "on_error": "skip", "test_fraction": 0.2}
    settings = runs.Settings(data=str(place / "photos"), latent_dim=2, epochs=1, batch_size=16, **reading)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*1 of 40 images were skipped")
        runs.Run(place / "lazy", runs.replace(settings, in_memory=False)).train(verbose=0)
        resumed = runs.Run(place / "lazy", epochs=2)
        resumed.train(verbose=0)
        straight = runs.Run(place / "straight", runs.replace(settings, in_memory=True, epochs=2))
        straight.train(verbose=0)
    return resumed, straight


@pytest.mark.integration
def test_a_lazy_run_that_is_resumed_is_the_same_bit_for_bit(finished):
    resumed, straight = finished
    assert isinstance(resumed.x_train, vae_tf.data.LazyImages)
    assert isinstance(straight.x_train, np.ndarray)
    assert (resumed.x_train.shape, resumed.x_test.shape) == ((32, 8, 6, 3), (7, 8, 6, 3))
    assert resumed.history == straight.history
    for one, other in zip(resumed.vae.variables, straight.vae.variables, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore:.*1 of 40 images were skipped")
def test_evaluate_reads_the_data_as_the_run_did(run, finished):
    resumed, _ = finished
    code, out, err = run("evaluate", resumed.folder)
    assert code == 0, err
    assert out.splitlines()[0].split()[2] == f"{resumed.history[-1]['val_loss']:.4f}"
    again = run("evaluate", resumed.folder, "--data", resumed.settings.data, "--test-fraction", "0.2", "--size", "8x6")
    assert again[0] == 2, "the damaged file"
    options = ["--test-fraction", "0.2", "--size", "8x6", "--on-error", "skip", "--stream"]
    assert run("evaluate", resumed.folder, "--data", resumed.settings.data, *options)[1] == out
    code, _, err = run("evaluate", resumed.folder, "--size", "8")
    assert code == 2
    assert "of --data" in err


def test_settings_of_an_earlier_version(tmp_path):
    fields = {"data": "digits", "likelihood": "gaussian", "epochs": 3, "seed": 1}
    (tmp_path / "settings.json").write_text(json.dumps(fields))
    stored = runs.stored_settings(tmp_path)
    assert (stored.size, stored.on_error, stored.in_memory, stored.background) == (None, "raise", None, "white")
    np.testing.assert_array_equal(stored.images()[0], vae_tf.data.load("digits")[0])


def test_a_warning_is_one_line(run, tmp_path, monkeypatch):
    folder = same(tmp_path)
    (folder / "x.png").write_bytes(b"")
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        _, _, err = run(
            "ppca", "--data", folder, "--on-error", "skip", "--latent-dim", "1", "--output", tmp_path / "a.png"
        )
    assert err.startswith(f"vae-tf: warning: {folder}: 1 of 5 images were skipped, the first {folder}/x.png")
    assert err.splitlines()[0].endswith(").")
