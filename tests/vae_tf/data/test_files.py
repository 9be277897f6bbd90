"""`vae_tf.data.load`: the sources that it accepts, the arrays that it returns, and its errors for the rest."""

import http.client
import os
import pickle
import subprocess
import sys
import urllib.error
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vae_tf import data

GREY = np.arange(20 * 4 * 5, dtype=np.uint8).reshape(20, 4, 5)
COLOUR = np.arange(20 * 4 * 5 * 3, dtype=np.int64).astype(np.uint8).reshape(20, 4, 5, 3)
MNIST = Path(os.environ.get("VAE_TF_DATA_DIR", ""), "mnist.npz")


def save(path: Path, *args, **arrays) -> Path:
    (np.save if args else np.savez)(path, *args, **arrays)
    return path


def images(folder: Path, files: dict) -> Path:
    """Writes `{name: (mode, size)}`, each file in its own shade of grey."""
    for shade, (name, (mode, size)) in enumerate(files.items(), start=1):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", size, 10 * shade).convert(mode).save(path)
    return folder


def as_rows(*arrays) -> list:
    return sorted(row.tobytes() for array in arrays for row in array)


class TestDigits:
    def test_shapes_and_range(self):
        train, test = data.load("digits")
        assert train.shape == (1500, 8, 8, 1)
        assert test.shape == (297, 8, 8, 1)
        for x in (train, test):
            assert x.dtype == np.float32
            assert (x.min(), x.max()) == (0, 1)

    def test_is_scikit_learns_set_once_each(self):
        from sklearn.datasets import load_digits

        train, test = data.load("digits")
        assert as_rows(train, test) == as_rows((load_digits().images / 16).astype(np.float32)[..., None])

    def test_the_split_is_pinned(self):
        """A new numpy or scikit-learn that changed it would change every published number."""
        from sklearn.datasets import load_digits

        order = np.random.default_rng(0).permutation(1797)
        assert order[[0, 1499, 1500, 1796]].tolist() == [360, 1396, 1555, 607]
        expected = (load_digits().images / 16).astype(np.float32)[..., None]
        train, test = data.load("digits")
        np.testing.assert_array_equal(train, expected[order[:1500]])
        np.testing.assert_array_equal(test, expected[order[1500:]])


