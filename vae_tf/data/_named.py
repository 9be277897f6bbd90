"""The data sets that have a name: scikit-learn's digits, and benchmarks that are stored in a folder or downloaded."""

from __future__ import annotations

import os
from http.client import HTTPException
from pathlib import Path

import numpy as np

from vae_tf.data._arrays import KEYS, explained, stored_arrays

__all__ = ["benchmark", "digits"]

DIGITS_TEST = 297


def digits() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's digits, `[1797, 8, 8, 1]` in [0, 1], and their labels."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return found.images[..., np.newaxis] / 16, found.target.astype(np.int64)


def benchmark(name: str, labels: bool) -> dict[str, np.ndarray]:
    """The arrays x_train and x_test, and with `labels` y_train and y_test, by a description of their place.

    They come from `$VAE_TF_DATA_DIR/<name>.npz`, or are downloaded by Keras where there is no such file.
    """
    folder = os.environ.get("VAE_TF_DATA_DIR")
    path = Path(folder or ".").expanduser() / f"{name}.npz"
    if folder and path.is_file():
        found = stored_arrays(path, KEYS[:1], ("y_train", "y_test") if labels else ())
        return {f"{path}: {key}": array for key, array in found.items()}
    from tf_keras import datasets

    expected = f"{name}.npz in the folder VAE_TF_DATA_DIR, or a download that works"
    remedy = f"Put {name}.npz, with x_train and x_test in it, into a folder and set VAE_TF_DATA_DIR to that folder."
    with explained(name, expected, remedy, (OSError, HTTPException)):
        (x_train, y_train), (x_test, y_test) = getattr(datasets, name).load_data()
    arrays = {"x_train": x_train, "x_test": x_test} | ({"y_train": y_train, "y_test": y_test} if labels else {})
    return {f"{name}: {key}": np.asarray(array) for key, array in arrays.items()}
