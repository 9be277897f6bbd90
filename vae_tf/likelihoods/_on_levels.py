"""Likelihoods on the levels of quantised data: what those of logistics share with Categorical."""

from __future__ import annotations

import abc
import math
from typing import Any

import numpy as np
import tensorflow as tf

from vae_tf.likelihoods._pointwise import PointwiseLikelihood
from vae_tf.likelihoods.levels import Levels

HALF_STEP = 2.0**-25
"""Of uniform float32 noise, which may be 0."""


class OnLevels(PointwiseLikelihood):
    """A likelihood on the levels of quantised data; see DiscretizedLogistic."""

    measure = "mass"

    def __init__(self, event_shape: tuple[int, ...], levels: int | None = None, **kwargs: Any) -> None:
        super().__init__(event_shape, **kwargs)
        self.grid = Levels(levels)
        self.levels = levels
        self.support = self.grid.text

    @abc.abstractmethod
    def log_mass(self, index: tf.Tensor, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """log p(x|z) in nats for each dimension, `[*K, B, *E]`, where x is the level of this number."""

    def pointwise_log_prob(self, x: tf.Tensor, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """See PointwiseLikelihood.pointwise_log_prob."""
        holds = self.grid.holds(x)
        log_mass = self.log_mass(tf.where(holds, self.grid.index(x), 0.0), parameters)
        return tf.where(holds, log_mass, -math.inf)

    @property
    def data_range(self) -> tuple[float, float]:
        """See Likelihood.data_range."""
        return 0.0, self.grid.peak

    def equivalence(self) -> None:
        """None; see Likelihood.equivalence."""

    def check_data(self, x: np.ndarray) -> None:
        """See Likelihood.check_data."""
        super().check_data(x)
        self.grid.check(x, type(self).__name__)

    def get_config(self) -> dict[str, Any]:
        """See DistributionLayer.get_config."""
        return super().get_config() | {"levels": self.levels}


def cumulative(logits: tf.Tensor) -> tf.Tensor:
    """Cumulative probabilities of all classes but the last, float64; `centred` noise passes as many as its class."""
    return tf.cumsum(tf.nn.softmax(tf.cast(logits, tf.float64)), axis=-1)[..., :-1]


def centred(uniform: tf.Tensor) -> tf.Tensor:
    """Uniform float32 noise as float64 inside (0, 1), so that a class without mass is not drawn."""
    return tf.cast(uniform, tf.float64) + HALF_STEP