class TestBenchmarks:
    @pytest.mark.parametrize(
        ("name", "shape"),
        [("mnist", (28, 28)), ("fashion_mnist", (28, 28)), ("cifar10", (32, 32, 3))],
    )
    def test_file_in_the_data_dir(self, tmp_path, monkeypatch, name, shape):
        x = np.random.default_rng(0).integers(0, 256, (7, *shape), dtype=np.uint8)
        ignored = np.array([{}], dtype=object)
        save(tmp_path / f"{name}.npz", x_train=x[:5], x_test=x[5:], y_train=ignored)
        monkeypatch.setenv("VAE_TF_DATA_DIR", str(tmp_path))
        train, test = data.load(name)
        assert train.shape == (5, *(*shape, 1)[:3])
        np.testing.assert_allclose(np.concatenate([train, test]).reshape(x.shape), x / 255, rtol=1e-6)

    def test_both_arrays_are_needed(self, tmp_path, monkeypatch):
        path = save(tmp_path / "mnist.npz", x_train=GREY)
        monkeypatch.setenv("VAE_TF_DATA_DIR", str(tmp_path))
        with pytest.raises(ValueError, match=r"mnist\.npz: expected the arrays x_train and x_test, received x_train\."):
            data.load("mnist")
        assert len(data.load(path)[0]) == 18

    def test_errors_name_the_file(self, tmp_path, monkeypatch):
        save(tmp_path / "mnist.npz", x_train=GREY, x_test=GREY.astype(np.int32))
        monkeypatch.setenv("VAE_TF_DATA_DIR", str(tmp_path))
        with pytest.raises(ValueError, match=rf"{tmp_path}/mnist\.npz: x_test: expected dtype"):
            data.load("mnist")

    @pytest.mark.parametrize("folder", ["", "{tmp_path}"], ids=["empty", "without the file"])
    def test_else_tf_keras(self, tmp_path, monkeypatch, folder):
        from tf_keras import datasets

        labels = np.zeros(20)
        monkeypatch.setenv("VAE_TF_DATA_DIR", folder.format(tmp_path=tmp_path))
        (tmp_path / "here").mkdir()
        save(tmp_path / "here" / "cifar10.npz", x_train=GREY, x_test=GREY)  # an empty variable is not "here"
        monkeypatch.chdir(tmp_path / "here")
        monkeypatch.setattr(datasets.cifar10, "load_data", lambda: ((COLOUR, labels), (COLOUR[:3], labels[:3])))
        train, test = data.load("cifar10")
        assert (train.shape, test.shape) == ((20, 4, 5, 3), (3, 4, 5, 3))

    @pytest.mark.parametrize(
        "failure",
        [
            urllib.error.URLError(OSError(-2, "Name or service not known")),
            urllib.error.HTTPError("https://x", 503, "unavailable", None, None),
            urllib.error.ContentTooShortError("got 1 of 2", None),
            TimeoutError("timed out"),
            http.client.IncompleteRead(b""),
        ],
        ids=lambda error: type(error).__name__,
    )
    @pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10"])
    def test_offline(self, tmp_path, monkeypatch, name, failure):
        """The failure is injected where tf_keras opens the URL, so its own wrapping of it is what is tested."""
        from tf_keras.src.utils import data_utils

        def urlretrieve(*args):
            raise failure

        monkeypatch.delenv("VAE_TF_DATA_DIR", raising=False)
        monkeypatch.setenv("KERAS_HOME", str(tmp_path))
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setattr(data_utils, "urlretrieve", urlretrieve)
        with pytest.raises(ValueError, match=rf"Put {name}\.npz, with x_train and x_test in it, into a folder") as info:
            data.load(name)
        assert "set VAE_TF_DATA_DIR to that folder" in str(info.value)
        assert str(info.value).startswith(f"{name}: expected {name}.npz in the folder VAE_TF_DATA_DIR, or a download")
        assert info.value.__cause__ is not None

    def test_only_a_failed_download_is_explained(self, monkeypatch):
        from tf_keras import datasets

        def bug():
            try:
                raise urllib.error.URLError("offline")
            except urllib.error.URLError:
                raise RuntimeError("a bug")  # noqa: B904

        monkeypatch.delenv("VAE_TF_DATA_DIR", raising=False)
        monkeypatch.setattr(datasets.mnist, "load_data", bug)
        with pytest.raises(RuntimeError, match="a bug"):
            data.load("mnist")

    @pytest.mark.skipif(not MNIST.is_file(), reason="needs mnist.npz in the folder $VAE_TF_DATA_DIR")
    def test_real_mnist(self):
        train, test = data.load("mnist")
        assert train.shape == (60_000, 28, 28, 1)
        assert test.shape == (10_000, 28, 28, 1)
        assert (train.min(), train.max()) == (0, 1)
        assert train.mean() == pytest.approx(0.1306604, rel=1e-4)


