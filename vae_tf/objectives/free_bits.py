"""Free bits: an objective with a floor under the KL of each latent, below which nothing is gained."""

from __future__ import annotations

import tensorflow as tf
import tf_keras as keras

from vae_tf import _checks
from vae_tf.objectives.base import Objective, number_or_schedule
from vae_tf.objectives.schedules import Progress, Schedule, value_at
from vae_tf.objectives.terms import Terms


@keras.saving.register_keras_serializable("vae_tf")
class FreeBits(Objective):
    """`distortion + sum_j max(nats_per_latent, KL_j)`, where KL_j is the mean KL of latent j over the batch.

    A latent whose KL is below the threshold costs as much as one at the threshold, so nothing pushes it to collapse.
    The loss is not a bound of -log p(x), but `elbo` in the logs is a bound of log p(x).

    Args:
        nats_per_latent: Threshold in nats per example and latent, or a schedule of it; 0 is the ELBO.
        num_samples: Number of draws of z over which the distortion is averaged.

    Raises:
        ValueError: For a threshold that is negative or not finite, or fewer than 1 draws.

    References:
        Kingma et al. 2016, eq. 15 with groups of one latent, arXiv 1606.04934.
    """

    needs = frozenset({"rate_per_latent"})

    def __init__(self, nats_per_latent: float | Schedule, *, num_samples: int = 1) -> None:
        self.nats_per_latent = number_or_schedule("nats_per_latent", nats_per_latent, "0.1 to 1 is usual.")
        self.num_samples = _checks.positive_int("num_samples", num_samples)

    def __call__(self, terms: Terms, progress: Progress = Progress()) -> tf.Tensor:  # noqa: B008
        """See Objective.__call__; the second term is the same for all examples of the batch."""
        mean = terms.average(terms.rate_per_latent)
        return terms.distortion + tf.reduce_sum(tf.maximum(mean, value_at(self.nats_per_latent, progress)))
