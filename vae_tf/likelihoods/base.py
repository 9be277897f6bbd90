"""What every likelihood has."""

from __future__ import annotations

import abc
from typing import Any, Literal

import numpy as np
import tensorflow as tf
import tf_keras as keras
from tensorflow_probability import distributions as tfd

from vae_tf import _checks
from vae_tf._distribution_layer import DistributionLayer
from vae_tf._means import mean_of_all
from vae_tf.equivalence import PointwiseLoss


class Likelihood(DistributionLayer):
    """p(x|z), a distribution over one example of shape `event_shape`.

    Training keeps a running average of the squared residual `(x - E[x|z])^2` per dimension in the weight
    `running_mse`: the callback reads it, and `scale="optimal"` is its square root. Its first update is the
    first batch's residual; then update n moves it by `max(1/n, 1 - decay)`.

    Args:
        event_shape: shape of one example, without the batch axis, for images `(H, W, C)`.
        decay: of the running average, in [0, 1). 0.95 averages over about 40 batches.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Raises:
        ValueError: for a shape that is not positive, or a decay outside [0, 1).
    """

    measure: Literal["density", "mass"] = "density"
    """Whether log_prob is that of a density on the reals or of a mass on countable values."""
    support: str = "real numbers"
    """The values that x can take, in words."""

    def __init__(self, event_shape: tuple[int, ...], *, decay: float = 0.95, **kwargs: Any) -> None:
        super().__init__(event_shape, **kwargs)
        self.decay = _checks.fraction("decay", decay, "0.95 suits most.")
        self.running_mse = self._statistic("running_mse", 1.0)
        self.update_count = self._statistic("update_count", 0.0)

    def _statistic(self, name: str, value: float, shape: tuple[int, ...] = ()) -> tf.Variable:
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

    @abc.abstractmethod
    def noise(self, rng: np.random.Generator, num_samples: int) -> np.ndarray:
        """Standard noise `[num_samples, ...]` from which `observe` makes a draw of x."""

    @abc.abstractmethod
    def observe(self, noise: tf.Tensor, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """A draw `[B, *E]` of x given the parameters, as a function of noise `[B, ...]` from `noise`."""

    def check_data(self, x: np.ndarray) -> None:
        """Raises ValueError where `x`, `[n, *E]`, has no density or mass under this family."""
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

        Args:
            p: the decoder's output for this batch, batch shape [B].
            x: the data of this batch, `[B, *E]`.
            weight: of the examples, `[B]`; None weighs them equally.
        """
        squared = tf.math.squared_difference(tf.stop_gradient(self._center(p)), x)
        self.update_count.assign_add(1.0)
        self._average(self.running_mse, mean_of_all(squared, weight, self.running_mse))
        return p

    def _center(self, p: tfd.Distribution) -> tf.Tensor:
        """What the residual is taken from: E[x|z], or what is near it where that is slow to compute."""
        return p.mean()

    def _average(self, statistic: tf.Variable, value: tf.Tensor) -> None:
        rate = tf.maximum(1.0 / self.update_count, 1.0 - self.decay)
        statistic.assign_add(rate * (value - statistic))

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
