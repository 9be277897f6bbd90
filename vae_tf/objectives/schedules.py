"""Numbers that change during training, by step or by epoch: the warm-up of a KL weight, a growing capacity."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import tensorflow as tf
import tf_keras as keras

from vae_tf import _checks

__all__ = ["CyclicalSchedule", "LinearSchedule", "Progress", "Schedule", "cyclical", "linear", "value_at"]

Unit = Literal["steps", "epochs"]


class Progress(NamedTuple):
    """How far training has come."""

    step: tf.Tensor | float = 0.0
    """Optimizer steps done."""
    epoch: tf.Tensor | float = 0.0
    """Passes over the data done, with fractions."""
    state: Mapping[str, tf.Tensor] = {}
    """What the objective keeps between steps."""


class Schedule(abc.ABC):
    """A number as a function of steps or epochs.

    Args:
        start: its first value, at least 0.
        end: its last value, at least 0.
        length: how many units it takes.
        unit: "steps" or "epochs".

    Raises:
        ValueError: for values that are negative or not finite, or a length that is not positive.
    """

    def __init__(self, start: float, end: float, length: float, unit: Unit) -> None:
        _checks.one_of("unit", unit, ("steps", "epochs"))
        self.start = _checks.nonnegative_float("start", start)
        self.end = _checks.nonnegative_float("end", end)
        self.length = _checks.positive_float("length", length)
        self.unit = unit

    def __call__(self, progress: Progress) -> tf.Tensor:
        """The value at this point of training, a scalar."""
        done = tf.cast(progress.step if self.unit == "steps" else progress.epoch, tf.float32)
        return self.start + (self.end - self.start) * self._fraction(done / self.length)

    @property
    @abc.abstractmethod
    def warm_up(self) -> float:
        """How many units pass until it first reaches `end`."""

    @abc.abstractmethod
    def _fraction(self, lengths: tf.Tensor) -> tf.Tensor:
        """How far from start (0) to end (1), given how many lengths have passed."""

    def get_config(self) -> dict[str, Any]:
        """Plain JSON: the arguments of the constructor."""
        return {"start": self.start, "end": self.end, "length": self.length, "unit": self.unit}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Schedule:
        """The schedule with these constructor arguments."""
        return cls(**config)


@keras.saving.register_keras_serializable("vae_tf")
class LinearSchedule(Schedule):
    """From `start` to `end` in a straight line over `length` steps or epochs, then `end`.

    Args:
        length: how long the warm-up takes.
        unit: "steps" or "epochs".
        start: first value.
        end: last value.

    Raises:
        ValueError: as Schedule.

    References:
        Bowman et al. 2016, section 3.1, arXiv 1511.06349; Sonderby et al. 2016, arXiv 1602.02282.
    """

    def __init__(self, length: float, unit: Unit = "epochs", *, start: float = 0.0, end: float = 1.0) -> None:
        super().__init__(start, end, length, unit)

    @property
    def warm_up(self) -> float:
        """See Schedule.warm_up."""
        return self.length

    def _fraction(self, lengths: tf.Tensor) -> tf.Tensor:
        return tf.minimum(lengths, 1.0)


@keras.saving.register_keras_serializable("vae_tf")
class CyclicalSchedule(Schedule):
    """Rises in a straight line over the first `rise` of a cycle, stays, and begins anew every `length` units.

    Args:
        length: of one cycle.
        unit: "steps" or "epochs".
        start: value at the beginning of each cycle.
        end: value it rises to.
        rise: share of the cycle in which it rises, in (0, 1].

    Raises:
        ValueError: as Schedule, and for a share outside (0, 1].

    References:
        Fu et al. 2019, eq. 6 and 7, arXiv 1903.10145.
    """

    def __init__(
        self, length: float, unit: Unit = "epochs", *, start: float = 0.0, end: float = 1.0, rise: float = 0.5
    ) -> None:
        super().__init__(start, end, length, unit)
        self.rise = _checks.positive_float("rise", rise)
        if self.rise > 1:
            raise ValueError(
                _checks.problem("rise", expected="a share in (0, 1]", received=repr(rise), remedy="0.5 is usual.")
            )

    @property
    def warm_up(self) -> float:
        """See Schedule.warm_up."""
        return self.rise * self.length

    def _fraction(self, lengths: tf.Tensor) -> tf.Tensor:
        return tf.minimum(tf.math.mod(lengths, 1.0) / self.rise, 1.0)

    def get_config(self) -> dict[str, Any]:
        """See Schedule.get_config."""
        return super().get_config() | {"rise": self.rise}


def value_at(value: float | Schedule, progress: Progress) -> tf.Tensor | float:
    """The number itself, or the schedule's value at this point of training."""
    return value(progress) if isinstance(value, Schedule) else value


linear = LinearSchedule
cyclical = CyclicalSchedule
