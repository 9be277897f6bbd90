"""Discretised logistic: 8-bit images, scored as the whole numbers that they are."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tf_keras as keras
from tensorflow_probability import distributions as tfd

from vae_tf.likelihoods import _logistic
from vae_tf.likelihoods._quantised import OnLevels
from vae_tf.likelihoods.levels import mean_of_levels


@keras.saving.register_keras_serializable("vae_tf")
class DiscretizedLogistic(OnLevels):
    """x = the level nearest to loc(z) + scale(z) * eps, eps standard logistic, independent for each dimension.

    `-log p(x|z) = -sum log(sigmoid((x + w/2 - loc) / s) - sigmoid((x - w/2 - loc) / s))` with levels w apart;
    the lowest level takes all mass below it, the highest all above, so that the masses sum to 1.
    The network puts out two numbers per dimension, twice the channels: `loc = peak * raw`, then
    `scale = peak * softplus(raw) + w / 10`, peak the highest level. Below the floor, a tenth of a bin, all the
    mass is in one bin and nothing is left to learn. Support: the levels; -inf elsewhere.

    Use it for images of 8 bits (or few levels) where a likelihood in bits per dimension is wanted: it is a mass,
    to be compared with other masses without dequantisation. Not for real-valued data, whose values between the
    levels it refuses. Where a pixel may have several likely values, MixtureOfLogistics.

    `mean` is exact, a sum over the levels' edges; `running_mse` takes its residual from the mean of the
    clipped logistic before rounding, which needs no sum.

    Args:
        event_shape: Shape of one example, without the batch axis; a number d is `(d,)`.
        levels: Number L of the levels k / (L - 1) in [0, 1]; None (default) for images as stored, whole numbers 0 to
            255.
        decay: Memory of the running average; see Likelihood.
        **kwargs: As for every Keras layer.

    Raises:
        ValueError: For fewer than 2 levels; when data that are no levels are given to `fit`.

    References:
        Kingma et al. 2016, appendix, arXiv 1606.04934. Salimans et al. 2017, section 2.1, arXiv 1701.05517.
    """

    @property
    def parameter_shape(self) -> tuple[int, ...]:
        """See DistributionLayer.parameter_shape."""
        *outer, last = self.event_shape
        return (*outer, 2 * last)

    def parameters(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """See DistributionLayer.parameters."""
        loc, raw = tf.split(inputs, 2, axis=-1)
        return {"loc": self.grid.peak * loc, "scale": _logistic.scale_from(raw, self.grid)}

    def outputs_at(self, mean: np.ndarray, std: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See Likelihood.outputs_at."""
        loc, loc_step, raw, raw_step = (part[..., 0] for part in _logistic.outputs_of(mean, std, self.grid))
        return np.concatenate([loc, raw], axis=-1), np.concatenate([loc_step, raw_step], axis=-1)

    def log_mass(self, index: tf.Tensor, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """See OnLevels.log_mass."""
        return _logistic.log_mass(index, parameters["loc"], parameters["scale"], self.grid)

    def mean(self, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """See Likelihood.mean."""
        return mean_of_levels(_logistic.above, parameters["loc"], parameters["scale"], self.levels)

    def center(self, p: tfd.Distribution) -> tf.Tensor:
        """See Likelihood.center; the mean before rounding."""
        parameters = self.parameters_of(p)
        return _logistic.clipped_mean(parameters["loc"], parameters["scale"], self.grid)

    def observe(self, noise: tf.Tensor, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """See Likelihood.observe."""
        return self.grid.nearest(_logistic.quantile(noise, parameters["loc"], parameters["scale"]))
