"""Objectives: the losses that training minimises, as functions of the per-example terms of the evidence lower bound."""

from vae_tf.objectives.base import Objective, negative_log_prob
from vae_tf.objectives.capacity import Capacity
from vae_tf.objectives.elbo import ELBO
from vae_tf.objectives.free_bits import FreeBits
from vae_tf.objectives.geco import GECO
from vae_tf.objectives.iwae import IWAE
from vae_tf.objectives.schedules import CyclicalSchedule, LinearSchedule, Progress, Schedule, cyclical, linear
from vae_tf.objectives.terms import Terms, importance_weighted_bound

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
