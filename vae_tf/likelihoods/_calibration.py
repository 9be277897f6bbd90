"""The most likely scale for given pairs of p(x|z) and x, from exact means over all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf import _checks
from vae_tf.likelihoods._scales import Settable, Trained
from vae_tf.likelihoods.base import Batches
from vae_tf.likelihoods.levels import Levels

if TYPE_CHECKING:
    from vae_tf.likelihoods._location_scale import LocationScale

_PASSES = 200
_SETTLED = 1e-5
_SLOPES = 0.02, 4.0
_LONGEST_STRIDE = 3.0
_TOO_SHORT_FOR_A_SLOPE = 1e-4


def maximum_likelihood(
    likelihood: LocationScale, scaling: Settable, batches: Batches, weights_follow_scale: bool
) -> tuple[np.ndarray, float]:
    """The scale that maximises the likelihood of the data, of the shape of `likelihood.scale`, and the mean square.

    Where the spread of a residual depends on the scale, the scale is the fixed point of EM steps; for quantised data
    and a trained scale as well, x before it was rounded being what EM fills in. See Likelihood.calibrate.
    """
    rounded = isinstance(likelihood.grid, Levels) and isinstance(scaling, Trained)
    spread_of = _spread_before_rounding if rounded else _spread
    mse = np.array(np.nan)

    def step(scale: np.ndarray) -> np.ndarray:
        nonlocal mse
        scaling.assign(scale)
        mse, spread = _means(likelihood, batches, scale, spread_of)
        return np.maximum(np.maximum(spread, 0.0) ** (1 / likelihood.spread_power), likelihood.min_scale)

    scale = likelihood.scale.numpy().astype(np.float64)
    if rounded or likelihood.spread_needs_scale or weights_follow_scale:
        scale = _fixed_point(step, scale)
    else:
        scale = step(scale)
    return np.maximum(scale, likelihood.min_scale), float(mse)


def _means(
    likelihood: LocationScale,
    batches: Batches,
    scale: np.ndarray,
    spread: Callable[[LocationScale, tfd.Distribution, tf.Tensor, tf.Tensor], tf.Tensor],
) -> tuple[np.ndarray, np.ndarray]:
    """The weighted means of the squared residual, a scalar, and of the spread, of the shape of `scale`; one pass."""
    sums, total = [np.zeros(()), np.zeros(scale.shape)], 0.0
    for p, x, weight in batches():
        x = tf.cast(x, tf.float64)
        weights = np.ones(x.shape[0]) if weight is None else np.asarray(weight, np.float64)
        residual = x - tf.cast(likelihood.center(p), tf.float64)
        for i, values in enumerate((tf.square(residual), spread(likelihood, p, x, tf.constant(scale)))):
            per_dimension = np.tensordot(weights, values.numpy(), 1)
            sums[i] = sums[i] + (per_dimension if sums[i].shape else per_dimension.mean())
        total += weights.sum()
    if not total > 0:
        raise ValueError(
            _checks.problem(
                f"Data for the calibration of {type(likelihood).__name__}",
                expected="examples, some of them with a weight above 0",
                received=f"a total weight of {total:g}",
                remedy="Pass data, and a new iterator at each call.",
            )
        )
    mse, mean = (values / total for values in sums)
    if not np.isfinite(mse):
        raise ValueError(
            _checks.problem(
                f"Data for the calibration of {type(likelihood).__name__}",
                expected="finite residuals",
                received=f"a mean square of {mse:g}",
                remedy="Check the data, and the weights of the model.",
            )
        )
    return mse, mean


def _spread(likelihood: LocationScale, p: tfd.Distribution, x: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    return likelihood.spread(x - tf.cast(likelihood.center(p), tf.float64), scale)


def _spread_before_rounding(
    likelihood: LocationScale, p: tfd.Distribution, x: tf.Tensor, scale: tf.Tensor
) -> tf.Tensor:
    """The expected spread of x before it was rounded, given the level: EM's E-step.

    Given x before rounding, d log p / d log scale is `spread / scale^k - 1`, k the power of the spread. By Fisher's
    identity the expectation of that, given the level, is the derivative of the level's log mass.
    """
    location = tf.cast(likelihood.parameters_of(p)[likelihood.location], tf.float64)
    log_scale = tf.broadcast_to(tf.math.log(scale), tf.shape(x))
    with tf.GradientTape() as tape:
        tape.watch(log_scale)
        log_mass = likelihood.pointwise_log_prob(x, {likelihood.location: location, "scale": tf.exp(log_scale)})
    return scale**likelihood.spread_power * (1 + tape.gradient(log_mass, log_scale))


def _fixed_point(step: Callable[[np.ndarray], np.ndarray], scale: np.ndarray) -> np.ndarray:
    """The scale that `step` leaves where it is, elementwise by the secant method on the log of the scale."""
    position = np.log(scale)
    travelled, last_move, slope = np.zeros_like(position), np.zeros_like(position), np.ones_like(position)
    for _ in range(_PASSES):
        move = np.log(step(np.exp(position))) - position
        far = np.abs(travelled) > _TOO_SHORT_FOR_A_SLOPE
        slope = np.where(far, np.clip((last_move - move) / np.where(far, travelled, 1.0), *_SLOPES), slope)
        travelled, last_move = np.clip(move / slope, -_LONGEST_STRIDE, _LONGEST_STRIDE), move
        position = position + travelled
        if np.abs(travelled).max() < _SETTLED:
            return np.exp(position)
    raise ValueError(
        _checks.problem(
            "Calibration",
            expected=f"a scale that settles within {_PASSES} passes over the data",
            received=f"one that still moves by {np.abs(travelled).max():.1g} of itself",
            remedy="Pass more data, or scale='optimal', which needs one pass.",
        )
    )
