"""The ways to choose the scale of a likelihood: each has a value, an update from the residuals, and a configuration."""

from __future__ import annotations

import abc
import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import tensorflow as tf
import tf_keras as keras

from vae_tf import _checks
from vae_tf._means import batch_mean, mean_of_all
from vae_tf.likelihoods import _links

if TYPE_CHECKING:
    from vae_tf.likelihoods._location_scale import LocationScale


class Scale(abc.ABC):
    """The scale of a likelihood, sigma for a Gaussian, chosen in one way.

    Args:
        likelihood: Layer to which the weights of the scale belong.
    """

    outputs: ClassVar[int] = 1
    """Numbers per dimension that the network puts out: the location, and the scale if it is the network's."""
    is_one_number: ClassVar[bool] = True
    """Whether it is the same number for all dimensions and all examples."""
    follows_updates: ClassVar[bool] = False
    """Whether it moves by `update` alone, and not by the optimizer."""
    spread: tf.Variable | None = None
    """The running average of the likelihood's `spread`, where the scale is made of it."""

    def __init__(self, likelihood: LocationScale) -> None:
        self.likelihood = likelihood

    @property
    @abc.abstractmethod
    def value(self) -> tf.Tensor:
        """The present scale, a scalar or `[*E]`."""

    @property
    def precision(self) -> tf.Tensor:
        """1/scale^2, of the shape of `value`."""
        return 1 / tf.square(self.value)

    def split(self, inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Location and scale of each dimension from the network's outputs."""
        return inputs, self.value

    def update(self, residual: tf.Tensor, scale: tf.Tensor, weight: tf.Tensor | None) -> tf.Tensor:
        """Takes in a training batch, and returns the scale at which its loss is to be computed.

        Args:
            residual: Differences between the data and the locations, `[B, *E]`.
            scale: The scale so far, as `split` returned it.
            weight: Weights of the examples, `[B]`; None weighs them equally.
        """
        return scale

    @abc.abstractmethod
    def start_at(self, value: np.ndarray) -> None:
        """Makes `value`, `[*E]`, the scale before the first update, where there is a scale to choose."""

    def outputs_at(self, value: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """The network's outputs, beside the location, that make the scale `value`; see Likelihood.outputs_at."""
        return []

    @abc.abstractmethod
    def get_config(self) -> dict[str, Any]:
        """The arguments of the likelihood's constructor that make this scale."""


class Fixed(Scale):
    """A number that never changes."""

    def __init__(self, likelihood: LocationScale, number: float) -> None:
        super().__init__(likelihood)
        self.number = number

    @property
    def value(self) -> tf.Tensor:
        """See Scale.value."""
        return tf.constant(self.number, self.likelihood.compute_dtype)

    def start_at(self, value: np.ndarray) -> None:
        """See Scale.start_at; the number stays."""

    def get_config(self) -> dict[str, Any]:
        """See Scale.get_config."""
        return {"scale": self.number}


class PerPixel(Scale):
    """The network puts out the scale of every dimension of every example, `min_scale + softplus(raw)`.

    The value is an average over the examples of the last training batches.
    """

    outputs = 2
    is_one_number = False

    def __init__(self, likelihood: LocationScale) -> None:
        super().__init__(likelihood)
        self._mean = likelihood.statistic("running_scale", 1.0, likelihood.event_shape)
        self._mean_precision = likelihood.statistic("running_precision", 1.0, likelihood.event_shape)

    @property
    def value(self) -> tf.Tensor:
        """See Scale.value."""
        return tf.convert_to_tensor(self._mean)

    @property
    def precision(self) -> tf.Tensor:
        """The average of 1/scale^2 over the examples of the last training batches, `[*E]`."""
        return tf.convert_to_tensor(self._mean_precision)

    def split(self, inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """See Scale.split."""
        location, raw = tf.split(inputs, 2, axis=-1)
        return location, self.likelihood.min_scale + tf.math.softplus(raw)

    def update(self, residual: tf.Tensor, scale: tf.Tensor, weight: tf.Tensor | None) -> tf.Tensor:
        """See Scale.update."""
        now = tf.stop_gradient(scale)
        for statistic, values in ((self._mean, now), (self._mean_precision, 1 / tf.square(now))):
            statistic.assign_add(self.likelihood.step_towards(batch_mean(values, weight, statistic), statistic))
        return scale

    def start_at(self, value: np.ndarray) -> None:
        """See Scale.start_at; the averages that stand for the scale of the network."""
        self._mean.assign(value)
        self._mean_precision.assign(1 / np.square(value))

    def outputs_at(self, value: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """See Scale.outputs_at."""
        above = value - self.likelihood.min_scale
        return [(_links.inverse_softplus(above), _links.softplus_step(above))]

    def get_config(self) -> dict[str, Any]:
        """See Scale.get_config."""
        return {"scale": "per_pixel"}


class Settable(Scale):
    """A scale that is kept in a weight, and can be assigned."""

    @abc.abstractmethod
    def assign(self, value: np.ndarray) -> None:
        """Makes `value`, of the shape of the scale and at least `min_scale`, the scale."""


class Optimal(Settable):
    """The scale that the residuals of the last training batches call for: the M-step of the likelihood.

    It is `scale_from_spread` of a running average of the likelihood's `spread`, and at least `min_scale`.
    """

    follows_updates = True
    spread: tf.Variable

    def __init__(self, likelihood: LocationScale) -> None:
        super().__init__(likelihood)
        name = likelihood.spread_name
        self.spread = likelihood.running_mse if name is None else likelihood.statistic(name, 1.0)

    @property
    def value(self) -> tf.Tensor:
        """See Scale.value."""
        return tf.maximum(self.likelihood.scale_from_spread(self.spread), self.likelihood.min_scale)

    def update(self, residual: tf.Tensor, scale: tf.Tensor, weight: tf.Tensor | None) -> tf.Tensor:
        """See Scale.update."""
        spread = self.likelihood.spread(residual, self.value)
        mean = mean_of_all(spread, weight, self.spread)
        self.spread.assign_add(self.likelihood.step_towards(mean, self.spread))
        return self.value

    def assign(self, value: np.ndarray) -> None:
        """See Settable.assign; the next batch moves it as if the average had long stood there."""
        self.spread.assign(value**self.likelihood.spread_power)
        self.likelihood.update_count.assign(1 / (1 - self.likelihood.decay))

    def start_at(self, value: np.ndarray) -> None:
        """See Scale.start_at; the first batch replaces it."""
        self.spread.assign(np.mean(value**self.likelihood.spread_power))

    def get_config(self) -> dict[str, Any]:
        """See Scale.get_config."""
        return {"scale": "optimal"}


class Trained(Settable):
    """A scale whose logarithm, over `multiplier`, is a weight that the optimizer trains, from a scale of 1."""

    word: ClassVar[str]
    """The name of this way to choose a scale."""

    def __init__(self, likelihood: LocationScale, multiplier: float) -> None:
        super().__init__(likelihood)
        self._multiplier = multiplier
        lowest = math.log(likelihood.min_scale)
        self.log_scale = likelihood.add_weight(
            "log_scale",
            shape=self.shape(likelihood.event_shape),
            initializer=keras.initializers.Constant(max(0.0, lowest) / multiplier),
            constraint=AtLeast(lowest / multiplier),
        )

    @staticmethod
    @abc.abstractmethod
    def shape(event_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the scale."""

    @property
    def value(self) -> tf.Tensor:
        """See Scale.value."""
        return tf.exp(self._multiplier * self.log_scale)

    def assign(self, value: np.ndarray) -> None:
        """See Settable.assign."""
        self.log_scale.assign(np.log(value) / self._multiplier)

    def start_at(self, value: np.ndarray) -> None:
        """See Scale.start_at; where there is one number, it is the root of the mean square."""
        self.assign(np.broadcast_to(np.sqrt(np.mean(value**2)), ()) if self.is_one_number else value)

    def lower_floor(self) -> None:
        """Takes over a `min_scale` of the likelihood that has become smaller."""
        self.log_scale.constraint.minimum = math.log(self.likelihood.min_scale) / self._multiplier

    def get_config(self) -> dict[str, Any]:
        """See Scale.get_config."""
        return {"scale": self.word, "learning_rate_multiplier": self._multiplier}


class Learned(Trained):
    """One trained number for all dimensions."""

    word = "learned"

    @staticmethod
    def shape(event_shape: tuple[int, ...]) -> tuple[int, ...]:
        """See Trained.shape."""
        return ()


class PerDimension(Trained):
    """A trained number for each dimension."""

    word = "per_dimension"
    is_one_number = False

    @staticmethod
    def shape(event_shape: tuple[int, ...]) -> tuple[int, ...]:
        """See Trained.shape."""
        return event_shape


class AtLeast(keras.constraints.Constraint):
    """The projection of a weight to at least `minimum`, so that a scale at its floor can leave it again."""

    def __init__(self, minimum: float) -> None:
        self.minimum = minimum

    def __call__(self, w: tf.Tensor) -> tf.Tensor:
        return tf.maximum(w, tf.cast(self.minimum, w.dtype))


_TRAINED = {"learned": Learned, "per_dimension": PerDimension}
_WORDS = {**_TRAINED, "optimal": Optimal, "per_pixel": PerPixel}


def make_scale(scale: float | str, likelihood: LocationScale, learning_rate_multiplier: float) -> Scale:
    """The scale of a likelihood, from the arguments of its constructor.

    Raises:
        ValueError: For a scale that is neither a positive number nor one of the words, and for a multiplier that is
            not positive, or that stands beside a scale without a learning rate.
    """
    remedies = "Pass sigma > 0 in the data's units, or scale='optimal'.", "scale='optimal' suits most data."
    scale = _checks.positive_float_or_word("scale", scale, _WORDS, remedies=remedies)
    multiplier = _checks.positive_float("learning_rate_multiplier", learning_rate_multiplier)
    if scale in _TRAINED:
        return _TRAINED[scale](likelihood, multiplier)
    if multiplier != 1:
        raise ValueError(
            _checks.problem(
                "learning_rate_multiplier",
                expected='scale="learned" or "per_dimension" beside it, which the optimizer trains',
                received=f"learning_rate_multiplier={multiplier:g} and scale={scale!r}",
                remedy="Leave it out, or choose one of the two.",
            )
        )
    return Fixed(likelihood, scale) if isinstance(scale, float) else _WORDS[scale](likelihood)
