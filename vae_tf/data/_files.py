"""Images for a VAE: `load` returns float32 arrays `[n, H, W, C]` in [0, 1] from a name, a file or a folder."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from zipfile import BadZipFile

import numpy as np

from vae_tf._checks import problem

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["NAMES", "levels", "load"]

NAMES = ("digits", "mnist", "fashion_mnist", "cifar10")

_SEED = 0  # seed of every split: the same images are test images on every machine and in every run
_KEYS = (("x_train", "x_test"), ("x_train",), ("x",))
_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
_GREY, _DEEP = ("1", "L", "LA"), ("I", "F")
_MAGIC = (np.lib.format.MAGIC_PREFIX, b"PK\x03\x04", b"PK\x05\x06")
_BROKEN = (OSError, ValueError, EOFError, RuntimeError, MemoryError, BadZipFile, TokenError, zlib.error)
_RESAVE = "Save it again with np.savez(path, x_train=..., x_test=...)"


def load(name_or_path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
    """Training and test images, `[n, H, W, C]` float32 in [0, 1], C = 1 (grey) or 3 (colour).

    - `"digits"`: scikit-learn's 8 x 8 digits, 1500 and 297 of them; no download.
    - `"mnist"`, `"fashion_mnist"`, `"cifar10"`: `<name>.npz` in the folder `$VAE_TF_DATA_DIR`, else a download.
    - a `.npz` file of `x_train` and `x_test`, or of `x_train` or `x` alone; a `.npy` file. uint8 is divided
      by 255, bool becomes 0 and 1, floats must lie in [0, 1]. Nothing is unpickled.
    - a folder of images of one size, or one with sub-folders `train/` and `test/`. If one image has colours, all
      are returned with 3 channels. Transparency is dropped, and of an animation the first frame is taken.

    Images without a test set are shuffled with a fixed seed, and the last tenth of them, at least 1, is the test set.

    Args:
        name_or_path: One of `NAMES`, or a path; a name wins over a path, so a folder called mnist is "./mnist".

    Raises:
        ValueError: If there are no such data, or they are not images as above; the text names the file.
    """
    arrays = _read(name_or_path)
    images = [_as_images(array, what) for what, array in arrays.items()]
    if len(images) == 1:
        return _split(images[0], max(1, len(images[0]) // 10), f"{name_or_path}")
    train, test = images
    if train.shape[1:] != test.shape[1:]:
        shapes = f"{train.shape[1:]} and {test.shape[1:]}"
        raise _error(" and ".join(arrays), "images of one shape", shapes, "Resize or crop them.")
    return train, test


def _error(what: str, expected: str, received: object, remedy: str) -> ValueError:
    return ValueError(problem(what, expected=expected, received=received, remedy=remedy))


def levels(x: np.ndarray) -> int:
    """The number L of grey levels of images in [0, 1]: the smallest L for which all values are multiples of 1/(L - 1).

    MNIST has 256 levels, scikit-learn's digits have 17.

    Args:
        x: Images of any shape.

    Raises:
        ValueError: For values outside [0, 1], or between the levels of every L up to 256.
    """
    inside = np.min(x) >= 0 and np.max(x) <= 1
    for count in range(2, 257) if inside else ():
        if all(_on_grid(part, count - 1) for part in (x[:100], x)):
            return count
    received = "values between them" if inside else f"values in [{np.min(x):g}, {np.max(x):g}]"
    remedy = "Round the images to 256 levels, or choose a likelihood of real numbers."
    raise ValueError(problem("Grey levels", expected="at most 256 in [0, 1]", received=received, remedy=remedy))


def _on_grid(x: np.ndarray, steps: int) -> bool:
    scaled = x * np.float32(steps)
    return bool(np.max(np.abs(scaled - np.rint(scaled))) < 1e-3)


def _read(source: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The arrays as stored, by a description of their place: training and test images, or one array yet to be split."""
    if isinstance(source, str) and source in NAMES:
        return _digits() if source == "digits" else _from_data_dir(source) or _downloaded(source)
    path = Path(source).expanduser() if isinstance(source, str | os.PathLike) and source != "" else None
    if path is None or not path.exists():
        expected = f"one of {', '.join(map(repr, NAMES))}, or the path of a .npz file, a .npy file or a folder"
        raise _error("data", expected, f"{str(source)!r:.200}", "Check the spelling: there is no such name or path.")
    if path.is_dir():
        return _from_folder(path)
    if path.suffix.lower() in (".npz", ".npy"):
        return _from_numpy(path)
    raise _error(f"{path}", "a .npz file, a .npy file or a folder", f"a {path.suffix!r} file", f"{_RESAVE}.")


