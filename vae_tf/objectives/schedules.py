"""Schedules: numbers that change during training by step or by epoch, such as the warm-up of a KL weight."""

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
    """The point that training has reached."""

    step: tf.Tensor | float = 0.0
    """Number of optimizer steps done."""
    epoch: tf.Tensor | float = 0.0
    """Number of passes over the data done, with fractions."""
    state: Mapping[str, tf.Tensor] = {}
    """Numbers that the objective keeps between steps."""


class Schedule(abc.ABC):
    """A number as a function of steps or epochs.

    Args:
        start: First value, at least 0.
        end: Last value, at least 0.
        length: Number of steps or epochs that the schedule takes.
        unit: Unit of the length, "steps" or "epochs".

    Raises:
        ValueError: For values that are negative or not finite, or a length that is not positive.
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
        """Number of steps or epochs until the value first reaches `end`."""

    @abc.abstractmethod
    def _fraction(self, lengths: tf.Tensor) -> tf.Tensor:
        """The way from start (0) to end (1) that is done after this many lengths."""

    def get_config(self) -> dict[str, Any]:
        """Plain JSON: the arguments of the constructor."""
        return {"start": self.start, "end": self.end, "length": self.length, "unit": self.unit}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Schedule:
        """The schedule with these constructor arguments."""
        return cls(**config)


@keras.saving.register_keras_serializable("vae_tf")
class LinearSchedule(Schedule):
    """A value that goes from `start` to `end` in a straight line over `length` steps or epochs, and then stays.

    Args:
        length: Number of steps or epochs that the warm-up takes.
        unit: Unit of the length, "steps" or "epochs".
        start: First value.
        end: Last value.

    Raises:
        ValueError: As Schedule does.

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
    """A value that rises in a straight line over the first share `rise` of each cycle, and then stays until its end.

    Args:
        length: Number of steps or epochs in one cycle.
        unit: Unit of the length, "steps" or "epochs".
        start: Value at the beginning of each cycle.
        end: Value that the schedule rises to.
        rise: Share of the cycle in which the value rises, in (0, 1].

    Raises:
        ValueError: As Schedule does, and for a share outside (0, 1].

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
