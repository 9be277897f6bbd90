"""Writing a model: one format, finite weights, nothing that cannot be loaded, and never half a file."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tensorflow as tf
import tf_keras as keras

from vae_tf import _checks, _files
from vae_tf.storage.judgement import judge
from vae_tf.training.finite import check_weights

_KERAS, _WEIGHTS = ".keras", ".weights.h5"
TO_BE_SAVED = "Weights to be saved"
"""The subject of the refusal of weights that are not finite."""
_REMOTE = re.compile(r"^[a-z0-9+]+://", re.IGNORECASE)
_ONNX = "to use it without vae_tf, export it to ONNX: vae_tf_onnx.export(vae, 'folder')"


def check_path(filepath: Any, save_format: str | None = None) -> str:
    """The path as text, where a whole model can be saved under it.

    Args:
        filepath: Path of the file.
        save_format: The format that the caller asked for; None goes by the path.

    Raises:
        ValueError: For anything but a path that ends in `.keras`, in the format of that name.
    """
    path = _text(filepath)
    if path.endswith(_KERAS) and save_format in (None, "keras", "keras_v3"):
        return path
    named = "" if save_format is None else f" with save_format={save_format!r}"
    raise ValueError(
        _checks.problem(
            "Saving a VAE",
            expected="a path that ends in .keras, the one format that holds distributions",
            received=f"{path!r}{named}",
            remedy=f"Call vae.save({_stem(path) + _KERAS!r}), which vae_tf.load reads; {_ONNX}.",
        )
    )


def check_weights_path(filepath: Any, save_format: str | None = None) -> str:
    """The path as text, where weights alone can be saved under it: a `.weights.h5` file or a TensorFlow checkpoint.

    Args:
        filepath: Path of the file, or of the checkpoint without ending.
        save_format: The format that the caller asked for; None goes by the path.

    Raises:
        ValueError: For any other path, and a format that is not that of the path.
    """
    path = _text(filepath)
    to_hdf5 = path.endswith(_WEIGHTS) and save_format in (None, "h5", "hdf5")
    checkpoint = not path.endswith((".h5", ".hdf5", _KERAS)) and save_format in (None, "tf", "tensorflow")
    if not (to_hdf5 or checkpoint):
        named = "" if save_format is None else f" with save_format={save_format!r}"
        raise ValueError(
            _checks.problem(
                "Saving the weights of a VAE",
                expected="a path that ends in .weights.h5, or the path of a TensorFlow checkpoint, without ending",
                received=f"{path!r}{named}, a format that loses the count of steps",
                remedy=f"Call vae.save_weights({_stem(path) + _WEIGHTS!r}).",
            )
        )
    return path


def save(model: keras.Model, filepath: Any, overwrite: bool, save_format: str | None, others: dict[str, Any]) -> None:
    """Writes a `.keras` file beside its place, looks at it as `vae_tf.load` will, and then puts it there.

    See `VAE.save` for the arguments.
    """
    path = check_path(filepath, save_format)
    _refuse_others(others)
    _refuse_overwriting(path, overwrite)
    with _replacing(path) as draft:
        keras.models.save_model(model, draft)
        judge(draft, f"{path} is not written, because vae_tf.load would refuse it", custom=None)


def save_weights(
    model: keras.Model, filepath: Any, overwrite: bool, save_format: str | None, others: dict[str, Any]
) -> None:
    """Writes the weights alone: a `.weights.h5` file, beside its place and then there, or a TensorFlow checkpoint.

    See `VAE.save_weights` for the arguments.
    """
    path = check_weights_path(filepath, save_format)
    check_weights(model, TO_BE_SAVED)
    if not path.endswith(_WEIGHTS):
        keras.Model.save_weights(model, path, overwrite=overwrite, save_format="tf", **others)
        return
    _refuse_others(others)
    _refuse_overwriting(path, overwrite)
    with _replacing(path) as draft:
        keras.Model.save_weights(model, draft)


def refuse_saved_model(what: str) -> None:
    """Raises the ValueError of the ways that lead to a SavedModel of TensorFlow."""
    raise ValueError(
        _checks.problem(
            what,
            expected="another format",
            received="a SavedModel of TensorFlow, which holds no distributions",
            remedy=f"Call vae.save('vae.keras'), which vae_tf.load reads; {_ONNX}.",
        )
    )


def _text(filepath: Any) -> str:
    if isinstance(filepath, str | os.PathLike):
        return os.fsdecode(filepath)
    raise TypeError(
        _checks.problem(
            "filepath",
            expected="a path",
            received=f"a {type(filepath).__name__}",
            remedy="Pass a path such as 'vae.keras'.",
        )
    )


def _stem(path: str) -> str:
    """The last part of a path, without the endings of formats."""
    return re.sub(r"(\.weights)?\.(h5|hdf5|keras|tf)$", "", path.replace("\\", "/").rstrip("/").split("/")[-1]) or "vae"


def _refuse_others(others: dict[str, Any]) -> None:
    given = [name for name, value in others.items() if value is not None]
    if given:
        raise ValueError(
            _checks.problem(
                "Arguments of saving",
                expected="filepath and overwrite",
                received=", ".join(given),
                remedy="Leave them out: they are those of other formats.",
            )
        )


def _refuse_overwriting(path: str, overwrite: bool) -> None:
    if not overwrite and tf.io.gfile.exists(path):
        raise FileExistsError(
            _checks.problem(
                path,
                expected="no file, as overwrite=False",
                received="one",
                remedy="Choose another path, or overwrite=True.",
            )
        )


@contextmanager
def _replacing(path: str) -> Iterator[Path]:
    """A draft that takes the place of `path` when the block ends well; a remote one is written here and copied."""
    if not _REMOTE.match(path):
        with _files.replacing(path) as draft:
            yield draft
        return
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder, path.split("/")[-1])
        yield draft
        tf.io.gfile.copy(str(draft), path, overwrite=True)