class TestNumpyFiles:
    def test_both_arrays(self, tmp_path):
        path = save(tmp_path / "a.npz", x_train=GREY, x_test=GREY[:2], x=COLOUR, y_train=np.array([{}], dtype=object))
        train, test = data.load(path)
        np.testing.assert_array_equal(train, GREY[..., None] / np.float32(255))
        np.testing.assert_array_equal(test, train[:2])
        assert train.dtype == np.float32

    @pytest.mark.parametrize("file", ["x.npz", "x_train.npz", "x.npy", "X.NPY", "misnamed.npz"])
    def test_one_array_is_split(self, tmp_path, file):
        path = tmp_path / file
        with path.open("wb") as target:
            if path.stem in ("x", "x_train") and path.suffix == ".npz":
                np.savez_compressed(target, **{path.stem: COLOUR})
            else:
                np.save(target, COLOUR)
        train, test = data.load(str(path))
        assert (len(train), len(test)) == (18, 2)
        assert as_rows(train, test) == as_rows(COLOUR / np.float32(255))
        order = np.random.default_rng(0).permutation(20)
        np.testing.assert_array_equal(test, COLOUR[order[18:]] / np.float32(255))

    @pytest.mark.parametrize(("n", "tests"), [(2, 1), (9, 1), (10, 1), (19, 1), (20, 2)])
    def test_size_of_the_split(self, tmp_path, n, tests):
        train, test = data.load(save(tmp_path / "a.npy", GREY[:n]))
        assert (len(train), len(test)) == (n - tests, tests)

    def test_home_folder(self, tmp_path, monkeypatch):
        save(tmp_path / "a.npy", GREY)
        monkeypatch.setenv("HOME", str(tmp_path))
        assert len(data.load("~/a.npy")[0]) == 18

    def test_too_few(self, tmp_path):
        with pytest.raises(ValueError, match=r"a\.npy: expected at least 2 images, .* received 1\. .*too few"):
            data.load(save(tmp_path / "a.npy", GREY[:1]))

    @pytest.mark.parametrize(
        ("arrays", "received"), [({"train": GREY, "test": GREY}, "train, test"), ({}, "no arrays")]
    )
    def test_other_keys(self, tmp_path, arrays, received):
        expected = r"a\.npz: expected the arrays x_train and x_test, or x_train, or x, received " + received
        with pytest.raises(ValueError, match=expected + r"\. Save it again with np\.savez"):
            data.load(save(tmp_path / "a.npz", **arrays))

    def test_shapes_that_disagree(self, tmp_path):
        path = save(tmp_path / "a.npz", x_train=GREY, x_test=COLOUR)
        match = (
            r"a\.npz: x_train and .*a\.npz: x_test: expected images of one shape, received \(4, 5, 1\) and \(4, 5, 3\)"
        )
        with pytest.raises(ValueError, match=match):
            data.load(path)


class Malicious:
    """Unpickling it creates a file."""

    def __init__(self, target: Path):
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


class TestHostileFiles:
    def write(self, kind: str, target: Path, folder: Path) -> Path:
        objects = np.array([Malicious(target)], dtype=object)
        path = folder / f"{kind}.npy"
        if kind == "pickle":
            path.write_bytes(pickle.dumps(objects))
            return path
        return save(path, objects) if kind == "npy" else save(path.with_suffix(".npz"), x_train=objects, x_test=GREY)

    @pytest.mark.parametrize("kind", ["npy", "npz", "pickle"])
    def test_nothing_is_executed(self, tmp_path, kind):
        target = tmp_path / "executed"
        path = self.write(kind, target, tmp_path)
        with pytest.raises(
            ValueError, match=rf"{path.name}: expected arrays of numbers .*unpickling can run code"
        ) as info:
            data.load(path)
        assert not target.exists()
        assert "you can load it" not in str(info.value)

    @pytest.mark.parametrize("kind", ["npy", "npz", "pickle"])
    def test_the_files_would_execute_something(self, tmp_path, kind):
        target = tmp_path / "executed"
        loaded = np.load(self.write(kind, target, tmp_path), allow_pickle=True)
        if kind == "npz":
            _ = loaded["x_train"]
            loaded.close()
        assert target.exists()

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("a.npz", b""),
            ("a.npy", b""),
            ("a.npz", b"not a zip file"),
            ("a.npy", b"not an array"),
            ("a.npz", b"PK\x03\x04 and no more"),
            ("a.npy", b"\x93NUMPY\x01\x00\xff\xff"),
        ],
    )
    def test_no_array_file(self, tmp_path, name, content):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(
            ValueError, match=rf"{path}: expected arrays of numbers that numpy can read, received \w+ \("
        ):
            data.load(path)

    @pytest.mark.parametrize("name", ["a.npy", "a.npz"])
    def test_every_truncation(self, tmp_path, name):
        path = save(tmp_path / name, GREY[:3]) if name == "a.npy" else save(tmp_path / name, x=GREY[:3])
        content = path.read_bytes()
        for length in range(0, len(content), 7):
            path.write_bytes(content[:length])
            with pytest.raises(ValueError, match=rf"{path}: expected arrays of numbers"):
                data.load(path)

    def test_flipped_bytes(self, tmp_path):
        """Whatever byte is wrong, the outcome is images or a ValueError that names the file."""
        rng = np.random.default_rng(0)
        for path in (save(tmp_path / "a.npy", GREY[:3]), save(tmp_path / "a.npz", x=GREY[:3])):
            content = path.read_bytes()
            for position in range(130):
                broken = bytearray(content)
                broken[position] ^= rng.integers(1, 256)
                path.write_bytes(broken)
                try:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")  # numpy's, of headers that only Python 2 wrote
                        data.load(path)
                except ValueError as error:
                    assert path.name in str(error)  # noqa: PT017

    def test_a_member_that_is_no_array(self, tmp_path):
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
            file.writestr("x", "text")
        with pytest.raises(ValueError, match=r"a\.npz: x: wrong shape"):
            data.load(tmp_path / "a.npz")


