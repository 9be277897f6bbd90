"""What is minimised: functions of the two per-example terms of the evidence lower bound."""

from __future__ import annotations

import abc
import math
from typing import Any, NamedTuple

import tensorflow as tf
import tf_keras as keras
from tensorflow_probability import distributions as tfd

from vae_tf import _checks

__all__ = ["ELBO", "Objective", "Terms", "negative_log_prob"]


class Terms(NamedTuple):
    """The two halves of -ELBO in nats per example, `[B]` each, not averaged."""

    distortion: tf.Tensor
    """-log p(x|z) at one draw z from q(z|x)."""
    rate: tf.Tensor
    """KL(q(z|x) || p(z))."""


@keras.saving.register_keras_serializable("vae_tf")
def negative_log_prob(x: tf.Tensor, p: tfd.Distribution) -> tf.Tensor:
    """-log p(x) in nats per example, `[B]`, not averaged, every constant included.

    Args:
        x: data `[B, *E]`.
        p: distribution with batch shape [B] and event shape `E`.
    """
    return -p.log_prob(x)


class Objective(abc.ABC):
    """Maps the per-example terms to the per-example loss, `[B]`."""

    @abc.abstractmethod
    def __call__(self, terms: Terms) -> tf.Tensor:
        """The loss in nats per example, `[B]`, not averaged."""

    @abc.abstractmethod
    def get_config(self) -> dict[str, Any]:
        """Plain JSON: the arguments of the constructor."""

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Objective:
        """The objective with these constructor arguments."""
        return cls(**config)


@keras.saving.register_keras_serializable("vae_tf")
class ELBO(Objective):
    """-ELBO, or the beta-VAE objective: `distortion + kl_weight * rate`, in nats per example.

    With a Gaussian of fixed sigma0, `kl_weight` = beta is a Gaussian of sigma^2 = beta * sigma0^2 up to a
    common factor: a second name for the same trade-off.

    Args:
        kl_weight: beta >= 0; 1 is the evidence lower bound.

    Raises:
        ValueError: for a weight that is negative or not finite.

    References:
        Higgins et al. 2017, "beta-VAE", eq. 4.
    """

    def __init__(self, kl_weight: float = 1.0) -> None:
        if not (math.isfinite(kl_weight) and kl_weight >= 0):
            raise ValueError(
                _checks.problem(
                    "kl_weight",
                    expected="a finite number of at least 0",
                    received=repr(kl_weight),
                    remedy="kl_weight=1 is the evidence lower bound.",
                )
            )
        self.kl_weight = float(kl_weight)

    def __call__(self, terms: Terms) -> tf.Tensor:
        """See Objective.__call__."""
        return terms.distortion + self.kl_weight * terms.rate

    def get_config(self) -> dict[str, Any]:
        """See Objective.get_config."""
        return {"kl_weight": self.kl_weight}
