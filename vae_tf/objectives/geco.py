"""GECO: an objective that looks for the smallest KL at which the distortion is tolerable."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tf_keras as keras

from vae_tf import _checks
from vae_tf.objectives.base import Objective
from vae_tf.objectives.schedules import Progress
from vae_tf.objectives.terms import Terms


@keras.saving.register_keras_serializable("vae_tf")
class GECO(Objective):
    """`rate + multiplier * (distortion - tolerance)`: the smallest KL at which the distortion is tolerable.

    After each step `log multiplier += speed * clip(c, -1, 1)`, where c is the running average of the batches'
    `distortion - tolerance`. So the multiplier grows while the constraint is violated, and shrinks while it is met.
    It starts at 1 and stays in [exp(-10), exp(10)], because a tolerance that cannot be reached would send it to
    infinity. It is logged as `multiplier` and saved with the model.

    Args:
        tolerance: Distortion to be reached, in nats per example.
        speed: Greatest change of the multiplier's logarithm in a step.
        decay: Decay of the running average, in [0, 1).
        num_samples: Number of draws of z over which the distortion is averaged.

    Raises:
        ValueError: For a tolerance that is not finite, a speed that is not positive, a decay outside [0, 1), or fewer
            than 1 draws.

    References:
        Rezende and Viola 2018, algorithm 1, arXiv 1810.00597. The constraint here is one on -log p(x|z).
    """

    def __init__(self, tolerance: float, *, speed: float = 0.01, decay: float = 0.9, num_samples: int = 1) -> None:
        self.tolerance = _checks.finite_float("tolerance", tolerance)
        self.speed = _checks.positive_float("speed", speed)
        self.decay = _checks.fraction("decay", decay)
        self.num_samples = _checks.positive_int("num_samples", num_samples)

    def initial_state(self) -> dict[str, float]:
        """See Objective.initial_state."""
        return {"log_multiplier": 0.0, "violation": math.nan}

    def __call__(self, terms: Terms, progress: Progress = Progress()) -> tf.Tensor:  # noqa: B008
        """See Objective.__call__."""
        multiplier = tf.exp(progress.state.get("log_multiplier", 0.0))
        return terms.rate + multiplier * (terms.distortion - self.tolerance)

    def update(self, terms: Terms, state: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """See Objective.update."""
        violation = terms.average(terms.distortion) - self.tolerance
        running = self.decay * state["violation"] + (1 - self.decay) * violation
        running = tf.where(tf.math.is_nan(running), violation, running)  # the first batch
        log_multiplier = state["log_multiplier"] + self.speed * tf.clip_by_value(running, -1.0, 1.0)
        new = {"log_multiplier": tf.clip_by_value(log_multiplier, -10.0, 10.0), "violation": running}
        return {name: tf.where(terms.counts, value, state[name]) for name, value in new.items()}

    def relative_kl_weight(self, progress: Progress) -> Any:
        """See Objective.relative_kl_weight; one over the multiplier."""
        return tf.exp(-progress.state["log_multiplier"])

    def logs(self, progress: Progress) -> dict[str, tf.Tensor]:
        """See Objective.logs; `multiplier` is the factor of the constraint."""
        return super().logs(progress) | {"multiplier": tf.exp(progress.state["log_multiplier"])}
