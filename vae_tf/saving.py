"""Loading a saved VAE from a file that need not be trusted: all names in it are checked before Keras sees them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tf_keras as keras

from vae_tf import (
    _checks,
    linear,  # noqa: F401 - imported, as the networks are, because they import all modules that register a class
    networks,  # noqa: F401
    storage,
)
from vae_tf.training.finite import check_weights
from vae_tf.vae import VAE

__all__ = ["load"]


def load(path: str | os.PathLike[str], custom_objects: Mapping[str, Any] | None = None) -> VAE:
    """The VAE saved in a `.keras` file, compiled and ready to be trained on.

    Use it instead of `keras.models.load_model` for files that come from others: that function imports any
    module that a file names and, in safe mode too, can be made to run code from it. Here the configuration is
    read first, and refused unless all it names is a public class or built-in function of tf_keras, a class of
    vae_tf, or in `custom_objects`: no `Lambda`, no TensorFlow operation as a layer (`2 * x` on Keras inputs),
    no lookup layer, no assets, no weights outside the file.

    The memory is bounded by the size of the file: it must not be compressed, its configuration takes at most 16 MiB
    and 100 levels of nesting, an example has at most 2^28 numbers, and no more variables are made than there are
    weights in the file. So look at the size of a file before you load it. The time is not bounded: a model of many
    layers, or a recurrent layer that unrolls a long sequence, takes long to build. Load files of strangers in a
    process of their own that you can stop.

    Args:
        path: Path of the file.
        custom_objects: Classes and functions of yours by the name they are registered under: "package>Name",
            or "Name" if they are not. They are trusted with whatever the file passes to them.

    Raises:
        TypeError: For what is no path.
        FileNotFoundError: If there is no such file.
        ValueError: For a file that is refused or broken, whose weights are not all finite, or that holds no VAE.
    """
    if not isinstance(path, str | os.PathLike):
        remedy = "Pass a path such as 'vae.keras'."
        raise TypeError(_checks.problem("path", expected="a path", received=f"a {type(path).__name__}", remedy=remedy))
    source, custom = Path(path), dict(custom_objects or {})
    if not source.exists():
        text = _checks.problem(str(path), expected="a .keras file", received="no file", remedy="Check the path.")
        raise FileNotFoundError(text)
    refused, broken = f"{source} is refused, nothing in it was executed", f"{source} cannot be loaded"
    if source.suffix != ".keras" or not source.is_file():
        remedy = "Save models by vae.save('x.keras')."
        expected = "a zip file named *.keras"
        raise ValueError(_checks.problem(refused, expected=expected, received="another kind", remedy=remedy))
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "model.keras")  # the file that is checked is the file that is loaded, even if path changes
        shutil.copyfile(source, copy)
        weights = storage.judge(copy, refused, custom, broken)
        with storage.reading(broken), storage.memory_of(weights, str(source)):
            model = keras.models.load_model(copy, custom_objects=custom, safe_mode=True)
    if not isinstance(model, VAE):
        received, remedy = f"a {type(model).__name__}", "Load other models by keras.models.load_model."
        raise ValueError(_checks.problem(str(path), expected="a VAE", received=received, remedy=remedy))
    check_weights(model, f"Weights in {source}", "Load a file that was saved before the training diverged.")
    return model
