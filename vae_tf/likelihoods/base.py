"""The base class of likelihoods: a distribution p(x|z) as the last layer of a decoder."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable
from typing import Any, Literal

import numpy as np
import tensorflow as tf
import tf_keras as keras
from tensorflow_probability import distributions as tfd

from vae_tf import _checks
from vae_tf._distribution_layer import DistributionLayer
from vae_tf._means import mean_of_all
from vae_tf.equivalence import PointwiseLoss

Batches = Callable[[], Iterable[tuple[tfd.Distribution, tf.Tensor, tf.Tensor | None]]]
"""A function that goes once through the data: for each batch p(x|z), x `[B, *E]`, and weights `[B]` or None."""


class Likelihood(DistributionLayer):
    """p(x|z), a distribution over one example of shape `event_shape`.

    Training keeps a running average of the squared residual `(x - E[x|z])^2` per dimension in the weight
    `running_mse`: the callback reads it, and `scale="optimal"` is its square root. Its first update is the
    first batch's residual; then update n moves it by `max(1/n, 1 - decay)`. Where `trainable` is False nothing moves.

    Args:
        event_shape: Shape of one example, without the batch axis: for images `(H, W, C)`; a number d is `(d,)`.
        decay: Memory of the running average, in [0, 1). 0.95 averages over about 40 batches.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Raises:
        ValueError: For a shape that is not positive, or a decay outside [0, 1).
    """

    measure: Literal["density", "mass", "score"] = "density"
    """The kind of number that log_prob is the logarithm of: a density on the reals, a mass on countable values, or a
    score that is neither (see NegativeBinomial)."""
    support: str = "real numbers"
    """The values that x can take, in words."""
    encoder_transform: str | None = None
    """The transform of x that suits an encoder of such data; None for x as it is. See networks.for_data."""
    locations: int = 0
    """How many numbers, the first of the last axis of the network's outputs, are E[x|z] in the units of the data."""
    has_a_scale_for_each_dimension: bool = False
    """Whether it is a density with a scale of its own for each dimension, which no other dimension holds up."""

    def __init__(self, event_shape: int | tuple[int, ...], *, decay: float = 0.95, **kwargs: Any) -> None:
        super().__init__(event_shape, **kwargs)
        self.decay = _checks.fraction("decay", decay, "0.95 suits most.")
        self.running_mse = self.statistic("running_mse", 1.0)
        self.update_count = self.statistic("update_count", 0.0)

    def statistic(self, name: str, value: float, shape: tuple[int, ...] = ()) -> tf.Variable:
        """A new weight that `update` moves and the optimizer does not, with this first value."""
        return self.add_weight(name, shape=shape, initializer=keras.initializers.Constant(value), trainable=False)

    @property
    def dims(self) -> int:
        """Number of dimensions D of one example."""
        return int(np.prod(self.event_shape))

    @property
    def data_range(self) -> tuple[float, float]:
        """Smallest and largest value that images for this family have."""
        return 0.0, 1.0

    @abc.abstractmethod
    def equivalence(self) -> PointwiseLoss | None:
        """The pointwise loss this likelihood is, with its factor and constant in nats per example.

        `-log_prob == scale_factor * pointwise + constant`, with the pointwise loss summed over the
        dimensions; None where no such form exists.
        """

    def mean(self, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """E[x|z], `[B, *E]`, in plain TensorFlow operations, for ONNX."""
        return parameters["mean"]

    def given(self, p: tfd.Distribution, x: tf.Tensor) -> tfd.Distribution:
        """p(x|z) conditioned on what is known of x besides; p itself, unless the family has such an input."""
        return p

    def outputs_at(self, mean: np.ndarray, std: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The network outputs at which E[x|z] is the mean of the data, and how far a unit of the network moves each.

        A decoder that starts from them need not learn the mean and the units of the data first. A family whose mean
        no output can be said to set returns zeros and ones.

        Args:
            mean: Mean of each dimension over the data, `[*E]`.
            std: Standard deviation of each dimension, above 0, `[*E]`.

        Returns:
            Two arrays of the shape `parameter_shape`: the outputs, and their steps.
        """
        return np.zeros(self.parameter_shape), np.ones(self.parameter_shape)

    def start_at(self, mean: np.ndarray, std: np.ndarray) -> None:
        """Moves the weights of the likelihood, such as its scale, to where they suit data with these statistics.

        Args:
            mean: Mean of each dimension over the data, `[*E]`.
            std: Standard deviation of each dimension, above 0, `[*E]`.

        Raises:
            ValueError: For statistics that the likelihood cannot start from.
        """

    def compare_scale(self, x: np.ndarray) -> None:
        """Warns, once, where the scale that training would start from is far from that of the data `x`, `[n, *E]`."""

    @abc.abstractmethod
    def noise(self, rng: np.random.Generator, num_samples: int) -> np.ndarray:
        """Standard noise `[num_samples, ...]` from which `observe` makes a draw of x."""

    @abc.abstractmethod
    def observe(self, noise: tf.Tensor, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """A draw `[B, *E]` of x given the parameters, as a function of noise `[B, ...]` from `noise`."""

    def check_data(self, x: np.ndarray) -> None:
        """Raises ValueError where `x`, `[n, *E]`, has neither density nor mass under this family."""
        if not np.isfinite(x).all():
            raise ValueError(
                _checks.problem(
                    f"Data for {type(self).__name__}",
                    expected="finite numbers",
                    received=f"{np.count_nonzero(~np.isfinite(x))} values that are NaN or infinite",
                    remedy="Drop or fill them.",
                )
            )

    def update(self, p: tfd.Distribution, x: tf.Tensor, weight: tf.Tensor | None = None) -> tfd.Distribution:
        """Takes one training batch into the running statistics and returns p at the updated parameters.

        A likelihood whose `trainable` is False, or that of a frozen decoder, keeps its statistics: p comes back as it
        is. As for every Keras layer, `trainable` counts from the next `compile` on.

        Args:
            p: Output of the decoder for this batch, batch shape [B].
            x: Data of this batch, `[B, *E]`.
            weight: Weights of the examples, `[B]`; None weighs them equally.
        """
        if not self.trainable:
            return p
        with tf.control_dependencies([x]):  # not where the data end; a batch without weight counts nothing
            self.update_count.assign_add(1.0 if weight is None else tf.cast(tf.reduce_sum(weight) > 0, tf.float32))
        return self.refit(p, x, x - tf.stop_gradient(self.center(p)), weight)

    def refit(
        self, p: tfd.Distribution, x: tf.Tensor, residual: tf.Tensor, weight: tf.Tensor | None
    ) -> tfd.Distribution:
        """Moves the running statistics; a family adds its own. Arguments and result are those of `update`.

        Args:
            p: Output of the decoder for this batch.
            x: Data of this batch.
            residual: Differences between x and `center`, `[B, *E]`, without a gradient.
            weight: Weights of the examples, or None.
        """
        mse = mean_of_all(tf.square(residual), weight, self.running_mse)
        self.running_mse.assign_add(self.step_towards(mse, self.running_mse))
        return p

    def center(self, p: tfd.Distribution) -> tf.Tensor:
        """The values from which residuals are taken, `[B, *E]`: E[x|z], or one near it that is faster to compute."""
        return p.mean()

    def step_towards(self, value: tf.Tensor, statistic: tf.Variable) -> tf.Tensor:
        """The step of a running statistic towards its value in the present batch; 0 where that is not finite."""
        rate = tf.maximum(1.0 / tf.maximum(self.update_count, 1.0), 1.0 - self.decay)
        return tf.where(tf.math.is_finite(value), rate * (value - statistic), tf.zeros_like(statistic))

    def calibrate(self, batches: Batches, *, weights_follow_scale: bool = False) -> None:
        """Sets the scale to its maximum-likelihood value on given data, and `running_mse` to the mean squared residual.

        Args:
            batches: Function that goes through all data: an iterable of (p(x|z), x `[B, *E]`, weights `[B]` or None).
                It is called once, or once for each pass where one does not suffice, the scale found so far being that
                of the likelihood.
            weights_follow_scale: Whether the weights depend on the scale, as importance weights do: then passes are
                repeated until the scale rests.

        Raises:
            ValueError: For a likelihood that has no scale of its own to set, a frozen one, data without weight, and a
                scale that does not come to rest. Nothing has changed then.
        """
        raise ValueError(
            _checks.problem(
                f"Calibration of {type(self).__name__}",
                expected="a likelihood whose scale is a number to be found: Gaussian, Laplace or StudentT",
                received="one without a scale",
                remedy="There is nothing to calibrate.",
            )
        )

    def get_config(self) -> dict[str, Any]:
        """See DistributionLayer.get_config."""
        return super().get_config() | {"event_shape": list(self.event_shape), "decay": self.decay}


def check_unit_interval(x: np.ndarray, family: str) -> None:
    """Raises ValueError where `x` holds values outside [0, 1]."""
    if np.min(x) < 0 or np.max(x) > 1:
        raise ValueError(
            _checks.problem(
                f"Data for {family}",
                expected="values in [0, 1]",
                received=f"values in [{np.min(x):g}, {np.max(x):g}]",
                remedy="Scale the data to [0, 1], or use Gaussian.",
            )
        )