def _digits() -> dict[str, np.ndarray]:
    from sklearn.datasets import load_digits

    train, test = _split(load_digits().images[..., np.newaxis] / 16, 297, "digits")
    return {"digits: x_train": train, "digits: x_test": test}


def _from_data_dir(name: str) -> dict[str, np.ndarray] | None:
    """The arrays of `$VAE_TF_DATA_DIR/<name>.npz`, or None where there is no such file."""
    folder = os.environ.get("VAE_TF_DATA_DIR")
    path = Path(folder or ".").expanduser() / f"{name}.npz"
    return _from_numpy(path, _KEYS[:1]) if folder and path.is_file() else None


def _downloaded(name: str) -> dict[str, np.ndarray]:
    from tf_keras import datasets

    expected = f"{name}.npz in the folder VAE_TF_DATA_DIR, or a download that works"
    remedy = f"Put {name}.npz, with x_train and x_test in it, into a folder and set VAE_TF_DATA_DIR to that folder."
    with _explained(name, expected, remedy, (OSError, HTTPException)):
        (train, _), (test, _) = getattr(datasets, name).load_data()
    return {f"{name}: x_train": train, f"{name}: x_test": test}


@contextmanager
def _explained(what: str, expected: str, remedy: str, errors: tuple[type[Exception], ...]) -> Iterator[None]:
    """A block whose `errors` come out as a ValueError that says `what` failed, and the `remedy`."""
    try:
        yield
    except Exception as error:
        # A failed download in tf_keras is a bare Exception, known by the URLError that it wraps.
        offline = type(error) is Exception and isinstance(error.__context__, URLError)
        if offline or isinstance(error, errors):
            raise _error(what, expected, f"{type(error).__name__} ({error})", remedy) from error
        raise


def _from_numpy(path: Path, choices: tuple[tuple[str, ...], ...] = _KEYS) -> dict[str, np.ndarray]:
    """The arrays of a file under the first of the `choices` of keys that it has. Nothing is unpickled."""
    remedy = f"{_RESAVE}, as numbers: object arrays are not loaded, because unpickling can run code."
    with _explained(f"{path}", "arrays of numbers that numpy can read", remedy, _BROKEN), path.open("rb") as file:
        if not file.read(6).startswith(_MAGIC):
            raise ValueError("it does not begin as a .npy or .npz file does")
        file.seek(0)
        stored: Any = np.load(file, allow_pickle=False)
        if isinstance(stored, np.ndarray):
            return {f"{path}": stored}
        keys = next((keys for keys in choices if set(keys) <= set(stored.files)), ())
        arrays = {f"{path}: {key}": np.asarray(stored[key]) for key in keys}
    if not arrays:
        expected = "the arrays " + ", or ".join(" and ".join(keys) for keys in choices)
        raise _error(f"{path}", expected, ", ".join(stored.files) or "no arrays", f"{_RESAVE}.")
    return arrays


def _from_folder(folder: Path) -> dict[str, np.ndarray]:
    """The images in a folder, or in its `train` and `test` if both exist, uint8 `[n, H, W(, 3)]`."""
    parts = [folder / "train", folder / "test"]
    if not all(part.is_dir() for part in parts):
        parts = [folder]
    images = [{path: _decode(path) for path in _image_files(part)} for part in parts]
    every = {path: image for part in images for path, image in part.items()}
    _check_one_size(every)
    mode = "RGB" if any(image.mode == "RGB" for image in every.values()) else "L"
    stacks = [np.stack([np.asarray(image.convert(mode)) for image in part.values()]) for part in images]
    return {f"{part}": stack for part, stack in zip(parts, stacks, strict=True)}


