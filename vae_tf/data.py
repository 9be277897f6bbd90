"""Images for a VAE: `load` returns them as float32 in [0, 1], `[n, H, W, C]`, whatever they came from."""

from __future__ import annotations

import contextlib
import http.client
import os
import urllib.error
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from vae_tf._checks import problem

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["NAMES", "load"]

NAMES = ("digits", "mnist", "fashion_mnist", "cifar10")

_SEED = 0  # of every split: the same images are test images on every machine and in every run
_BOTH = ("x_train", "x_test")
_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
_GREY, _DEEP = ("1", "L", "LA", "La"), ("I", "F")
_MAGIC = (np.lib.format.MAGIC_PREFIX, b"PK\x03\x04", b"PK\x05\x06")
_BROKEN = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError, MemoryError)
_RESAVE = "Save it again with np.savez(path, x_train=..., x_test=...)"


def load(name_or_path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
    """Training and test images, `[n, H, W, C]` float32 in [0, 1], C = 1 (grey) or 3 (colour).

    - `"digits"`: scikit-learn's 8 x 8 digits, 1500 and 297 of them; no download.
    - `"mnist"`, `"fashion_mnist"`, `"cifar10"`: `<name>.npz` in the folder `$VAE_TF_DATA_DIR`, else a download.
    - a `.npz` file of `x_train` and `x_test`, or of `x_train` or `x` alone; a `.npy` file. uint8 is divided
      by 255, bool becomes 0 and 1, floats must lie in [0, 1]. Nothing is unpickled.
    - a folder of images of one size, or of `train/` and `test/`. One colour image makes all of them colour;
      alpha is dropped, and of an animation the first frame counts.

    What comes in one piece is shuffled with a fixed seed, and its last tenth, at least 1, is the test set.

    Args:
        name_or_path: one of `NAMES`, or a path; a name wins over a path, so a folder called mnist is "./mnist".

    Raises:
        ValueError: if there are no such data, or they are no images as above; the text names the file.
    """
    arrays = {key: _as_images(array, f"{name_or_path}: {key}") for key, array in _read(name_or_path).items()}
    if len(arrays) == 1:
        (images,) = arrays.values()
        return _split(images, max(1, len(images) // 10), f"{name_or_path}")
    train, test = (arrays[key] for key in _BOTH)
    if train.shape[1:] != test.shape[1:]:
        shapes = f"{train.shape[1:]} in x_train and {test.shape[1:]} in x_test"
        raise _error(f"{name_or_path}", "images of one shape", shapes, "Resize or crop them to one shape.")
    return train, test


def _error(what: str, expected: str, received: object, remedy: str) -> ValueError:
    return ValueError(problem(what, expected=expected, received=received, remedy=remedy))


def _read(name_or_path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The arrays as stored: x_train and x_test, or a single one that is yet to be split."""
    if name_or_path == "digits":
        return _digits()
    if name_or_path in NAMES:
        return _from_data_dir(str(name_or_path)) or _downloaded(str(name_or_path))
    path = Path(name_or_path).expanduser()
    if not os.fspath(name_or_path) or not path.exists():
        expected = f"one of {', '.join(map(repr, NAMES))}, or the path of a .npz file, a .npy file or a folder"
        raise _error("data", expected, repr(os.fspath(name_or_path)), "Check the spelling; no such path exists.")
    if path.is_dir():
        return _from_folder(path)
    if path.suffix.lower() in (".npz", ".npy"):
        return _from_numpy(path)
    received = f"a file that ends in {path.suffix!r}"
    raise _error(f"{path}", "a .npz file, a .npy file or a folder of images", received, f"{_RESAVE}.")


def _digits() -> dict[str, np.ndarray]:
    from sklearn.datasets import load_digits

    images = load_digits().images[..., np.newaxis] / 16
    return dict(zip(_BOTH, _split(images, 297, "digits"), strict=True))


def _from_data_dir(name: str) -> dict[str, np.ndarray] | None:
    """The arrays of `$VAE_TF_DATA_DIR/<name>.npz`, or None where there is no such file."""
    folder = os.environ.get("VAE_TF_DATA_DIR")
    path = Path(folder or ".").expanduser() / f"{name}.npz"
    return _from_numpy(path, (_BOTH,)) if folder and path.is_file() else None


def _downloaded(name: str) -> dict[str, np.ndarray]:
    from tf_keras import datasets

    with _Download(name):
        (train, _), (test, _) = getattr(datasets, name).load_data()
    return {"x_train": train, "x_test": test}


class _Download(contextlib.AbstractContextManager[None]):
    """Explains a failed download. tf_keras raises a bare Exception, known by the URLError that it wraps."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        wrapped = kind is Exception and isinstance(getattr(error, "__context__", None), urllib.error.URLError)
        if wrapped or isinstance(error, OSError | http.client.HTTPException):
            remedy = (
                f"Put {self._name}.npz with the arrays x_train and x_test into a folder, and set the "
                "environment variable VAE_TF_DATA_DIR to that folder."
            )
            raise _error(self._name, "a download from storage.googleapis.com or the like", error, remedy) from error


@contextlib.contextmanager
def _reading(path: Path, expected: str, remedy: str, errors: tuple[type[Exception], ...]) -> Iterator[None]:
    """Turns what a reader raises at a broken file into an error that names the file."""
    try:
        yield
    except errors as error:
        raise _error(f"{path}", expected, f"{type(error).__name__} ({error})", remedy) from error


def _from_numpy(
    path: Path, choices: tuple[tuple[str, ...], ...] = (_BOTH, ("x_train",), ("x",))
) -> dict[str, np.ndarray]:
    """The arrays of a file under the first of the `choices` of keys that it has. Never unpickles."""
    remedy = f"{_RESAVE}, as numbers: object arrays are not loaded, because unpickling can run code."
    with _reading(path, "arrays of numbers that numpy can read", remedy, _BROKEN), path.open("rb") as file:
        if not file.read(6).startswith(_MAGIC):
            raise ValueError("it does not begin as a .npy or .npz file does")
        file.seek(0)
        stored: Any = np.load(file, allow_pickle=False)
        if isinstance(stored, np.ndarray):
            return {"x": stored}
        keys = next((keys for keys in choices if set(keys) <= set(stored.files)), ())
        arrays = {key: np.asarray(stored[key]) for key in keys}
    if not arrays:
        expected = "the arrays " + ", or ".join(" and ".join(keys) for keys in choices)
        raise _error(f"{path}", expected, ", ".join(stored.files) or "no arrays", f"{_RESAVE}.")
    return arrays


def _from_folder(folder: Path) -> dict[str, np.ndarray]:
    """The images in a folder, or in its `train` and `test` where both exist, uint8 `[n, H, W(, 3)]`."""
    parts = {"x_train": folder / "train", "x_test": folder / "test"}
    if not all(part.is_dir() for part in parts.values()):
        parts = {"x": folder}
    images = {key: {path: _decode(path) for path in _image_files(part)} for key, part in parts.items()}
    every = {path: image for part in images.values() for path, image in part.items()}
    (first, wanted), *others = every.items()
    for path, image in others:
        if image.size != wanted.size:
            expected = f"{wanted.width} x {wanted.height} pixels, as {first.name} has"
            received = f"{image.width} x {image.height}"
            raise _error(f"{path}", expected, received, "Resize or crop all images to one size.")
    mode = "RGB" if any(image.mode == "RGB" for image in every.values()) else "L"
    return {key: np.stack([np.asarray(image.convert(mode)) for image in part.values()]) for key, part in images.items()}


def _image_files(folder: Path) -> list[Path]:
    """The image files of a folder, sorted by name; sub-folders and hidden files do not count."""
    files = [path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES and path.is_file()]
    files = sorted(path for path in files if not path.name.startswith("."))
    if not files:
        expected = f"image files ({', '.join(_SUFFIXES)}), or sub-folders train and test of them"
        raise _error(f"{folder}", expected, "a folder without any", "Move the images there.")
    return files


def _decode(path: Path) -> Image.Image:
    """The image of a file, in mode L if it is grey and RGB if it is not."""
    from PIL import Image

    remedy = "Repair the file or take it out of the folder."
    broken = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
    with _reading(path, "an image that Pillow can read", remedy, broken), Image.open(path) as image:
        if not image.mode.startswith(_DEEP):
            # A palette with transparency goes by RGBA, or Pillow warns.
            colour = image.convert("RGBA") if image.mode == "P" else image
            return colour.convert("L" if image.mode in _GREY else "RGB")
    raise _error(f"{path}", "8 bits per channel", f"mode {image.mode}", "Rescale its values to 0 .. 255.")


def _as_images(array: np.ndarray, what: str) -> np.ndarray:
    """`[n, H, W, C]` float32 in [0, 1], or a ValueError that begins with `what`."""
    if array.size == 0:
        raise _error(what, "at least one image", f"an empty array of shape {array.shape}", "Check what was saved.")
    if array.ndim == 3:
        array = array[..., np.newaxis]
    if array.ndim != 4 or array.shape[-1] not in (1, 3):
        expected = "[n, H, W] or [n, H, W, C] with C 1 or 3"
        remedy = "Reshape it; x.transpose(0, 2, 3, 1) moves channels that come first to the end."
        raise _error(f"{what}: wrong shape", expected, array.shape, remedy)
    if array.dtype == np.uint8:
        return np.divide(array, 255, dtype=np.float32)
    if array.dtype.kind not in "bf":
        remedy = "Convert it first: x.astype(np.uint8) if its values are whole numbers from 0 to 255."
        raise _error(what, "dtype uint8, bool or float", array.dtype, remedy)
    return _in_range(array, what)


def _in_range(array: np.ndarray, what: str) -> np.ndarray:
    """Bools or floats as float32; what exceeds [0, 1] by no more than float32 rounding is clipped."""
    bad = array.size - np.count_nonzero(np.isfinite(array))
    if bad:
        received = f"{bad} of {array.size} values that are NaN or infinite"
        raise _error(what, "finite values", received, "Remove or replace them.")
    low, high, slack = float(array.min()), float(array.max()), float(np.finfo(np.float32).eps)
    if low < -slack or high > 1 + slack:
        remedy = "Divide by 255 if its values run from 0 to 255; take (x + 1) / 2 if they run from -1 to 1."
        raise _error(what, "floats in [0, 1]", f"values from {low:g} to {high:g}", remedy)
    return np.clip(array.astype(np.float32), 0, 1)


def _split(images: np.ndarray, test: int, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Training and test images: all in a fixed random order, the last `test` of them to test."""
    if len(images) < 2:
        raise _error(what, "at least 2 images, to train and to test", len(images), "Add some: this is too few.")
    order = np.random.default_rng(_SEED).permutation(len(images))
    return images[order[:-test]], images[order[-test:]]
