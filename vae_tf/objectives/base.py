"""The contract of an objective, and the default loss of a decoder's output."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any, ClassVar

import tensorflow as tf
import tf_keras as keras
from tensorflow_probability import distributions as tfd

from vae_tf import _checks
from vae_tf.objectives.schedules import Progress, Schedule
from vae_tf.objectives.terms import Terms


@keras.saving.register_keras_serializable("vae_tf")
def negative_log_prob(x: tf.Tensor, p: tfd.Distribution) -> tf.Tensor:
    """-log p(x) in nats per example, `[B]`, not averaged, every constant included.

    Args:
        x: Data `[B, *E]`.
        p: Distribution with batch shape [B] and event shape `E`.
    """
    return -p.log_prob(x)


class Objective(abc.ABC):
    """A map from the per-example terms to the per-example loss, `[B]`.

    Attributes:
        num_samples: Number of draws of z for each example in a step.
        needs: Names of the optional fields of `Terms` that the objective uses.
    """

    num_samples: int = 1
    needs: ClassVar[frozenset[str]] = frozenset()
    weighs_draws: ClassVar[bool] = False
    """Whether the draws of z count differently in the gradient; see `draw_weights`."""

    @abc.abstractmethod
    def __call__(self, terms: Terms, progress: Progress = Progress()) -> tf.Tensor:  # noqa: B008
        """The loss in nats per example, `[B]`, not averaged.

        Args:
            terms: Terms of a batch.
            progress: Number of steps and epochs done, and the objective's state.
        """

    def draw_weights(self, log_weights: tf.Tensor) -> tf.Tensor:
        """The weight of each draw in the gradient of the loss by log p(x|z): `[K, B]`, on average over draws 1.

        An optimal sigma takes the residuals of the draws with these weights, so that it is the maximiser of what is
        trained.

        Args:
            log_weights: log p(x|z) + log p(z) - log q(z|x) at each of K draws, `[K, B]`.
        """
        return tf.ones_like(log_weights)

    def relative_kl_weight(self, progress: Progress) -> Any:
        """The factor of the KL relative to the distortion at present; None where the objective does not weigh it."""
        return None

    def initial_state(self) -> dict[str, float]:
        """Names and first values of the numbers that the objective keeps between steps, saved with the model."""
        return {}

    def update(self, terms: Terms, state: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The objective's state after a training batch."""
        return {}

    def schedules(self) -> dict[str, Schedule]:
        """The arguments that change during training, by name."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Schedule)}

    def logs(self, progress: Progress) -> dict[str, tf.Tensor]:
        """The values that the objective adds to the logs of training: those of its schedules at present."""
        return {name: schedule(progress) for name, schedule in self.schedules().items()}

    def get_config(self) -> dict[str, Any]:
        """Plain JSON: the arguments of the constructor."""
        return {
            name: keras.saving.serialize_keras_object(value) if isinstance(value, Schedule) else value
            for name, value in vars(self).items()
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Objective:
        """The objective with these constructor arguments."""
        return cls(
            **{
                name: keras.saving.deserialize_keras_object(value) if isinstance(value, dict) else value
                for name, value in config.items()
            }
        )


def number_or_schedule(name: str, value: float | Schedule, remedy: str) -> float | Schedule:
    """`value` as a schedule or as a finite float of at least 0, or a ValueError that names `name`."""
    return value if isinstance(value, Schedule) else _checks.nonnegative_float(name, value, remedy)