def _check_one_size(images: dict[Path, Image.Image]) -> None:
    (first, wanted), *others = images.items()
    size = f"{wanted.width} x {wanted.height} pixels, as {first.name} has"
    for path, image in others:
        if image.size != wanted.size:
            raise _error(f"{path}", size, f"{image.width} x {image.height}", "Resize or crop them to one size.")


def _image_files(folder: Path) -> list[Path]:
    """The image files of a folder, sorted by name; sub-folders and hidden files do not count."""
    shown = (path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    files = sorted(path for path in shown if path.suffix.lower() in _SUFFIXES)
    if not files:
        expected = f"image files ({', '.join(_SUFFIXES)}), or sub-folders train and test of them"
        raise _error(f"{folder}", expected, "a folder without any", "Move the images there.")
    return files


def _decode(path: Path) -> Image.Image:
    """The image of a file, in mode L if it is grey and RGB if it is not."""
    from PIL import Image

    remedy = "Repair the file or take it out of the folder."
    broken = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
    with _explained(f"{path}", "an image that Pillow can read", remedy, broken), Image.open(path) as image:
        if not image.mode.startswith(_DEEP):
            colour = image.convert("RGBA") if image.mode == "P" else image  # or Pillow warns of transparency
            return colour.convert("L" if image.mode in _GREY else "RGB")
    raise _error(f"{path}", "8 bits per channel", f"mode {image.mode}", "Rescale its values to 0 .. 255.")


def _as_images(array: np.ndarray, what: str) -> np.ndarray:
    """`[n, H, W, C]` float32 in [0, 1], or a ValueError that begins with `what`."""
    if array.size == 0:
        raise _error(what, "at least one image", f"an empty array of shape {array.shape}", "Check what was saved.")
    if array.ndim == 3:
        array = array[..., np.newaxis]
    if array.ndim != 4 or array.shape[-1] not in (1, 3):
        remedy = "Reshape it; x.transpose(0, 2, 3, 1) moves channels that come first to the end."
        raise _error(f"{what}: wrong shape", "[n, H, W] or [n, H, W, C] with C 1 or 3", array.shape, remedy)
    if array.dtype == np.uint8:
        return np.divide(array, 255, dtype=np.float32)
    if array.dtype.kind not in "bf":
        remedy = "Convert it first: x.astype(np.uint8) if its values are whole numbers from 0 to 255."
        raise _error(what, "dtype uint8, bool or float", array.dtype, remedy)
    return _in_range(array, what)


def _in_range(array: np.ndarray, what: str) -> np.ndarray:
    """Bools or floats as float32. Values that exceed [0, 1] by no more than float32 rounding are clipped."""
    if bad := array.size - np.count_nonzero(np.isfinite(array)):
        raise _error(what, "finite values", f"{bad} NaN or infinite of {array.size}", "Remove or replace them.")
    low, high, slack = float(array.min()), float(array.max()), float(np.finfo(np.float32).eps)
    if low < -slack or high > 1 + slack:
        remedy = "Divide by 255 if its values run from 0 to 255; take (x + 1) / 2 if they run from -1 to 1."
        raise _error(what, "floats in [0, 1]", f"values from {low:.9g} to {high:.9g}", remedy)
    return np.clip(array.astype(np.float32), 0, 1)


def _split(images: np.ndarray, test: int, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Training and test images, in a fixed random order of all images; the last `test` of them are the test images."""
    if len(images) < 2:
        raise _error(what, "at least 2 images, to train and to test", len(images), "Add some: this is too few.")
    order = np.random.default_rng(_SEED).permutation(len(images))
    return images[order[:-test]], images[order[-test:]]
