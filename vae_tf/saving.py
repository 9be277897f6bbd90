"""Loading a saved VAE from a file that need not be trusted: all names in it are checked before Keras sees them."""

from __future__ import annotations

import contextlib
import inspect
import json
import lzma
import os
import re
import shutil
import struct
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import tensorflow as tf
import tf_keras as keras
from tensorflow.python.util.tf_export import get_symbol_from_name
from tf_keras.src.layers.serialization import get_builtin_layer
from tf_keras.src.saving.serialization_lib import BUILTIN_MODULES

from vae_tf import (
    _checks,
    linear,  # noqa: F401 - its import imports all modules that register a class
)
from vae_tf.vae import VAE

__all__ = ["load"]

_MEMBERS = ["config.json", "metadata.json", "model.weights.h5"]
_NAMES = ("module", "class_name", "registered_name")
_MODULES = {f"keras.{name}" for name in (*BUILTIN_MODULES, "layers", "mixed_precision", "models")}
_MODULES |= {"keras", "keras.optimizers.legacy", "keras.optimizers.schedules"}
_UNEXPORTED = {  # classes of Keras that have no public name, and are saved under their private one
    ("tf_keras.src.engine.functional", "Functional"),
    ("tf_keras.src.mixed_precision.loss_scale_optimizer", "LossScaleOptimizerV3"),
}
_NOT_YOURS = {*sys.stdlib_module_names, "keras", "tensorflow", "tensorflow_probability", "tf_keras", "vae_tf"}
_NOT_YOURS -= {"builtins"}  # Keras says of every function that it is in this module
_KINDS = (
    keras.layers.Layer, keras.optimizers.Optimizer, keras.optimizers.legacy.Optimizer, keras.losses.Loss,
    keras.optimizers.schedules.LearningRateSchedule, keras.initializers.Initializer, keras.metrics.Metric,
    keras.regularizers.Regularizer, keras.constraints.Constraint, keras.mixed_precision.Policy,
)  # fmt: skip
_NAMING_KEY = re.compile(r"(^|_)(activation|constraint|fn|loss|metrics|regularizer)$")
_ALIASES = {"accuracy", "acc", "crossentropy", "ce", "leaky_relu", "log_softmax", "relu6", "silu"}
_BROKEN = (
    ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError,
    SystemError, TypeError, ValueError, lzma.LZMAError, struct.error, tf.errors.OpError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
_ALLOW = "If it is yours and you trust what the file passes to it, load with custom_objects={{{!r}: ...}}."
_AVOID = "It may run code or read files. Build the model from other layers, or from a layer class of yours."


def load(path: str | os.PathLike[str], custom_objects: Mapping[str, Any] | None = None) -> VAE:
    """The VAE saved in a `.keras` file, compiled and ready to be trained on.

    Use it instead of `keras.models.load_model` for files that come from others. That function imports any module that
    a file names and can be made to run code from the file, even in safe mode. This one reads the configuration first.
    It refuses a file unless everything that the configuration names is a public class or built-in function of
    tf_keras, a class of vae_tf, or in `custom_objects`. So a file may contain no `Lambda`, no TensorFlow operation as
    a layer (`2 * x` on Keras inputs), no lookup layer, no assets and no weights outside the file. Neither memory nor
    time is bounded.

    Args:
        path: Path of the file.
        custom_objects: Classes and functions of yours, by the name under which they are registered: "package>Name", or
            "Name" if they are not registered. They are trusted with whatever the file passes to them.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: For a file that is refused or broken, or that holds no VAE.
    """
    source, custom = Path(path), dict(custom_objects or {})
    if not source.exists():
        text = _checks.problem(str(path), expected="a .keras file", received="no file", remedy="Check the path.")
        raise FileNotFoundError(text)
    if source.suffix != ".keras" or not zipfile.is_zipfile(source):
        raise _refusal(source, "a zip file named *.keras", "another kind", "Save models by vae.save('x.keras').")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "model.keras")  # the file that is checked is the file that is loaded, even if path changes
        shutil.copyfile(source, copy)
        _check_objects(source, _configuration(source, copy), custom)
        _check_weights(source, copy)
        with _reading(source):
            model = keras.models.load_model(copy, custom_objects=custom, safe_mode=True)
    if not isinstance(model, VAE):
        received, remedy = f"a {type(model).__name__}", "Load other models by keras.models.load_model."
        raise ValueError(_checks.problem(str(path), expected="a VAE", received=received, remedy=remedy))
    return model


def _configuration(source: Path, copy: Path) -> dict[str, Any]:
    """The configuration of the model, from an archive that has exactly the members that `vae.save` writes."""
    with _reading(source), zipfile.ZipFile(copy) as archive:
        members = sorted(archive.namelist())
        config = json.loads(archive.read("config.json")) if members == _MEMBERS else {}
    if members != _MEMBERS:
        raise _refusal(source, f"the members {_MEMBERS}", str(members), "Save models by vae.save('x.keras').")
    if not isinstance(config, dict):
        raise _refusal(source, "a JSON object in config.json", f"a {type(config).__name__}", "Do not use the file.")
    return config


def _check_weights(source: Path, copy: Path) -> None:
    """Refuses weights that HDF5 would read from other files."""
    outside: list[str] = []

    def look(name: str, link: Any) -> None:
        item = weights[name] if isinstance(link, h5py.HardLink) else None
        if item is None or (isinstance(item, h5py.Dataset) and (item.external or item.is_virtual)):
            outside.append(name)

    with contextlib.ExitStack() as files:
        files.enter_context(_reading(source))
        archive = files.enter_context(zipfile.ZipFile(copy))
        weights = files.enter_context(h5py.File(files.enter_context(archive.open("model.weights.h5"))))
        weights.visititems_links(look)
    if outside:
        raise _refusal(source, "all weights inside the file", f"links at {outside}", "Do not use the file.")


