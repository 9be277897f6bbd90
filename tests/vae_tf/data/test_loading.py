"""`vae_tf.data.load`: the names that it knows, what it refuses, and the test set that it chooses."""

import http.client
import os
import subprocess
import sys
import urllib.error
from pathlib import Path

import numpy as np
import pytest
from image_files import COLOUR, GREY, as_rows, images, save

from vae_tf import data

MNIST = Path(os.environ.get("VAE_TF_DATA_DIR", ""), "mnist.npz")


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


class TestNames:
    def test_names(self):
        tables = ["wine", "breast_cancer", "counts"]
        assert list(data.NAMES) == ["digits", "mnist", "fashion_mnist", "cifar10", "patches", *tables]
        functions = ["class_names", "levels", "load", "simulate_counts", "stream"]
        assert sorted(data.__all__) == ["LazyImages", "NAMES", "SimulatedCounts", *functions]

    @pytest.mark.parametrize(
        "name", ["minst", "no/such/file.npz", Path("no_such.npy"), "", "MNIST", 3, GREY, None, b"x"]
    )
    def test_unknown(self, name):
        match = (
            r"data: expected one of 'digits', 'mnist', 'fashion_mnist', 'cifar10', .*'counts', or the path of a "
            r"\.npz, \.npy or \.tfrecord file, a folder or a table, received ['\"](?s:.*)['\"]?\. Check the spelling"
        )
        with pytest.raises(ValueError, match=match) as info:
            data.load(name)
        assert len(str(info.value)) < 500

    def test_a_name_wins_over_a_path(self, tmp_path, monkeypatch):
        images(tmp_path / "digits", {"a.png": ("L", (5, 4)), "b.png": ("L", (5, 4))})
        monkeypatch.chdir(tmp_path)
        assert len(data.load("digits")[0]) == 1500
        assert len(data.load("./digits")[0]) == len(data.load(Path("digits"))[0]) == 1

    @pytest.mark.parametrize("name", ["a.xlsx", "a.png", "a"])
    def test_unsupported_suffix(self, tmp_path, name):
        (tmp_path / name).touch()
        expected = r"expected a \.npz, \.npy or \.tfrecord file, a folder, or a \.csv or \.parquet table"
        remedy = "Name the folder" if name == "a.png" else "Save it again .* pass the frame"
        with pytest.raises(ValueError, match=rf"/{name}: {expected}, received a '{Path(name).suffix}' file\. {remedy}"):
            data.load(tmp_path / name)


def test_import_is_light():
    heavy = ("tensorflow", "tf_keras", "sklearn", "pandas", "PIL")
    code = f"import sys, vae_tf.data; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
