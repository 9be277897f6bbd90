"""Categorical: quantised data with one free probability for each level."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tf_keras as keras
from scipy import special

from vae_tf.likelihoods import _links
from vae_tf.likelihoods._quantised import OnLevels
from vae_tf.likelihoods._uniform import centred, cumulative

_STEEPEST = 8.0
"""Largest difference between the logits of neighbouring levels to start from."""


@keras.saving.register_keras_serializable("vae_tf")
class Categorical(OnLevels):
    """x is level k with probability softmax(logits(z))_k, independently for each of the D dimensions.

    `-log p(x|z) = sum(logsumexp(logits) - logits_x)`: the cross-entropy of a classifier of every pixel. The
    network puts out L numbers per dimension, L times the channels. Support: the L levels; -inf elsewhere.

    Use it for few levels, or where the shape of the distribution is not to be prescribed. It knows nothing of
    the order of the levels, and takes 256 outputs for each 8-bit number: DiscretizedLogistic takes 2.

    Args:
        event_shape: Shape of one example, without the batch axis; a number d is `(d,)`.
        levels: Number L of the levels k / (L - 1) in [0, 1]; None (default) for images as stored, whole numbers 0 to
            255.
        decay: Memory of the running average; see Likelihood.
        **kwargs: As for every Keras layer.

    Raises:
        ValueError: For fewer than 2 levels; when data that are no levels are given to `fit`.

    References:
        van den Oord, Kalchbrenner, Kavukcuoglu 2016, "Pixel Recurrent Neural Networks", section 3.3,
        arXiv 1601.06759.
    """

    @property
    def parameter_shape(self) -> tuple[int, ...]:
        """See DistributionLayer.parameter_shape."""
        *outer, last = self.event_shape
        return (*outer, last * self.grid.count)

    def parameters(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """`logits`, `[B, *E, L]`; see DistributionLayer.parameters."""
        return {"logits": tf.reshape(inputs, (-1, *self.event_shape, self.grid.count))}

    def outputs_at(self, mean: np.ndarray, std: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See Likelihood.outputs_at; logits that fall or rise evenly over the levels, the flattest with that mean."""
        places = np.linspace(0, 1, self.grid.count)

        def mean_at(slope: np.ndarray) -> np.ndarray:
            weights = special.softmax(slope[..., None] * places, axis=-1)
            return weights @ places

        target = self.grid.inside(mean) / self.grid.peak
        slope = _links.inverse(mean_at, target, *(self.grid.count * edge for edge in (-_STEEPEST, _STEEPEST)))
        logits = special.log_softmax(slope[..., None] * places, axis=-1)
        return logits.reshape(self.parameter_shape), np.ones(self.parameter_shape)

    def log_mass(self, index: tf.Tensor, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """`(logit_x - top) - log1p(rest)`, `rest` the sum over all logits but the top one: neither term cancels.

        A top logit stands in `rest` as 0 with slope 1, for the gradient that the constant `top` does not pass on.
        See OnLevels.log_mass.
        """
        logits = parameters["logits"]
        logits = logits - tf.stop_gradient(tf.reduce_max(logits, axis=-1, keepdims=True))
        below = logits < 0
        ties = tf.reduce_sum(tf.cast(~below, logits.dtype), axis=-1) - 1.0
        rest = ties + tf.reduce_sum(tf.where(below, tf.exp(logits), logits), axis=-1)
        columns, restore = _columns(tf.cast(index, tf.int32), rest)
        return restore(tf.gather(logits, columns, batch_dims=rest.shape.rank, axis=-1)) - tf.math.log1p(rest)

    def mean(self, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """See Likelihood.mean."""
        logits = parameters["logits"]
        values = self.grid.width * tf.range(self.grid.count, dtype=logits.dtype)
        return tf.reduce_sum(tf.nn.softmax(logits) * values, axis=-1)

    def observe(self, noise: tf.Tensor, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """See Likelihood.observe."""
        logits = parameters["logits"]
        passed = cumulative(logits)
        columns, restore = _columns(centred(noise), passed[..., 0])
        return self.grid.width * tf.cast(restore(tf.searchsorted(passed, columns, side="right")), logits.dtype)


def _columns(values: tf.Tensor, like: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """`[*K, B, *E]`, broadcast against `like` `[B, *E]`, as `[B, *E, n]`, and the function that undoes it."""
    rank = like.shape.rank
    shape = tf.broadcast_dynamic_shape(tf.shape(values), tf.shape(like))
    static = tf.broadcast_static_shape(values.shape, like.shape)
    rows = tf.reshape(tf.broadcast_to(values, shape), tf.concat([[-1], tf.shape(like)], axis=0))

    def restore(columns: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(tf.reshape(tf.transpose(columns, [rank, *range(rank)]), shape), static)

    return tf.transpose(rows, [*range(1, rank + 1), 0]), restore
