"""The evidence lower bound, which with a weight on its KL is the beta-VAE's objective."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras as keras

from vae_tf import _checks
from vae_tf.objectives.base import Objective, number_or_schedule
from vae_tf.objectives.schedules import Progress, Schedule, value_at
from vae_tf.objectives.terms import Terms


@keras.saving.register_keras_serializable("vae_tf")
class ELBO(Objective):
    """-ELBO, or the beta-VAE objective: `distortion + kl_weight * rate`, in nats per example.

    For a Gaussian likelihood of fixed sigma0, training with `kl_weight` = beta is the same, up to a common factor and a
    constant, as training with sigma^2 = beta * sigma0^2 and a KL weight of 1: beta and sigma set one trade-off.

    Args:
        kl_weight: Weight of the KL, beta >= 0, or a schedule of it; 1 is the evidence lower bound.
        num_samples: Number of draws of z over which the distortion (and a KL without closed form) is averaged.

    Raises:
        ValueError: For a weight that is negative or not finite, or fewer than 1 draws.

    References:
        Higgins et al. 2017, "beta-VAE", eq. 4. Warm-up: Bowman et al. 2016, arXiv 1511.06349.
    """

    def __init__(self, kl_weight: float | Schedule = 1.0, *, num_samples: int = 1) -> None:
        self.kl_weight = number_or_schedule("kl_weight", kl_weight, "kl_weight=1 is the evidence lower bound.")
        self.num_samples = _checks.positive_int("num_samples", num_samples)

    def relative_kl_weight(self, progress: Progress) -> Any:
        """See Objective.relative_kl_weight; the KL weight."""
        return value_at(self.kl_weight, progress)

    def __call__(self, terms: Terms, progress: Progress = Progress()) -> tf.Tensor:  # noqa: B008
        """See Objective.__call__."""
        return terms.distortion + value_at(self.kl_weight, progress) * terms.rate