def _check_objects(source: Path, config: dict[str, Any], custom: dict[str, Any]) -> None:
    """Refuses a configuration that names an unknown class or function."""
    for key, value in _values(config):
        if isinstance(value, str) and not _is_known_string(key, value, custom):
            received, remedy = f"{key}={value!r}", _ALLOW.format(value)
        elif isinstance(value, dict) and "class_name" in value and not _is_known(value, custom):
            module, name, registered = (value.get(part) for part in _NAMES)
            custom_key = value.get("config") if name == "function" else registered
            received = f"{custom_key if name == 'function' else name!r} of module {module!r}"
            yours = isinstance(custom_key, str) and str(module).split(".")[0] not in _NOT_YOURS
            remedy = _ALLOW.format(custom_key) if yours else _AVOID
        else:
            continue
        raise _refusal(source, "nothing but classes of tf_keras, vae_tf and custom_objects", received, remedy)


def _values(config: Any) -> Iterator[tuple[str, Any]]:
    """All values at any depth, each with its key. Items of a list or of a dict of choices get the key of the whole."""
    stack = [("", config)]
    while stack:
        key, value = stack.pop()
        yield key, value
        if isinstance(value, dict):
            choices = _NAMING_KEY.search(key) and "class_name" not in value
            stack += [(key if choices else name, item) for name, item in value.items()]
        elif isinstance(value, list):
            stack += [(key, item) for item in value]


def _is_known(entry: dict[str, Any], custom: dict[str, Any]) -> bool:
    """Whether every object that Keras could find for this entry is safe to call."""
    if entry["class_name"] in ("__tensor__", "__numpy__", "__bytes__"):
        return set(entry) == {"class_name", "config"}
    if not {*_NAMES, "config"} <= set(entry):
        return False  # in the old format Keras would search everything that one of its modules has imported
    module, name, registered = (entry[part] for part in _NAMES)
    if not isinstance(name, str) or not all(isinstance(part, str | None) for part in (module, registered)):
        return False
    if name == "function":
        return (module, registered) == ("builtins", "function") and _is_known_function(entry["config"], custom)
    found = keras.saving.get_registered_object(registered, custom)
    if found is None:
        found = _builtin_class(module, name)
    else:
        ours = registered in custom or str(module).startswith("vae_tf.")  # Keras goes by `registered` alone
        if not ours or name not in (found.__name__, registered) or not _is_trusted(registered, found, custom):
            return False
    return found is not None and get_builtin_layer(name) in (None, found, _builtin_class("keras.layers", name))


def _is_known_function(name: Any, custom: dict[str, Any]) -> bool:
    if not isinstance(name, str):
        return False
    found = keras.saving.get_registered_object(name, custom)
    return _is_trusted(name, found, custom) if found is not None else _is_builtin_function(name)


def _is_known_string(key: str, name: str, custom: dict[str, Any]) -> bool:
    """Whether a string is mere text, or a name for which Keras finds an object that is safe to call."""
    found = keras.saving.get_registered_object(name, custom)
    if found is not None:
        return _is_trusted(name, found, custom)
    known = name in _ALIASES or _is_builtin_function(name) or any(_builtin_class(m, name) for m in _MODULES)
    return known or not _NAMING_KEY.search(key)


def _is_trusted(name: str, found: Any, custom: dict[str, Any]) -> bool:
    """Whether an object that Keras finds under a registered name belongs to the caller or to vae_tf."""
    ours = keras.saving.get_custom_objects().get(name) if name.startswith("vae_tf>") else None
    return found is custom.get(name) or found is ours


def _builtin_class(module: str | None, name: str) -> Any:
    """The public class of Keras with this name, or None if there is none or it can run code or read files."""
    if (module, name) in _UNEXPORTED:
        return getattr(sys.modules[str(module)], name)
    found = get_symbol_from_name(f"{module}.{name}") if module in _MODULES and name.isidentifier() else None
    harmless = inspect.isclass(found) and issubclass(found, _KINDS) and not issubclass(found, keras.layers.Lambda)
    return found if harmless and not hasattr(found, "load_assets") else None


def _is_builtin_function(name: str) -> bool:
    """Whether the first object with this name in the modules that Keras searches is a function other than `get` etc."""
    found = filter(None, (get_symbol_from_name(f"keras.{module}.{name}") for module in BUILTIN_MODULES))
    return inspect.isfunction(next(found, None)) and name not in ("get", "serialize", "deserialize")


@contextlib.contextmanager
def _reading(source: Path) -> Iterator[None]:
    """A context that turns every error of a broken file into one ValueError."""
    try:
        yield
    except _BROKEN as error:
        text = _checks.problem(
            f"{source} cannot be loaded",
            expected="a whole file, written by vae.save",
            received=f"{type(error).__name__}: {error}",
            remedy="Copy or save it again; a model with classes of yours needs custom_objects.",
        )
        raise ValueError(text) from error


def _refusal(source: Path, expected: str, received: str, remedy: str) -> ValueError:
    what = f"{source} is refused, nothing in it was executed"
    return ValueError(_checks.problem(what, expected=expected, received=received, remedy=remedy))
