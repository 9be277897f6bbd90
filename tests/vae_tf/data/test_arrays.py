"""numpy's files: what is read from them, what is refused, and that nothing is executed."""

import pickle
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from image_files import COLOUR, GREY, as_rows, save

from vae_tf import data


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
