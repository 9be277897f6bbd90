"""The logistic distribution on levels, for DiscretizedLogistic and MixtureOfLogistics."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from vae_tf.likelihoods import _links
from vae_tf.likelihoods._uniform import HALF_STEP
from vae_tf.likelihoods.levels import Levels


def scale_from(raw: tf.Tensor, levels: Levels) -> tf.Tensor:
    """The scale that a network output stands for: `peak * softplus(raw)`, and a tenth of a bin."""
    return levels.peak * tf.math.softplus(raw) + 0.1 * levels.width


def outputs_of(
    mean: np.ndarray, std: np.ndarray, levels: Levels, components: int = 1
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Outputs at which the mean before rounding is `mean`, for components side by side over the width of the data.

    Args:
        mean: Means `[*E]`.
        std: Standard deviations `[*E]`; together the components span about that of a uniform distribution.
        levels: Levels of the data.
        components: Number K of logistics of equal weight.

    Returns:
        Four arrays `[*E, K]`: locations and raw scales, each with its step; locations in units of the peak.
    """
    offsets = std[..., None] * (math.sqrt(12) * ((np.arange(components) + 0.5) / components - 0.5))
    scale = np.maximum(std[..., None] * math.sqrt(3) / math.pi / components, levels.width)

    def mean_at(location: np.ndarray) -> np.ndarray:
        places = (location[..., None] + offsets) / scale
        upper = np.logaddexp(0, places - levels.peak / scale)
        return np.mean(scale * (np.logaddexp(0, places) - upper), axis=-1)

    location = _links.inverse(mean_at, levels.inside(mean), *levels.wide)
    above = (scale - 0.1 * levels.width) / levels.peak
    return (
        (location[..., None] + offsets) / levels.peak,
        np.broadcast_to(std[..., None] / levels.peak, offsets.shape),
        np.broadcast_to(_links.inverse_softplus(above), offsets.shape),
        np.broadcast_to(_links.softplus_step(above), offsets.shape),
    )


def log_mass(index: tf.Tensor, loc: tf.Tensor, scale: tf.Tensor, levels: Levels) -> tf.Tensor:
    """log of the logistic's mass in the bin of a level, in nats; the outer bins are open.

    It is Levels.log_bin_mass in a form that only the logistic has, and that needs no float64: a mixture takes it for
    each component. With the bin's edges at a and b in units of the scale, sigmoid(b) - sigmoid(a) is
    `sigmoid(b) sigmoid(-a) (1 - exp(a - b))`: three factors below 1, whose logs do not cancel. The distance of
    the level from loc is taken in float64, as float32 rounds k / 255 by more than a narrow scale forgives.
    """
    distance = tf.cast(index, tf.float64) * levels.width - tf.cast(loc, tf.float64)
    distance = tf.cast(distance, loc.dtype)
    log_below = -tf.math.softplus((-0.5 * levels.width - distance) / scale)
    log_above = -tf.math.softplus((distance - 0.5 * levels.width) / scale)
    inner = log_below + log_above + _log1mexp(levels.width / scale)
    return tf.where(index < 0.5, log_below, tf.where(index > levels.count - 1.5, log_above, inner))


def above(t: tf.Tensor) -> tf.Tensor:
    """P(eps > t), eps standard logistic."""
    return tf.sigmoid(-t)


def clipped_mean(loc: tf.Tensor, scale: tf.Tensor, levels: Levels) -> tf.Tensor:
    """The mean before rounding: E[X] of the logistic with what lies beyond the outer levels moved onto them."""
    return scale * (tf.math.softplus(loc / scale) - tf.math.softplus((loc - levels.peak) / scale))


def quantile(uniform: tf.Tensor, loc: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    """The logistic's value at a uniform number in [0, 1)."""
    uniform = tf.maximum(tf.cast(uniform, loc.dtype), HALF_STEP)
    return loc + scale * (tf.math.log(uniform) - tf.math.log1p(-uniform))


def _log1mexp(x: tf.Tensor) -> tf.Tensor:
    """log(1 - exp(-x)) for x > 0; the branch that is not taken stays finite, and so does its gradient."""
    small = x < math.log(2)
    near = tf.math.log(-tf.math.expm1(-tf.where(small, x, 1.0)))
    far = tf.math.log1p(-tf.exp(-tf.where(small, 1.0, x)))
    return tf.where(small, near, far)