class TestArrays:
    def check(self, tmp_path, array, expected):
        train, test = data.load(save(tmp_path / "a.npz", x_train=array, x_test=array))
        assert train.dtype == test.dtype == np.float32
        np.testing.assert_array_equal(train, expected)

    def refuse(self, tmp_path, array, match):
        with pytest.raises(ValueError, match=r"a\.npz: x_test: ?" + match):
            data.load(save(tmp_path / "a.npz", x_train=GREY, x_test=array))

    def test_every_byte(self, tmp_path):
        x = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
        self.check(tmp_path, x, (x / 255).astype(np.float32)[..., None])

    def test_bool(self, tmp_path):
        x = GREY > 128
        self.check(tmp_path, x, x.astype(np.float32)[..., None])

    @pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4", ">f8", np.longdouble])
    def test_floats(self, tmp_path, dtype):
        x = np.random.default_rng(0).random((3, 4, 5, 3)).astype(dtype)
        self.check(tmp_path, x, x.astype(np.float32))

    def test_fortran_order(self, tmp_path):
        self.check(tmp_path, np.asfortranarray(COLOUR), COLOUR / np.float32(255))

    def test_rounding_noise_is_clipped(self, tmp_path):
        x = np.array([-1e-9, 1 + 1e-9, 0.25, 0.5]).reshape(1, 2, 2)
        self.check(tmp_path, x, np.array([0, 1, 0.25, 0.5], np.float32).reshape(1, 2, 2, 1))

    @pytest.mark.parametrize(
        ("low", "high", "text"),
        [(0, 255, "0 to 255"), (-1, 1, "-1 to 1"), (0, 1.001, "0 to 1.001"), (0, 1e300, r"0 to 1e\+300")],
    )
    def test_range(self, tmp_path, low, high, text):
        x = np.linspace(low, high, 20).reshape(1, 4, 5)
        remedy = r"\. Divide by 255 .*\(x \+ 1\) / 2"
        self.refuse(tmp_path, x, rf"expected floats in \[0, 1\], received values from {text}{remedy}")

    def test_not_finite(self, tmp_path):
        x = np.zeros((2, 4, 5))
        x[0, 0, :3] = np.nan, np.inf, -np.inf
        self.refuse(tmp_path, x, r"expected finite values, received 3 NaN or infinite of 40\. Remove")

    @pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int32, np.int64, np.complex64, "U1", "S1", "M8[s]"])
    def test_dtype(self, tmp_path, dtype):
        x = np.zeros((2, 4, 5), np.int64).astype(dtype)
        self.refuse(
            tmp_path, x, r"expected dtype uint8, bool or float, received .*\. Convert it .*x\.astype\(np\.uint8\)"
        )

    def test_objects(self, monkeypatch):
        """No file brings them, but a download could."""
        from tf_keras import datasets

        x = GREY.astype(object)
        monkeypatch.delenv("VAE_TF_DATA_DIR", raising=False)
        monkeypatch.setattr(datasets.mnist, "load_data", lambda: ((x, None), (x, None)))
        with pytest.raises(ValueError, match="mnist: x_train: expected dtype uint8, bool or float, received object"):
            data.load("mnist")

    @pytest.mark.parametrize(
        "shape", [(), (5,), (5, 4), (5, 3, 4, 4), (5, 4, 4, 2), (5, 4, 4, 4), (2, 4, 4, 4, 1)], ids=str
    )
    def test_wrong_shape(self, tmp_path, shape):
        match = r"wrong shape: expected \[n, H, W\] or \[n, H, W, C\] with C 1 or 3, received \(.*x\.transpose\("
        self.refuse(tmp_path, np.zeros(shape, np.uint8), match)

    @pytest.mark.parametrize("shape", [(0,), (0, 4, 4), (0, 4, 4, 1), (5, 0, 4, 1), (5, 4, 0), (5, 4, 4, 0)], ids=str)
    def test_empty(self, tmp_path, shape):
        self.refuse(
            tmp_path, np.zeros(shape, np.uint8), "expected at least one image, received an empty array of shape"
        )


