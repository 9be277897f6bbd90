"""Mixture of discretised logistics: 8-bit images whose pixels have several likely values."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras
from tensorflow_probability import distributions as tfd

from vae_tf import _checks
from vae_tf.likelihoods import _logistic
from vae_tf.likelihoods._quantised import OnLevels
from vae_tf.likelihoods._uniform import centred, cumulative
from vae_tf.likelihoods.levels import mean_of_levels


@keras.saving.register_keras_serializable("vae_tf")
class MixtureOfLogistics(OnLevels):
    """x = the level nearest to a draw of one of K logistics, picked by weights; each dimension has its own K.

    `-log p(x|z) = -sum log sum_k weight_k m_k(x)`, m_k the mass that the k-th logistic has in the bin of x: see
    DiscretizedLogistic. The dimensions are independent given z: there is no autoregression, neither over pixels
    nor over the channels of one, as PixelCNN++ has.
    The network puts out 3 K numbers per dimension: K logits, whose softmax are the weights; K locations,
    `loc_k = peak * (raw + (k + 1/2) / K)` for k = 0 to K - 1, spread over the levels so that the components start
    apart; K scales, `peak * softplus(raw) + w / 10` with levels w apart. Support: the levels; -inf elsewhere.

    Use it as DiscretizedLogistic, where one bump per pixel is too few: much black beside some grey, say.
    It costs K times the time and memory; 5 to 10 components are usual.

    Args:
        event_shape: Shape of one example, without the batch axis; a number d is `(d,)`.
        components: Number K of the logistics.
        levels: Number L of the levels k / (L - 1) in [0, 1]; None (default) for images as stored, whole numbers 0 to
            255.
        decay: Memory of the running average; see Likelihood.
        **kwargs: As for every Keras layer.

    Raises:
        ValueError: For no components, or fewer than 2 levels; when data that are no levels are given to `fit`.

    References:
        Salimans et al. 2017, section 2.1, arXiv 1701.05517.
    """

    def __init__(
        self, event_shape: int | tuple[int, ...], components: int, levels: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(event_shape, levels, **kwargs)
        if components == 0:
            raise ValueError(
                _checks.problem(
                    "components",
                    expected="a whole number of at least 1",
                    received="0, a mixture of zero components",
                    remedy="Pass components=5, say.",
                )
            )
        self.components = _checks.positive_int("components", components)

    @property
    def parameter_shape(self) -> tuple[int, ...]:
        """See DistributionLayer.parameter_shape."""
        *outer, last = self.event_shape
        return (*outer, 3 * self.components * last)

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """Two uniform numbers per dimension: one picks the component, one is the logistic's."""
        return (*self.event_shape, 2)

    def parameters(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """`logits`, `locs` and `scales`, `[B, *E, K]` each; see DistributionLayer.parameters."""
        logits, locs, raw = tf.split(tf.reshape(inputs, (-1, *self.event_shape, 3 * self.components)), 3, axis=-1)
        spread = tf.constant((np.arange(self.components) + 0.5) / self.components, locs.dtype)
        return {
            "logits": logits,
            "locs": self.grid.peak * (locs + spread),
            "scales": _logistic.scale_from(raw, self.grid),
        }

    def outputs_at(self, mean: np.ndarray, std: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See Likelihood.outputs_at; the components have equal weights, and lie side by side about the mean."""
        locs, locs_step, raw, raw_step = _logistic.outputs_of(mean, std, self.grid, self.components)
        locs = locs - (np.arange(self.components) + 0.5) / self.components
        outputs = np.concatenate([np.zeros_like(locs), locs, raw], axis=-1)
        steps = np.concatenate([np.ones_like(locs), locs_step, raw_step], axis=-1)
        return outputs.reshape(self.parameter_shape), steps.reshape(self.parameter_shape)

    def log_mass(self, index: tf.Tensor, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """See OnLevels.log_mass; the sum over components is in float64, as its log may be close to 0."""
        masses = _logistic.log_mass(index[..., None], parameters["locs"], parameters["scales"], self.grid)
        log_weights = tf.nn.log_softmax(tf.cast(parameters["logits"], tf.float64))
        return tf.cast(tf.reduce_logsumexp(log_weights + tf.cast(masses, tf.float64), axis=-1), masses.dtype)

    def mean(self, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """See Likelihood.mean."""
        weights = tf.nn.softmax(parameters["logits"])
        return mean_of_levels(_logistic.above, parameters["locs"], parameters["scales"], self.levels, weights)

    def center(self, p: tfd.Distribution) -> tf.Tensor:
        """See Likelihood.center; the mean before rounding."""
        parameters = self.parameters_of(p)
        means = _logistic.clipped_mean(parameters["locs"], parameters["scales"], self.grid)
        return tf.reduce_sum(tf.nn.softmax(parameters["logits"]) * means, axis=-1)

    def observe(self, noise: tf.Tensor, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """See Likelihood.observe."""
        noise = tf.convert_to_tensor(noise)
        passed = centred(noise[..., :1]) >= cumulative(parameters["logits"])
        pick = tf.reduce_sum(tf.cast(passed, tf.int32), axis=-1)
        chosen = tf.one_hot(pick, self.components, dtype=parameters["locs"].dtype)
        loc, scale = (tf.reduce_sum(chosen * parameters[name], axis=-1) for name in ("locs", "scales"))
        return self.grid.nearest(_logistic.quantile(noise[..., 1], loc, scale))

    def get_config(self) -> dict[str, Any]:
        """See DistributionLayer.get_config."""
        return super().get_config() | {"components": self.components}
