"""Models that compute in float32: twins of those in float16, and GPUs kept from rounding to TensorFloat-32."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from vae_tf_onnx.convert._tensorflow_checks import BFLOAT16
from vae_tf_onnx.errors import ParityError, UnsupportedOpError
from vae_tf_onnx.verification import relative_error

HALF_PRECISION_TOLERANCE = 0.05
"""The relative error allowed between a model in float16 and its twin: above rounding, below a wrong weight."""
_HALF = ("float16", "mixed_float16")


@contextmanager
def full_precision() -> Iterator[None]:
    """Keeps matrix products in float32: NVIDIA's GPUs since Ampere would round their factors to 10 bits by default."""
    allowed = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(allowed)


def computes_in(model: keras.Model, opset: int) -> str:
    """The type that the layers of a model compute in: float32, or float16 where one of them does.

    Args:
        model: The model.
        opset: ONNX opset, for the error.

    Raises:
        UnsupportedOpError: For layers that compute in bfloat16, which onnxruntime does not do on a CPU.
    """
    found = "float32"
    for layer in _layers(model):
        if layer.compute_dtype == "bfloat16":
            raise UnsupportedOpError(type(layer).__name__, layer.name, opset, BFLOAT16)
        if layer.compute_dtype == "float16":
            found = "float16"
    return found


def in_float32(model: keras.Model, build: Callable[[keras.Model], Any]) -> keras.Model:
    """A twin of a model, with the same weights, that computes in float32.

    Args:
        model: The model.
        build: Function that calls the twin, so that its weights are made.

    Raises:
        ValueError: For a model that Keras cannot rebuild from its configuration.
    """
    try:
        with (
            _float32_policy(),
            keras.saving.custom_object_scope({type(part).__name__: type(part) for part in _all_layers(model)}),
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
    """Raises ParityError if a twin differs from its model by more than float16 explains.

    Args:
        tensor: Name of the output, for the error.
        twin: The output of the twin.
        model: The output of the model.
    """
    error = relative_error(np.asarray(twin), np.asarray(model, np.float32))
    if not error <= HALF_PRECISION_TOLERANCE:
        raise ParityError(f"{tensor}, in float32 against float16,", error, HALF_PRECISION_TOLERANCE)


def _all_layers(model: keras.Model) -> list[keras.layers.Layer]:
    return [module for module in model.submodules if isinstance(module, keras.layers.Layer)]


def _layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers that compute: neither models nor metrics."""
    return [part for part in _all_layers(model) if not isinstance(part, keras.Model | keras.metrics.Metric)]


@contextmanager
def _float32_policy() -> Iterator[None]:
    policy = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy("float32")
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(policy)


def _without_half(config: Any) -> Any:
    """A configuration in which float32 takes the place of each float16 policy."""
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
