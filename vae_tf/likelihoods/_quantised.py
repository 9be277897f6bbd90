"""Likelihoods whose data may be levels: their range, their check and their configuration, written once."""

from __future__ import annotations

import abc
from typing import Any

import numpy as np
import tensorflow as tf

from vae_tf.likelihoods._pointwise import PointwiseLikelihood
from vae_tf.likelihoods.levels import Levels, Reals


class OnGrid(PointwiseLikelihood):
    """A likelihood of the values on a grid.

    Args:
        event_shape: Shape of one example, without the batch axis.
        grid: Values that x can take: levels, or all real numbers.
        **kwargs: As for Likelihood.
    """

    grid: Levels | Reals

    def __init__(self, event_shape: int | tuple[int, ...], grid: Levels | Reals, **kwargs: Any) -> None:
        super().__init__(event_shape, **kwargs)
        self.grid = grid
        self.measure = "mass" if isinstance(grid, Levels) else "density"
        self.support = grid.text

    @property
    def levels(self) -> int | None:
        """The number of levels in [0, 1] of the data; None for the whole numbers 0 to 255, and for real numbers."""
        return self.grid.levels

    @property
    def data_range(self) -> tuple[float, float]:
        """See Likelihood.data_range."""
        return 0.0, self.grid.peak

    def check_data(self, x: np.ndarray) -> None:
        """See Likelihood.check_data."""
        super().check_data(x)
        self.grid.check(x, type(self).__name__)

    def get_config(self) -> dict[str, Any]:
        """See DistributionLayer.get_config."""
        return super().get_config() | self.grid.get_config()


class OnLevels(OnGrid):
    """A likelihood on the levels of quantised data; see DiscretizedLogistic.

    Args:
        event_shape: Shape of one example, without the batch axis.
        levels: None for images as stored, whole numbers 0 to 255; L for L levels in [0, 1], k / (L - 1).
        **kwargs: As for Likelihood.
    """

    grid: Levels

    def __init__(self, event_shape: int | tuple[int, ...], levels: int | None = None, **kwargs: Any) -> None:
        super().__init__(event_shape, Levels(levels), **kwargs)

    @abc.abstractmethod
    def log_mass(self, index: tf.Tensor, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """log p(x|z) in nats for each dimension, `[*K, B, *E]`, where x is the level of this number."""

    def pointwise_log_prob(self, x: tf.Tensor, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """See PointwiseLikelihood.pointwise_log_prob."""
        return self.grid.log_prob(x, lambda index: self.log_mass(index, parameters))

    def equivalence(self) -> None:
        """None; see Likelihood.equivalence."""
