"""The classes and functions that a configuration may name: those of tf_keras and vae_tf, and those of the caller."""

from __future__ import annotations

import functools
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import tf_keras as keras
from tensorflow.python.util.tf_export import get_symbol_from_name
from tf_keras.src.layers.serialization import get_builtin_layer
from tf_keras.src.saving.serialization_lib import BUILTIN_MODULES

_NAMES = ("module", "class_name", "registered_name")
_MODULES = {f"keras.{name}" for name in (*BUILTIN_MODULES, "layers", "mixed_precision", "models")}
_MODULES |= {"keras", "keras.optimizers.legacy", "keras.optimizers.schedules"}
_UNEXPORTED = {  # classes of Keras that have no public name, and are saved under their private one
    ("tf_keras.src.engine.functional", "Functional"),
    ("tf_keras.src.mixed_precision.loss_scale_optimizer", "LossScaleOptimizerV3"),
}
_NOT_YOURS = {*sys.stdlib_module_names, "keras", "tensorflow", "tensorflow_probability", "tf_keras", "vae_tf"}
_NOT_YOURS -= {"builtins"}  # where Keras says that all functions live
_KINDS = (
    keras.layers.Layer, keras.optimizers.Optimizer, keras.optimizers.legacy.Optimizer, keras.losses.Loss,
    keras.optimizers.schedules.LearningRateSchedule, keras.initializers.Initializer, keras.metrics.Metric,
    keras.regularizers.Regularizer, keras.constraints.Constraint, keras.mixed_precision.Policy,
)  # fmt: skip
_NAMING_KEY = re.compile(r"(^|_)(activation|constraint|fn|loss|metrics|regularizer)$")
_ALIASES = {"accuracy", "acc", "crossentropy", "ce", "leaky_relu", "log_softmax", "relu6", "silu"}


@dataclass(frozen=True)
class Unknown:
    """A name in a configuration of which nobody knows what it does.

    Attributes:
        text: The name and where it is said to come from.
        key: The key of `custom_objects` that makes it known; None where it may be anybody's code, or reads files.
    """

    text: str
    key: str | None


def unknown_names(config: Mapping[str, Any], custom: Mapping[str, Any]) -> Iterator[Unknown]:
    """All that a configuration names beside public classes and built-in functions of tf_keras, vae_tf and `custom`."""
    for key, value in values(config):
        if isinstance(value, str) and not _is_known_string(key, value, custom):
            registrable = value.split(">")[-1].isidentifier()  # the code of a lambda is not
            yield Unknown(f"{key}={value!r}", value if registrable else None)
        elif isinstance(value, dict) and "class_name" in value and not _is_known(value, custom):
            module, name, registered = (value.get(part) for part in _NAMES)
            custom_key = value.get("config") if name == "function" else registered
            yours = isinstance(custom_key, str) and str(module).split(".")[0] not in _NOT_YOURS
            text = f"{custom_key if name == 'function' else name!r} of module {module!r}"
            yield Unknown(text, custom_key if yours else None)


def values(config: Any) -> Iterator[tuple[str, Any]]:
    """All values, however deep, each with its key; those of a list or of a dict of choices have its key."""
    stack = [("", config)]
    while stack:
        key, value = stack.pop()
        yield key, value
        if isinstance(value, dict):
            choices = _NAMING_KEY.search(key) and "class_name" not in value
            stack += [(key if choices else name, item) for name, item in value.items()]
        elif isinstance(value, list):
            stack += [(key, item) for item in value]


def _is_known(entry: dict[str, Any], custom: Mapping[str, Any]) -> bool:
    """Whether each way that Keras has from this entry to an object leads to one that is safe to call."""
    if entry["class_name"] in ("__tensor__", "__numpy__", "__bytes__"):
        return set(entry) == {"class_name", "config"}
    if not {*_NAMES, "config"} <= set(entry):
        return False  # the old format: Keras would search all that one of its modules imported
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


def _is_known_function(name: Any, custom: Mapping[str, Any]) -> bool:
    if not isinstance(name, str):
        return False
    found = keras.saving.get_registered_object(name, custom)
    return _is_trusted(name, found, custom) if found is not None else _is_builtin_function(name)


def _is_known_string(key: str, name: str, custom: Mapping[str, Any]) -> bool:
    """Whether a string is mere text, or a name under which Keras finds something that is safe to call."""
    found = keras.saving.get_registered_object(name, custom)
    if found is not None:
        return _is_trusted(name, found, custom)
    return not _NAMING_KEY.search(key) or name in _ALIASES or _is_builtin(name)


def _is_trusted(name: str, found: Any, custom: Mapping[str, Any]) -> bool:
    """Whether an object that Keras finds under a registered name is the caller's or ours."""
    ours = keras.saving.get_custom_objects().get(name) if name.startswith("vae_tf>") else None
    return found is custom.get(name) or found is ours


@functools.lru_cache(maxsize=1024)  # a file may name the same thing a million times
def _is_builtin(name: str) -> bool:
    """Whether a function or a harmless class of Keras has this name, in any of its modules."""
    return _is_builtin_function(name) or any(_builtin_class(module, name) for module in _MODULES)


def _builtin_class(module: str | None, name: str) -> Any:
    """The public class of Keras by this name, unless it can run code or read files; None for all others."""
    if (module, name) in _UNEXPORTED:
        return getattr(sys.modules[str(module)], name)
    found = get_symbol_from_name(f"{module}.{name}") if module in _MODULES and name.isidentifier() else None
    harmless = inspect.isclass(found) and issubclass(found, _KINDS) and not issubclass(found, keras.layers.Lambda)
    return found if harmless and not hasattr(found, "load_assets") else None


def _is_builtin_function(name: str) -> bool:
    """Whether the first thing of this name in the modules that Keras searches is a function, and not theirs."""
    found = filter(None, (get_symbol_from_name(f"keras.{module}.{name}") for module in BUILTIN_MODULES))
    return inspect.isfunction(next(found, None)) and name not in ("get", "serialize", "deserialize")
