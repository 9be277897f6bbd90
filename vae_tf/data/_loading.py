"""Loading: from a name, a file, a folder or an object of another library to training and test examples."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vae_tf import _checks
from vae_tf._checks import problem
from vae_tf.data import _embedded, _frames, _named
from vae_tf.data._arrays import KEYS, RESAVE, ArrayImages, stored_arrays
from vae_tf.data._decoding import SUFFIXES, Preparation
from vae_tf.data._folders import class_names as classes_in
from vae_tf.data._folders import list_images, split_folders
from vae_tf.data._libraries import Examples, splits
from vae_tf.data._parts import Part, Request, decoded, split
from vae_tf.data._records import Records, is_records, record_files

__all__ = ["NAMES", "class_names", "load"]

NAMES = ("digits", "mnist", "fashion_mnist", "cifar10", "patches", *_embedded.TABLES)
IN_MEMORY_BYTES = 2**30
"""Data that take more as float32 are read when they are indexed, unless `in_memory` says otherwise."""
_TEST_FRACTION = 0.1


def load(
    source: Any,
    *,
    labels: bool | str = False,
    drop: Sequence[str] = (),
    size: int | tuple[int, int] | None = None,
    crop: int | tuple[int, int] | None = None,
    stretch: bool = False,
    channels: int | None = None,
    background: str | tuple[int, int, int] = "white",
    test_fraction: float | None = None,
    seed: int = 0,
    on_error: str = "raise",
    in_memory: bool | None = None,
) -> tuple[Any, Any]:
    """Training and test examples: images `[n, H, W, C]` float32 in [0, 1], C = 1 or 3, or tables of float32 numbers.

    - `"digits"`: scikit-learn's 8 x 8 digits, 1500 and 297 of them; no download.
    - `"mnist"`, `"fashion_mnist"`, `"cifar10"`: `<name>.npz` in the folder `$VAE_TF_DATA_DIR`, else a download.
    - a `.npz` file of `x_train` and `x_test`, or of `x_train` or `x` alone; a `.npy` file. uint8 is divided
      by 255, bool becomes 0 and 1, floats must lie in [0, 1]. Nothing is unpickled.
    - a folder of PNG, JPEG, WebP, BMP, TIFF or GIF images, in it or in folders inside it, or one with sub-folders
      `train/` and `test/`. Without `size` they have one size. If one image has colours, all are returned with 3
      channels. 8 bits for each channel are divided by 255, 16 bits by 65535. Of an animation the first frame is
      taken, and the orientation that a camera noted is applied.
    - a TFRecord file, or a folder of them: each record an encoded image, a serialised tensor, or an `Example` with one
      of both as its `image`, `image/encoded`, `image_raw` or `x` (and a `label`, `image/class/label` or `y`).
    - a data set of Hugging Face's `datasets`, a data source of `tensorflow_datasets`, or any sequence of dictionaries
      with an `image` (and a `label`), alone or in a dictionary of `train` and `test`.
    - `"patches"`: 32 x 32 colour patches of the two photographs that scikit-learn ships, 6,422 and 300 of them. Labels
      are 0, china.jpg, and 1, flower.jpg. Test patches lie in twelve squares of 64 x 64 pixels that no training patch
      touches.
    - a CSV file (`.csv`, `.tsv`, or either with `.gz`; in UTF-8, with names in its first line, between commas,
      semicolons, tabs or bars), a Parquet file (`.parquet`, `.pq`) or a pandas data frame of numbers. They become data
      frames in the units of the table, whose index is the number of the row, from 0, or that of the given frame. True
      and False become 1 and 0. Text, dates, missing and infinite values are refused with column, row (counted from 1)
      and remedy, and so are numbers that float32 cannot tell apart. A file is read a part at a time and takes twice the
      memory of its numbers in float32; one for which there is no room is refused.
    - `"wine"` (178 wines, 13 measurements, labels are 3 growers) and `"breast_cancer"` (569 tumours, 30 measurements,
      labels are 0, malignant, and 1, benign), tables that scikit-learn ships; `"counts"`, 2,000 cells of
      `simulate_counts()`, 200 genes, labels are 4 types.

    Examples without a test set are shuffled with a fixed seed, and the last tenth of them, at least 1, is the test set.

    Images that take more than 1 GiB as float32 are not read into memory: then `load` returns two `LazyImages`, which
    are read, and scaled, a batch at a time. Files of images are decoded once beforehand, so that a damaged one is
    found; at most 256 MiB of their pixels are kept, and the others are decoded again when they are needed.

    Args:
        source: One of `NAMES`, a path, a data frame, or a data set of a library; a name wins over a path, so a folder
            called mnist is "./mnist".
        labels: Whether labels are returned as well: `((x_train, y_train), (x_test, y_test))`, y `[n]` int64. In a
            folder the classes are the sub-folders, sorted by name, as in `keras.utils.image_dataset_from_directory`,
            and `class_names` lists them; in an .npz file labels are `y_train` and `y_test`, or `y`. In a table labels
            are the column of the given name, which is taken out: int64 where they are whole numbers, float64 where they
            are others, else text.
        drop: Names of columns of a table that are left out.
        size: Height and width to which image files are resized, or one number for both (bicubic, antialiased). The
            aspect ratio is kept: the image is made to cover that size, and what hangs over is cut off on both sides.
        crop: Height and width in pixels of the part in the middle of an image file that is taken before it is resized.
        stretch: Whether resizing may change the aspect ratio, so that nothing is cut off.
        channels: 1 makes image files grey (ITU-R 601-2 luma), 3 gives grey ones three channels.
        background: Colour behind the transparent parts of image files: a name, "#rrggbb" or (red, green, blue).
        test_fraction: Share of the examples that is the test set where the data bring none; None stands for 0.1.
        seed: Seed of that choice.
        on_error: "raise" stops at an image file that cannot be decoded and names it; "skip" leaves such files out and
            warns how many there were.
        in_memory: True reads everything into arrays, False nothing; None decides by size.

    Raises:
        TypeError: For a source of another kind.
        ValueError: If there are no such data, or they are not as above; the text names the file.
        ImportError: For Parquet without pyarrow.
    """
    preparation = Preparation.of(size=size, crop=crop, stretch=stretch, channels=channels, background=background)
    _checks.one_of("on_error", on_error, ("raise", "skip"))
    _checks.one_of("in_memory", in_memory, (None, True, False))  # type: ignore[arg-type]
    request = Request(bool(labels), preparation, on_error == "skip")
    if _frames.is_table(source) or (isinstance(source, str) and source in _embedded.TABLES):
        _refuse_preparation("a table", request)
        if in_memory is False:
            raise _error("in_memory (--stream)", "a folder or arrays of images", "a table", "Leave it out.")
        train, test = _table(source, labels, drop, test_fraction, seed)
        return (train, test) if labels else (train[0], test[0])
    _refuse_columns(source, labels, drop)
    parts = _found(source, request)
    if len(parts) == 1:
        share = _TEST_FRACTION if test_fraction is None else test_fraction
        parts = split(parts[0], share, _checks.seed(seed))
    elif test_fraction is not None:
        raise _has_a_test_set(source)
    _check_alike(parts)
    lazy = sum(part.x.nbytes for part in parts) > IN_MEMORY_BYTES if in_memory is None else not in_memory
    images = [part.x if lazy else part.x.read(f"Reading {part.what}") for part in parts]
    if labels:
        return (images[0], parts[0].y), (images[1], parts[1].y)
    return images[0], images[1]


def class_names(folder: str | os.PathLike[str]) -> list[str]:
    """The names of the classes of a folder of images; label k of `load(folder, labels=True)` is the k-th of them.

    Args:
        folder: Path of a folder with a sub-folder for each class, or with such folders called train and test.

    Raises:
        ValueError: If it is no folder.
    """
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise _error(f"{path}", "a folder of images", "no folder", "Check the spelling.")
    return classes_in(split_folders(path)[0])


# --- every kind of source, and the function that finds its one part, or its training and its test part ------------


def _found(source: Any, request: Request) -> list[Part]:
    if isinstance(source, str) and source in NAMES:
        return _EMBEDDED[source](request) if source in _EMBEDDED else _from_benchmark(source, request)
    if not isinstance(source, str | os.PathLike):
        sets = splits(source)
        if sets is not None:
            return _from_library(sets, request)
    path = Path(source).expanduser() if isinstance(source, str | os.PathLike) and source != "" else None
    if path is None or not path.exists():
        names = ", ".join(map(repr, NAMES))
        expected = f"one of {names}, or the path of a .npz, .npy or .tfrecord file, a folder or a table"
        raise _error("data", expected, f"{str(source)!r:.200}", "Check the spelling: there is no such name or path.")
    if path.is_dir():
        return _from_folder(path, request)
    if is_records(path):
        return decoded(f"{path}", {f"{path}": Records.of([path], request.preparation)}, request)
    if path.suffix.lower() in _FILES:
        return _FILES[path.suffix.lower()](path, request)
    remedy = f"{RESAVE}; pandas.read_excel and its kind read other tables: pass the frame."
    remedy = "Name the folder that it is in." if path.suffix.lower() in SUFFIXES else remedy
    expected = "a .npz, .npy or .tfrecord file, a folder, or a .csv or .parquet table"
    raise _error(f"{path}", expected, f"a {path.suffix!r} file", remedy)


def _from_digits(request: Request) -> list[Part]:
    _refuse_preparation("digits", request)
    x, y = _named.digits()
    whole = Part("digits", ArrayImages(x, "digits"), y if request.labels else None)
    return split(whole, _named.DIGITS_TEST / len(x), seed=0)


def _from_patches(request: Request) -> list[Part]:
    _refuse_preparation("patches", request)
    sides = zip(("training", "test"), _embedded.patches(), strict=True)
    parts = ((f"patches: {side}", x, y) for side, (x, y) in sides)
    return [Part(what, ArrayImages(x, what), y if request.labels else None) for what, x, y in parts]


def _from_benchmark(name: str, request: Request) -> list[Part]:
    _refuse_preparation(name, request)
    arrays = _named.benchmark(name, request.labels)
    return _of_arrays(arrays, [key for key in arrays if key.rpartition(" ")[2] in KEYS[0]], request)


def _from_numpy(path: Path, request: Request) -> list[Part]:
    _refuse_preparation(f"{path}", request)
    arrays = stored_arrays(path, KEYS, ("y_train", "y_test", "y") if request.labels else ())
    if "" in arrays:
        return _of_arrays({f"{path}": arrays[""]}, (f"{path}",), request)
    keys = [f"{path}: {key}" for key in arrays if key.startswith("x")]
    return _of_arrays({f"{path}: {key}": array for key, array in arrays.items()}, keys, request)


def _from_folder(folder: Path, request: Request) -> list[Part]:
    """The images, or the TFRecord files, of a folder or of the train and test in it."""
    folders = split_folders(folder)
    records = [record_files(part) for part in folders]
    if all(records):
        found = [Records.of(files, request.preparation) for files in records]
        return decoded(f"{folder}", dict(zip(map(str, folders), found, strict=True)), request)
    if request.labels and len(folders) == 2:
        names = [set(classes_in(part)) for part in folders]
        if names[0] != names[1]:
            received = f"{', '.join(sorted(names[0] ^ names[1])[:5])} in one of them only"
            remedy = "Make an empty folder for a missing class."
            raise _error(f"Classes of {folder}", "the same in train and test", received, remedy)
    images = {f"{part}": list_images(part, request.preparation, labels=request.labels) for part in folders}
    return decoded(f"{folder}", images, request)


def _from_library(sets: list[Any], request: Request) -> list[Part]:
    """The images of one data set of another library, or of a training and a test set."""
    names = ["data set"] if len(sets) == 1 else ["training set", "test set"]
    found = [Examples.of(part, request.preparation) for part in sets]
    return decoded("data set", dict(zip(names, found, strict=True)), request)


_EMBEDDED: dict[str, Callable[[Request], list[Part]]] = {"digits": _from_digits, "patches": _from_patches}
"""Sets of images that need no download."""
_FILES: dict[str, Callable[[Path, Request], list[Part]]] = {".npz": _from_numpy, ".npy": _from_numpy}
"""Files by their suffix."""


# --- tables -------------------------------------------------------------------------------------------------------


def _table(source: Any, labels: bool | str, drop: Sequence[str], share: float | None, seed: int) -> Any:
    """The training and the test rows of a table, each with its labels."""
    if not isinstance(source, str) or source not in _embedded.TABLES:
        share = _TEST_FRACTION if share is None else share
        return _frames.load(source, labels=labels or None, drop=drop, test_fraction=share, seed=seed)
    if isinstance(labels, str):
        raise _error("labels", f"True or False, as {source} has its labels", repr(labels), "Pass labels=True.")
    if share is not None:
        raise _has_a_test_set(source)
    parts = _embedded.TABLES[source]()
    return tuple((_frames.without(x, drop, source), y) for x, y in parts)


def _refuse_columns(source: Any, labels: bool | str, drop: Sequence[str]) -> None:
    """Raises ValueError for arguments that mean something for tables only."""
    if isinstance(labels, str):
        raise _error("labels", f"True or False, as {source!s:.100} is no table", repr(labels), "Pass labels=True.")
    if len(drop):
        raise _error("drop (--drop)", "a table with columns", f"{source!s:.100}", "Leave it out.")


def _has_a_test_set(source: Any) -> ValueError:
    return _error("test_fraction", "data without a test set", f"{source}, which has one", "Leave it out.")


# --- parts --------------------------------------------------------------------------------------------------------


def _of_arrays(arrays: dict[str, np.ndarray], keys: Any, request: Request) -> list[Part]:
    """The parts that arrays of images and of labels make; a label's key is that of its images with y for x."""
    parts = []
    for key in keys:
        x = ArrayImages(arrays[key], key)
        parts.append(Part(key, x, _labels(arrays, key, len(x)) if request.labels else None))
    return parts


