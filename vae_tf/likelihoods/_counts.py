"""Likelihoods of counts: the base class of Poisson and of the negative binomials."""

from __future__ import annotations

import abc
import math
from typing import ClassVar, Literal

import numpy as np
import tensorflow as tf

from vae_tf import _checks
from vae_tf.likelihoods._pointwise import PointwiseLikelihood

_RAREST = 1e-5


class Counts(PointwiseLikelihood):
    """A likelihood of counts, whose draws numpy makes: each has its own generator, of the seed that is its noise."""

    measure: Literal["density", "mass", "score"] = "mass"
    support = "counts"
    encoder_transform = "log1p"
    drawn_from: ClassVar[tuple[str, ...]] = ("mean",)
    """Names of the parameters that `draw_counts` takes; the first has all axes."""

    @abc.abstractmethod
    def log_mass(self, x: tf.Tensor, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """log p(x|z) in nats for each dimension, `[*K, B, *E]`; x are counts, all is in float64."""

    @staticmethod
    @abc.abstractmethod
    def draw_counts(rng: np.random.Generator, *parameters: np.ndarray) -> np.ndarray:
        """Counts for one example, `[*E]`, from its parameters."""

    def pointwise_log_prob(self, x: tf.Tensor, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """See PointwiseLikelihood.pointwise_log_prob."""
        counts = (x >= 0) & (x < math.inf) & (x == tf.round(x))
        wide = {name: tf.cast(value, tf.float64) for name, value in parameters.items()}
        log_mass = self.log_mass(tf.cast(tf.where(counts, x, 0.0), tf.float64), wide)
        return tf.where(counts, tf.cast(log_mass, x.dtype), -math.inf)

    @property
    def data_range(self) -> tuple[float, float]:
        """See Likelihood.data_range; float32 holds every count up to here."""
        return 0.0, 2.0**24

    def equivalence(self) -> None:
        """None; see Likelihood.equivalence."""

    def noise(self, rng: np.random.Generator, num_samples: int) -> np.ndarray:
        """One seed per draw, `[num_samples]`, uint32; see Likelihood.noise."""
        return rng.integers(2**32, size=num_samples, dtype=np.uint32)

    def observe(self, noise: tf.Tensor, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """See Likelihood.observe; numpy draws, so there is no gradient, and no compilation by XLA."""
        noise, mean = tf.convert_to_tensor(noise), parameters[self.drawn_from[0]]
        values = [tf.broadcast_to(parameters[name], tf.shape(mean)) for name in self.drawn_from]
        draws = tf.numpy_function(self._from_seeds, [noise, *values], tf.float32)
        return tf.cast(tf.ensure_shape(draws, noise.shape[:-1].concatenate(mean.shape)), mean.dtype)

    def _from_seeds(self, seeds: np.ndarray, *parameters: np.ndarray) -> np.ndarray:
        draws = np.empty((*seeds.shape, *self.event_shape), np.float32)
        for place, seed in np.ndenumerate(seeds):
            chosen = (value[place[-1]].astype(np.float64) for value in parameters)
            draws[place] = self.draw_counts(np.random.default_rng(int(seed)), *chosen)
        return draws

    def check_data(self, x: np.ndarray) -> None:
        """See Likelihood.check_data."""
        super().check_data(x)
        odd = (x < 0) | (x != np.rint(x))
        if odd.any():
            raise ValueError(
                _checks.problem(
                    f"Data for {type(self).__name__}",
                    expected="whole numbers of at least 0",
                    received=f"values in [{np.min(x):g}, {np.max(x):g}], {np.asarray(x)[odd][0]:g} among them",
                    remedy="Pass raw counts, not normalised and not logged.",
                )
            )


def raw_of(mean: np.ndarray, bend: float) -> np.ndarray:
    """The argument at which `positive` is `mean`; a mean below 1e-5, as of what never occurred, counts as that."""
    mean = np.maximum(mean, _RAREST)
    return np.where(mean > math.exp(bend), bend + mean * math.exp(-bend) - 1, np.log(np.minimum(mean, math.exp(bend))))


def positive(raw: tf.Tensor, bend: float) -> tf.Tensor:
    """exp(raw) up to raw = bend, then on along its tangent: it overflows nowhere, and has a slope everywhere."""
    return tf.exp(tf.minimum(raw, bend)) * (1.0 + tf.nn.relu(raw - bend))