class TestFolders:
    def test_grey(self, tmp_path):
        names = ("b.png", "a.bmp", "c.PNG", "e.gif", "f.webp", "g.tif", "h.tiff", "i.jpg", "j.jpeg", "d.png")
        images(tmp_path, dict.fromkeys(names, ("L", (5, 4))))
        (tmp_path / "labels.csv").write_text("not an image")
        (tmp_path / "._a.png").write_text("a hidden file")
        (tmp_path / "more").mkdir()
        train, test = data.load(tmp_path)
        # WebP has no grey: it is stored, and so read, as colour.
        assert (train.shape, test.shape) == ((9, 4, 5, 3), (1, 4, 5, 3))
        shades = np.sort(np.concatenate([train, test])[:, 0, 0, 0] * 255)
        np.testing.assert_allclose(shades, np.arange(10, 101, 10), atol=1)

    def test_order_is_that_of_the_names(self, tmp_path):
        images(tmp_path, {f"{name}.png": ("L", (5, 4)) for name in "cab"})
        shades = np.array([20, 30, 10]) / 255  # a, b, c
        order = np.random.default_rng(0).permutation(3)
        train, test = data.load(str(tmp_path))
        np.testing.assert_array_equal(train[:, 0, 0, 0], shades[order[:2]].astype(np.float32))
        np.testing.assert_array_equal(test[:, 0, 0, 0], shades[order[2:]].astype(np.float32))
        assert train.shape == (2, 4, 5, 1)

    def test_train_and_test(self, tmp_path):
        files = ["train/1.png", "train/2.png", "train/3.png", "test/1.png"]
        images(tmp_path, {**dict.fromkeys(files, ("L", (5, 4))), "ignored.png": ("RGB", (9, 9))})
        train, test = data.load(tmp_path)
        assert train.shape == (3, 4, 5, 1)
        np.testing.assert_allclose(train[:, 0, 0, 0] * 255, [10, 20, 30], rtol=1e-6)
        np.testing.assert_allclose(test[:, 0, 0, 0] * 255, [40], rtol=1e-6)

    def test_train_alone_is_a_folder_as_any(self, tmp_path):
        images(tmp_path, {"train/1.png": ("L", (5, 4)), "1.png": ("L", (5, 4)), "2.png": ("L", (5, 4))})
        train, test = data.load(tmp_path)
        assert len(train) == len(test) == 1

    def test_one_colour_image_makes_all_colour(self, tmp_path):
        images(tmp_path, {"train/1.png": ("L", (5, 4)), "train/2.png": ("1", (5, 4)), "test/1.png": ("RGB", (5, 4))})
        train, test = data.load(tmp_path)
        assert (train.shape, test.shape) == ((2, 4, 5, 3), (1, 4, 5, 3))
        assert np.ptp(train, axis=-1).max() == 0

    @pytest.mark.parametrize(
        ("file", "mode", "channels"),
        [
            ("a.png", "1", 1),
            ("a.png", "LA", 1),
            ("a.png", "P", 3),
            ("a.png", "RGBA", 3),
            ("a.jpg", "CMYK", 3),
            ("a.tif", "LAB", 3),
        ],
    )
    def test_modes(self, tmp_path, file, mode, channels):
        image = Image.new("LAB", (5, 4)) if mode == "LAB" else Image.new("L", (5, 4), 200).convert(mode)
        image.save(tmp_path / file)
        images(tmp_path, {"b.png": ("L", (5, 4))})
        train, test = data.load(tmp_path)
        assert train.shape == test.shape == (1, 4, 5, channels)

    def test_colours_and_pixels_keep_their_place(self, tmp_path):
        for name in ("train", "test"):
            (tmp_path / name).mkdir()
            for i, image in enumerate(COLOUR[:3]):
                Image.fromarray(image).save(tmp_path / name / f"{i}.png")
        np.testing.assert_array_equal(data.load(tmp_path)[0], COLOUR[:3] / np.float32(255))

    def test_palette_with_transparency(self, tmp_path):
        for name in "ab":
            image = Image.new("RGB", (5, 4), "red").convert("P")
            image.save(tmp_path / f"{name}.png", transparency=bytes([0] * 256))
        train, _ = data.load(tmp_path)
        np.testing.assert_array_equal(train[0, 0, 0], [1, 0, 0])

    def test_animation_counts_as_its_first_frame(self, tmp_path):
        first, second = (Image.new("L", (5, 4), shade) for shade in (50, 100))
        for name in "ab":
            first.save(tmp_path / f"{name}.gif", save_all=True, append_images=[second])
        train, test = data.load(tmp_path)
        np.testing.assert_allclose([train[0, 0, 0, 0], test[0, 0, 0, 0]], 50 / 255, rtol=1e-6)

    @pytest.mark.parametrize("prefix", ["", "t"], ids=["one folder", "train and test"])
    def test_other_size(self, tmp_path, prefix):
        folders = ("train/", "test/") if prefix else ("", "")
        names = [f"{folders[0]}a.png", f"{folders[0]}b.png", f"{folders[1]}c.png", f"{folders[1]}d.png"]
        sizes = [(5, 4), (5, 4), (4, 5), (6, 6)]
        images(tmp_path, {name: ("L", size) for name, size in zip(names, sizes, strict=True)})
        expected = rf"{folders[1]}c\.png: expected 5 x 4 pixels, as a\.png has, received 4 x 5\. Resize or crop"
        with pytest.raises(ValueError, match=expected):
            data.load(tmp_path)

    @pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n"], ids=["empty", "text", "header"])
    def test_unreadable(self, tmp_path, content):
        images(tmp_path, {"a.png": ("L", (5, 4)), "c.png": ("L", (5, 4))})
        (tmp_path / "b.png").write_bytes(content)
        with pytest.raises(ValueError, match=r"b\.png: expected an image that Pillow can read, .* take it out of"):
            data.load(tmp_path)

    def test_broken_inside(self, tmp_path):
        """Pillow raises a SyntaxError where the chunks of a PNG do not follow each other."""
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / "a.png")
        head, tail = (tmp_path / "a.png").read_bytes().split(b"IDAT", 1)
        (tmp_path / "a.png").write_bytes(head[:-4] + (100).to_bytes(4, "big") + b"IDAT" + tail)
        with pytest.raises(ValueError, match=r"a\.png: expected an image that Pillow can read"):
            data.load(tmp_path)

    @pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "gif", "webp", "tif"])
    def test_truncated(self, tmp_path, suffix):
        path = tmp_path / f"a.{suffix}"
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
        path.write_bytes(path.read_bytes()[:1500])
        with pytest.raises(ValueError, match=rf"a\.{suffix}: expected an image that Pillow can read"):
            data.load(tmp_path)

    def test_too_many_pixels(self, tmp_path, monkeypatch):
        images(tmp_path, {"a.png": ("L", (5, 4))})
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5)
        with pytest.raises(ValueError, match=r"a\.png: .*DecompressionBombError"):
            data.load(tmp_path)

    @pytest.mark.parametrize(("file", "mode"), [("a.png", "I;16"), ("a.tif", "I"), ("a.tif", "F")])
    def test_more_than_8_bits(self, tmp_path, file, mode):
        """Pillow's conversion would clip them to white."""
        Image.new(mode, (5, 4)).save(tmp_path / file)
        with pytest.raises(ValueError, match=rf"{file}: expected 8 bits per channel, received mode {mode}"):
            data.load(tmp_path)

    @pytest.mark.parametrize("names", [[], ["labels.csv"], ["train/a.png"], ["train/a.png", "test/"]])
    def test_no_images(self, tmp_path, names):
        for name in names:
            path = tmp_path / name
            (path if name.endswith("/") else path.parent).mkdir(exist_ok=True)
            if not name.endswith("/"):
                Image.new("L", (5, 4)).save(path) if path.suffix == ".png" else path.touch()
        where = "/test" if "test/" in names else ""
        with pytest.raises(
            ValueError, match=rf"{tmp_path}{where}: expected image files \(\.png.*received a folder without"
        ):
            data.load(tmp_path)

    def test_too_few(self, tmp_path):
        images(tmp_path, {"a.png": ("L", (5, 4))})
        with pytest.raises(ValueError, match=rf"{tmp_path}: expected at least 2 images, .* received 1\. .*too few"):
            data.load(tmp_path)


