"""Capacity: an objective that holds the KL at a given value."""

from __future__ import annotations

import tensorflow as tf
import tf_keras as keras

from vae_tf import _checks
from vae_tf.objectives.base import Objective, number_or_schedule
from vae_tf.objectives.schedules import Progress, Schedule, value_at
from vae_tf.objectives.terms import Terms


@keras.saving.register_keras_serializable("vae_tf")
class Capacity(Objective):
    """`distortion + gamma * |rate - capacity|`: the KL is held at a capacity, usually raised by a schedule.

    Args:
        capacity: Capacity C, in nats per example, or a schedule of it.
        gamma: Weight of the deviation, or a schedule of it.
        num_samples: Number of draws of z over which the distortion is averaged.

    Raises:
        ValueError: For numbers that are negative or not finite, or fewer than 1 draws.

    References:
        Burgess et al. 2018, eq. 8, arXiv 1804.03599.
    """

    def __init__(self, capacity: float | Schedule, gamma: float | Schedule = 1000.0, *, num_samples: int = 1) -> None:
        self.capacity = number_or_schedule("capacity", capacity, "Pass the nats that the latents are to carry.")
        self.gamma = number_or_schedule("gamma", gamma, "1000 is the published weight.")
        self.num_samples = _checks.positive_int("num_samples", num_samples)

    def __call__(self, terms: Terms, progress: Progress = Progress()) -> tf.Tensor:  # noqa: B008
        """See Objective.__call__."""
        deviation = tf.abs(terms.rate - value_at(self.capacity, progress))
        return terms.distortion + value_at(self.gamma, progress) * deviation
