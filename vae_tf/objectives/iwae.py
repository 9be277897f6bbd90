"""IWAE: the importance-weighted bound as an objective."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras as keras

from vae_tf import _checks
from vae_tf.objectives.base import Objective
from vae_tf.objectives.schedules import Progress
from vae_tf.objectives.terms import Terms, importance_weighted_bound


@keras.saving.register_keras_serializable("vae_tf")
class IWAE(Objective):
    """The negative importance-weighted bound `-log((1/K) sum_k w_k)`, in nats per example.

    Args:
        num_samples: Number of draws K of z for each example; 1 is the ELBO with a sampled KL.

    Raises:
        ValueError: For fewer than 1 draws.

    References:
        Burda, Grosse, Salakhutdinov 2016, eq. 8, arXiv 1509.00519.
    """

    needs = frozenset({"log_weights"})
    weighs_draws = True

    def __init__(self, num_samples: int) -> None:
        self.num_samples = _checks.positive_int("num_samples", num_samples)

    def relative_kl_weight(self, progress: Progress) -> Any:
        """See Objective.relative_kl_weight; 1."""
        return 1.0

    def __call__(self, terms: Terms, progress: Progress = Progress()) -> tf.Tensor:  # noqa: B008
        """See Objective.__call__."""
        return -importance_weighted_bound(terms.log_weights)

    def draw_weights(self, log_weights: tf.Tensor) -> tf.Tensor:
        """See Objective.draw_weights; the normalised importance weights, times K."""
        return tf.cast(tf.shape(log_weights)[0], log_weights.dtype) * tf.nn.softmax(log_weights, axis=0)