class TestNames:
    def test_names(self):
        assert data.NAMES == ("digits", "mnist", "fashion_mnist", "cifar10")
        assert sorted(data.__all__) == ["NAMES", "levels", "load"]

    @pytest.mark.parametrize(
        "name", ["minst", "no/such/file.npz", Path("no_such.npy"), "", "MNIST", 3, GREY, None, b"x"]
    )
    def test_unknown(self, name):
        match = (
            r"data: expected one of 'digits', 'mnist', 'fashion_mnist', 'cifar10', or the path of a \.npz file, "
            r"a \.npy file or a folder, received ['\"](?s:.*)['\"]?\. Check the spelling"
        )
        with pytest.raises(ValueError, match=match) as info:
            data.load(name)
        assert len(str(info.value)) < 500

    def test_a_name_wins_over_a_path(self, tmp_path, monkeypatch):
        images(tmp_path / "digits", {"a.png": ("L", (5, 4)), "b.png": ("L", (5, 4))})
        monkeypatch.chdir(tmp_path)
        assert len(data.load("digits")[0]) == 1500
        assert len(data.load("./digits")[0]) == len(data.load(Path("digits"))[0]) == 1

    @pytest.mark.parametrize("name", ["a.csv", "a.png", "a"])
    def test_unsupported_suffix(self, tmp_path, name):
        (tmp_path / name).touch()
        match = (
            rf"/{name}: expected a \.npz file, a \.npy file or a folder, received a '{Path(name).suffix}' file\. Save"
        )
        with pytest.raises(ValueError, match=match):
            data.load(tmp_path / name)


def test_import_is_light():
    code = (
        "import sys, vae_tf.data; print([m for m in ('tensorflow', 'tf_keras', 'sklearn', 'PIL') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
