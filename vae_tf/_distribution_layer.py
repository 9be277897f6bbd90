"""The layer that turns a network's last activations into a distribution, in a form Keras can save."""

from __future__ import annotations

import abc
import math
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras as keras
from tensorflow_probability import distributions as tfd

from vae_tf import _checks


class DistributionLayer(tfp.layers.DistributionLambda):
    """A layer whose output is a `tfd.Distribution` over one example.

    Where a tensor is wanted instead (by `predict`, or by a layer behind it), the distribution stands for
    its mean, so that nothing random happens unless `sample` is called.

    The layer computes in float32 whatever the global mixed-precision policy: log-probabilities in half
    precision are noise.

    Args:
        event_shape: Shape of one example, without the batch axis; a number d is `(d,)`.
        **kwargs: `name`, `dtype` and `trainable`, as of every Keras layer.
    """

    def __init__(self, event_shape: int | tuple[int, ...], **kwargs: Any) -> None:
        kwargs.setdefault("dtype", "float32")
        super().__init__(self._make_distribution, convert_to_tensor_fn=tfd.Distribution.mean, **kwargs)
        self.event_shape = _checks.shape("event_shape", event_shape)

    @property
    @abc.abstractmethod
    def parameter_shape(self) -> tuple[int, ...]:
        """Shape of what the network must put out for one example, without the batch axis."""

    @abc.abstractmethod
    def parameters(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """The distribution's parameters from `[B, *parameter_shape]`, in plain TensorFlow operations.

        Every value broadcasts against `[B, *E]`. This is the map that is exported to ONNX.
        """

    @abc.abstractmethod
    def distribution(self, parameters: dict[str, tf.Tensor]) -> tfd.Distribution:
        """The distribution with these parameters. Its event is the whole example."""

    def build(self, input_shape: Any) -> None:
        """Checks that the network puts out as many numbers as the distribution has parameters."""
        received = tuple(tf.TensorShape(input_shape)[1:])
        if None in received or math.prod(received) != math.prod(self.parameter_shape):
            raise ValueError(
                _checks.problem(
                    f"Input of {type(self).__name__} '{self.name}'",
                    expected=f"{self.parameter_shape} numbers per example ({math.prod(self.parameter_shape)})",
                    received=f"{received}",
                    remedy=f"End the network in a layer with {math.prod(self.parameter_shape)} outputs.",
                )
            )
        super().build(input_shape)

    def from_outputs(self, outputs: tf.Tensor) -> tfd.Distribution:
        """The distributions that the layer makes of a network's outputs, `[B, *parameter_shape]` in any shape."""
        return self.from_parameters(self.parameters(tf.reshape(outputs, (-1, *self.parameter_shape))))

    def from_parameters(self, parameters: dict[str, tf.Tensor]) -> tfd.Distribution:
        """The distribution with these parameters, which `parameters_of` then returns."""
        distribution = self.distribution(parameters)
        distribution.layer_parameters = parameters
        return distribution

    def _make_distribution(self, inputs: tf.Tensor) -> tfd.Distribution:
        return self.from_outputs(inputs)

    @staticmethod
    def parameters_of(distribution: tfd.Distribution) -> dict[str, tf.Tensor]:
        """The `parameters` of a distribution that was returned by a model whose last layer is of this kind."""
        return dict(distribution.layer_parameters)

    def get_config(self) -> dict[str, Any]:
        """Plain JSON: the arguments of the constructor."""
        return keras.layers.Layer.get_config(self)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> DistributionLayer:
        """The layer with these constructor arguments; nothing in `config` is ever executed."""
        return cls(**config)