def _labels(arrays: dict[str, np.ndarray], key: str, count: int) -> np.ndarray:
    head, _, name = key.rpartition(" ")
    wanted = f"{head} y{name[1:]}"
    found = arrays.get(wanted)
    if found is None or found.dtype.kind not in "biu" or found.shape not in ((count,), (count, 1)):
        received = "none" if found is None else f"dtype {found.dtype} and shape {list(found.shape)}"
        remedy = "Save them beside the images under that name, or leave labels out."
        raise _error(f"Labels {wanted}", f"whole numbers, [{count}]", received, remedy)
    return found.reshape(count).astype(np.int64)


def _check_alike(parts: list[Part]) -> None:
    train, test = (part.x.shape[1:] for part in parts)
    if train != test:
        remedy = "Resize or crop them; image files are resized by size=64, say, or --size 64."
        raise _error(" and ".join(part.what for part in parts), "images of one shape", f"{train} and {test}", remedy)


def _refuse_preparation(what: str, request: Request) -> None:
    """Raises ValueError for arguments that mean something for image files only."""
    names = request.preparation.asked() + ["on_error"] * request.skip
    if names:
        given = ", ".join(f"{name} (--{name.replace('_', '-')})" for name in names)
        raise _error(given, "a folder of image files", what, "Leave it out: it is for image files.")


def _error(what: str, expected: str, received: object, remedy: str) -> ValueError:
    return ValueError(problem(what, expected=expected, received=received, remedy=remedy))
