"""Computing in float32: models of a mixed-precision policy, and GPUs that would round to TensorFloat-32."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from vae_tf_onnx.convert._tensorflow import BFLOAT16
from vae_tf_onnx.errors import ParityError, UnsupportedOpError
from vae_tf_onnx.verification import relative_error

HALF_PRECISION_TOLERANCE = 0.05
"""Relative, between a model that computes in float16 and its twin: more than rounding, less than a wrong weight."""
_HALF = ("float16", "mixed_float16")


@contextmanager
def full_precision() -> Iterator[None]:
    """Matrix products of float32: by default NVIDIA's GPUs since Ampere round what goes into them to 10 bits."""
    allowed = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(allowed)


def computes_in(model: keras.Model, opset: int) -> str:
    """The type that the layers of a model compute in: float32, or float16 where one of them does.

    Args:
        model: the model.
        opset: of ONNX, for the error.

    Raises:
        UnsupportedOpError: for layers that compute in bfloat16, which onnxruntime does not on a CPU.
    """
    found = "float32"
    for layer in _layers(model):
        if layer.compute_dtype == "bfloat16":
            raise UnsupportedOpError(type(layer).__name__, layer.name, opset, BFLOAT16)
        if layer.compute_dtype == "float16":
            found = "float16"
    return found


def in_float32(model: keras.Model, build: Callable[[keras.Model], Any]) -> keras.Model:
    """A twin of a model, of the same weights, that computes in float32.

    Args:
        model: the model.
        build: what makes the weights of the twin, by calling it.

    Raises:
        ValueError: for a model that Keras cannot make anew from its configuration.
    """
    try:
        with (
            _float32_policy(),
            keras.saving.custom_object_scope({type(part).__name__: type(part) for part in _parts(model)}),
        ):
            twin = type(model).from_config(_without_half(model.get_config()))
            build(twin)
        twin.set_weights(model.get_weights())
    except (NotImplementedError, TypeError, ValueError) as error:
        reason = str(error).rstrip(".")
        raise ValueError(
            f"Model {model.name!r}: expected one that Keras can rebuild from get_config(), as it computes in float16 "
            f"and the graphs in float32; received {type(error).__name__}: {reason}. "
            "Give its class get_config and from_config, or build it under the policy float32."
        ) from error
    return twin


def check_twin(tensor: str, twin: Any, model: Any) -> None:
    """Raises ParityError where a twin differs from its model by more than float16 explains.

    Args:
        tensor: what is compared.
        twin: its value in float32.
        model: its value by the model.
    """
    error = relative_error(np.asarray(twin), np.asarray(model, np.float32))
    if not error <= HALF_PRECISION_TOLERANCE:
        raise ParityError(f"{tensor}, in float32 against float16,", error, HALF_PRECISION_TOLERANCE)


def _parts(model: keras.Model) -> list[keras.layers.Layer]:
    return [module for module in model.submodules if isinstance(module, keras.layers.Layer)]


def _layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Those that compute: neither models nor metrics."""
    return [part for part in _parts(model) if not isinstance(part, keras.Model | keras.metrics.Metric)]


@contextmanager
def _float32_policy() -> Iterator[None]:
    policy = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy("float32")
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(policy)


def _without_half(config: Any) -> Any:
    """A configuration with float32 in the place of each float16 policy."""
    if isinstance(config, dict):
        if config.get("class_name") == "Policy" and config["config"]["name"] in _HALF:
            return "float32"
        return {
            key: "float32" if key == "dtype" and value in _HALF else _without_half(value)
            for key, value in config.items()
        }
    if isinstance(config, list | tuple):
        return type(config)(map(_without_half, config))
    return config
