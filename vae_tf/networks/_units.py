"""The layers between the units of the data and those of a network."""

from __future__ import annotations

import abc
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from vae_tf import _checks
from vae_tf._layers import transformed
from vae_tf.likelihoods import Likelihood
from vae_tf.networks._moments import Moments

MEAN_ACTIVATIONS = ("sigmoid",)
_EDGE = 1e-2
"""Distance from 0 and 1 of a mean that a sigmoid starts from."""


class _Affine(keras.layers.Layer, abc.ABC):
    """A map of each dimension by two weights that are given, saved, and never trained.

    Args:
        first: First values of the offsets, `[*E]`; None, as in a layer that is loaded, takes zeros.
        second: First values of the factors, `[*E]`; None takes ones.
        **kwargs: As for every Keras layer. The layer computes in float32 whatever the global policy: the data may have
            units in which half precision overflows.
    """

    def __init__(self, first: np.ndarray | None = None, second: np.ndarray | None = None, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32"} | kwargs)
        self._first, self._second = first, second

    def build(self, input_shape: Any) -> None:
        """Makes the weights."""
        shape = tuple(input_shape[1:])
        self.offset = self.add_weight("offset", shape, initializer="zeros", trainable=False)
        self.factor = self.add_weight("factor", shape, initializer="ones", trainable=False)
        for weight, value in ((self.offset, self._first), (self.factor, self._second)):
            if value is not None:
                weight.assign(np.broadcast_to(value, shape))
        super().build(input_shape)

    @abc.abstractmethod
    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """The map of `[B, *E]`."""

    def get_config(self) -> dict[str, Any]:
        """Plain JSON, without the first values: the weights are saved."""
        return super().get_config()


@keras.saving.register_keras_serializable("vae_tf")
class Standardise(_Affine):
    """`(x - offset) / factor`, the first layer of an encoder that is told its training data by `standardise=`.

    The offset is the mean of each dimension, the factor the standard deviation of each column of a table or each
    channel of images; see Moments. Both are weights, which are saved and exported with the encoder.

    Args:
        first: First values of the offsets, `[*E]`; None takes zeros.
        second: First values of the factors, `[*E]`; None takes ones.
        **kwargs: As for every Keras layer.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """The standardised inputs, `[B, *E]`."""
        return (inputs - self.offset) / self.factor


@keras.saving.register_keras_serializable("vae_tf")
class Unstandardise(_Affine):
    """`offset + factor * raw`, the layer before the likelihood of a decoder that is told its training data.

    Where the network puts out 0 the outputs are those of `Likelihood.outputs_at`: E[x|z] is the mean of the data.

    Args:
        first: First values of the offsets, `[*E]`; None takes zeros.
        second: First values of the factors, `[*E]`; None takes ones.
        **kwargs: As for every Keras layer.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """The outputs in the units of the data, of the shape of the inputs."""
        return self.offset + self.factor * inputs


@keras.saving.register_keras_serializable("vae_tf")
class SigmoidMean(keras.layers.Layer):
    """The sigmoid of the first numbers of the last axis, times `peak`; the others pass: E[x|z] lies in (0, peak).

    Args:
        means: How many numbers of the last axis are means (the others are scales).
        peak: The largest value of the data.
        **kwargs: As for every Keras layer.
    """

    def __init__(self, means: int, peak: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32"} | kwargs)
        self.means = _checks.positive_int("means", means)
        self.peak = _checks.positive_float("peak", peak)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """The outputs, of the shape of the inputs."""
        mean = self.peak * tf.sigmoid(inputs[..., : self.means])
        return mean if inputs.shape[-1] == self.means else tf.concat([mean, inputs[..., self.means :]], axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Plain JSON: the arguments of the constructor."""
        return super().get_config() | {"means": self.means, "peak": self.peak}


def into_units(standardise: Any, event_shape: tuple[int, ...], transform: str | None) -> list[keras.layers.Layer]:
    """The first layers of an encoder: none, one that transforms, one that standardises what comes then, or both."""
    first = transformed(transform)
    if standardise is None:
        return first
    moments = Moments.of(standardise, event_shape, transform=transform)
    return [*first, Standardise(moments.mean, moments.units, name="standardise")]


def out_of_units(standardise: Any, likelihood: Likelihood, mean_activation: str | None) -> list[keras.layers.Layer]:
    """The layers between a decoder's last activations, in the likelihood's `parameter_shape`, and the likelihood.

    With `standardise` the likelihood's own weights, such as its scale, move to where they suit the data.
    """
    stack: list[keras.layers.Layer] = []
    if mean_activation is not None:
        _check_activation(mean_activation, likelihood)
    if standardise is not None:
        moments = Moments.of(standardise, likelihood.event_shape)
        _refuse_constants(moments, likelihood)
        likelihood.start_at(moments.mean, moments.units)
        outputs, steps = likelihood.outputs_at(moments.mean, moments.units)
        if mean_activation is not None:
            outputs, steps = _before_the_sigmoid(outputs, steps, likelihood)
        stack += [Unstandardise(outputs, steps, name="unstandardise")]
    if mean_activation is not None:
        stack += [SigmoidMean(likelihood.locations, likelihood.data_range[1], name="mean")]
    return stack


def _before_the_sigmoid(
    outputs: np.ndarray, steps: np.ndarray, likelihood: Likelihood
) -> tuple[np.ndarray, np.ndarray]:
    """The outputs and steps at which the sigmoid of the locations is what the outputs were."""
    count, outputs, steps = likelihood.locations, outputs.copy(), steps.copy()
    share = np.clip(outputs[..., :count] / likelihood.data_range[1], _EDGE, 1 - _EDGE)
    outputs[..., :count] = np.log(share) - np.log1p(-share)
    steps[..., :count] = 1.0
    return outputs, steps


def _check_activation(mean_activation: str, likelihood: Likelihood) -> None:
    _checks.one_of("mean_activation", mean_activation, MEAN_ACTIVATIONS)
    if likelihood.locations == 0:
        raise ValueError(
            _checks.problem(
                "mean_activation",
                expected="None beside a likelihood whose mean is no output of the network",
                received=f"{mean_activation!r} beside {type(likelihood).__name__}",
                remedy="Leave it out: the family has a map of its own.",
            )
        )


def _refuse_constants(moments: Moments, likelihood: Likelihood) -> None:
    constant = moments.std == 0
    if likelihood.has_a_scale_for_each_dimension and constant.any():
        raise ValueError(
            _checks.problem(
                "standardise",
                expected="data of which every dimension varies, for a density with a scale for each dimension",
                received=f"one value throughout in {moments.named(constant)}",
                remedy="Leave it out: its scale would shrink, and log p(x) grow, without end.",
            )
        )
