"""What is minimised: functions of the per-example terms of the evidence lower bound."""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import tensorflow as tf
import tf_keras as keras
from tensorflow_probability import distributions as tfd

from vae_tf import _checks
from vae_tf._terms import Terms, importance_weighted_bound
from vae_tf.schedules import CyclicalSchedule, LinearSchedule, Progress, Schedule, cyclical, linear, value_at

__all__ = [
    "ELBO",
    "GECO",
    "IWAE",
    "Capacity",
    "CyclicalSchedule",
    "FreeBits",
    "LinearSchedule",
    "Objective",
    "Progress",
    "Schedule",
    "Terms",
    "cyclical",
    "importance_weighted_bound",
    "linear",
    "negative_log_prob",
]


@keras.saving.register_keras_serializable("vae_tf")
def negative_log_prob(x: tf.Tensor, p: tfd.Distribution) -> tf.Tensor:
    """-log p(x) in nats per example, `[B]`, not averaged, every constant included.

    Args:
        x: data `[B, *E]`.
        p: distribution with batch shape [B] and event shape `E`.
    """
    return -p.log_prob(x)


class Objective(abc.ABC):
    """Maps the per-example terms to the per-example loss, `[B]`.

    Attributes:
        num_samples: draws of z for each example in a step.
        needs: names of the optional fields of `Terms` that it uses.
    """

    num_samples: int = 1
    needs: ClassVar[frozenset[str]] = frozenset()

    @abc.abstractmethod
    def __call__(self, terms: Terms, progress: Progress = Progress()) -> tf.Tensor:  # noqa: B008
        """The loss in nats per example, `[B]`, not averaged.

        Args:
            terms: of a batch.
            progress: how far training has come, and the objective's state.
        """

    def initial_state(self) -> dict[str, float]:
        """Names and first values of what the objective keeps between steps; saved with the model."""
        return {}

    def update(self, terms: Terms, state: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The state after a training batch."""
        return {}

    def schedules(self) -> dict[str, Schedule]:
        """The arguments that change during training, by name."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Schedule)}

    def logs(self, progress: Progress) -> dict[str, tf.Tensor]:
        """What the logs of training show of the objective: the present values of its schedules."""
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


@keras.saving.register_keras_serializable("vae_tf")
class ELBO(Objective):
    """-ELBO, or the beta-VAE objective: `distortion + kl_weight * rate`, in nats per example.

    With a Gaussian of fixed sigma0, `kl_weight` = beta is a Gaussian of sigma^2 = beta * sigma0^2 up to a
    common factor: a second name for the same trade-off.

    Args:
        kl_weight: beta >= 0, or a schedule of it; 1 is the evidence lower bound.
        num_samples: draws of z over which the distortion (and a KL without closed form) is averaged.

    Raises:
        ValueError: for a weight that is negative or not finite, or fewer than 1 draws.

    References:
        Higgins et al. 2017, "beta-VAE", eq. 4. Warm-up: Bowman et al. 2016, arXiv 1511.06349.
    """

    def __init__(self, kl_weight: float | Schedule = 1.0, *, num_samples: int = 1) -> None:
        self.kl_weight = _weight("kl_weight", kl_weight, "kl_weight=1 is the evidence lower bound.")
        self.num_samples = _checks.positive_int("num_samples", num_samples)

    def __call__(self, terms: Terms, progress: Progress = Progress()) -> tf.Tensor:  # noqa: B008
        """See Objective.__call__."""
        return terms.distortion + value_at(self.kl_weight, progress) * terms.rate


@keras.saving.register_keras_serializable("vae_tf")
class FreeBits(Objective):
    """`distortion + sum_j max(nats_per_latent, KL_j)`, KL_j the batch's mean KL of latent j.

    A latent whose KL is below the threshold costs the same as one at it, so nothing pushes it to collapse.
    The loss is not a bound of -log p(x); `elbo` in the logs is.

    Args:
        nats_per_latent: threshold, in nats per example and latent; 0 is the ELBO.
        num_samples: draws of z over which the distortion is averaged.

    Raises:
        ValueError: for a threshold that is negative or not finite, or fewer than 1 draws.

    References:
        Kingma et al. 2016, eq. 15 with groups of one latent, arXiv 1606.04934.
    """

    needs = frozenset({"rate_per_latent"})

    def __init__(self, nats_per_latent: float | Schedule, *, num_samples: int = 1) -> None:
        self.nats_per_latent = _weight("nats_per_latent", nats_per_latent, "0.1 to 1 is usual.")
        self.num_samples = _checks.positive_int("num_samples", num_samples)

    def __call__(self, terms: Terms, progress: Progress = Progress()) -> tf.Tensor:  # noqa: B008
        """See Objective.__call__; the second term is the same for all examples of the batch."""
        mean = terms.average(terms.rate_per_latent)
        return terms.distortion + tf.reduce_sum(tf.maximum(mean, value_at(self.nats_per_latent, progress)))


@keras.saving.register_keras_serializable("vae_tf")
class Capacity(Objective):
    """`distortion + gamma * |rate - capacity|`: the KL is held at a capacity, usually raised by a schedule.

    Args:
        capacity: C, in nats per example, or a schedule of it.
        gamma: weight of the deviation.
        num_samples: draws of z over which the distortion is averaged.

    Raises:
        ValueError: for numbers that are negative or not finite, or fewer than 1 draws.

    References:
        Burgess et al. 2018, eq. 8, arXiv 1804.03599.
    """

    def __init__(self, capacity: float | Schedule, gamma: float | Schedule = 1000.0, *, num_samples: int = 1) -> None:
        self.capacity = _weight("capacity", capacity, "Pass the nats that the latents are to carry.")
        self.gamma = _weight("gamma", gamma, "1000 is the published weight.")
        self.num_samples = _checks.positive_int("num_samples", num_samples)

    def __call__(self, terms: Terms, progress: Progress = Progress()) -> tf.Tensor:  # noqa: B008
        """See Objective.__call__."""
        deviation = tf.abs(terms.rate - value_at(self.capacity, progress))
        return terms.distortion + value_at(self.gamma, progress) * deviation


@keras.saving.register_keras_serializable("vae_tf")
class GECO(Objective):
    """`rate + multiplier * (distortion - tolerance)`: the smallest KL at which the distortion is tolerable.

    After each step `log multiplier += speed * clip(c, -1, 1)`, c the running average of the batches'
    `distortion - tolerance`: the multiplier grows while the constraint is violated, and shrinks while it is
    met. It starts at 1, stays in [exp(-10), exp(10)] (a tolerance that cannot be reached would send it to infinity),
    is logged as `multiplier`, and saved with the model.

    Args:
        tolerance: the distortion to be reached, in nats per example.
        speed: of the logarithm of the multiplier, per step.
        decay: of the running average, in [0, 1).
        num_samples: draws of z over which the distortion is averaged.

    Raises:
        ValueError: for a tolerance or speed that is not finite, or fewer than 1 draws.

    References:
        Rezende and Viola 2018, algorithm 1, arXiv 1810.00597; the constraint here is one on -log p(x|z).
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
        return {"log_multiplier": tf.clip_by_value(log_multiplier, -10.0, 10.0), "violation": running}

    def logs(self, progress: Progress) -> dict[str, tf.Tensor]:
        """See Objective.logs; `multiplier` is that of the constraint."""
        return super().logs(progress) | {"multiplier": tf.exp(progress.state["log_multiplier"])}


@keras.saving.register_keras_serializable("vae_tf")
class IWAE(Objective):
    """The negative importance-weighted bound `-log((1/K) sum_k w_k)`, in nats per example.

    Args:
        num_samples: K, draws of z for each example; 1 is the ELBO with a sampled KL.

    Raises:
        ValueError: for fewer than 1 draws.

    References:
        Burda, Grosse, Salakhutdinov 2016, eq. 8, arXiv 1509.00519.
    """

    needs = frozenset({"log_weights"})

    def __init__(self, num_samples: int) -> None:
        self.num_samples = _checks.positive_int("num_samples", num_samples)

    def __call__(self, terms: Terms, progress: Progress = Progress()) -> tf.Tensor:  # noqa: B008
        """See Objective.__call__."""
        return -importance_weighted_bound(terms.log_weights)


def _weight(name: str, value: float | Schedule, remedy: str) -> float | Schedule:
    return value if isinstance(value, Schedule) else _checks.nonnegative_float(name, value, remedy)
