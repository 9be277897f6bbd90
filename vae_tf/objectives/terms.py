"""The per-example terms of the evidence lower bound, from which every objective is computed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import tensorflow as tf

from vae_tf._means import batch_mean


@dataclass(frozen=True)
class Terms:
    """The two halves of -ELBO in nats per example, not averaged over the batch: `distortion, rate = terms`.

    Attributes:
        distortion: -log p(x|z), `[B]`: at one draw z from q(z|x), or averaged over K draws.
        rate: KL(q(z|x) || p(z)), `[B]`.
        rate_per_latent: KL of each latent's marginal, `[B, D]`, where that has a closed form.
        log_weights: log p(x|z) + log p(z) - log q(z|x) at each of K draws, `[K, B]`.
        log_likelihood: log p(x|z) at each of K draws, `[K, B]`.
        rate_is_sampled: Whether the rate is estimated from the draws, for want of a closed form.
        weight: Weights of the examples, `[B]`; None weighs them equally.
    """

    distortion: tf.Tensor
    rate: tf.Tensor
    rate_per_latent: tf.Tensor | None = None
    log_weights: tf.Tensor | None = None
    log_likelihood: tf.Tensor | None = None
    rate_is_sampled: bool = False
    weight: tf.Tensor | None = None

    @property
    def elbo(self) -> tf.Tensor:
        """The evidence lower bound in nats per example, `[B]`, whatever the objective is."""
        return -self.distortion - self.rate

    @property
    def elbo_per_draw(self) -> tf.Tensor:
        """The bound at each of K draws, `[K, B]`, whose mean is `elbo`; with the KL in closed form where it has one."""
        return self.log_weights if self.rate_is_sampled else self.log_likelihood - self.rate

    @property
    def counts(self) -> tf.Tensor:
        """Whether any example of the batch has a weight."""
        return tf.constant(True) if self.weight is None else tf.reduce_any(self.weight > 0)

    def average(self, values: tf.Tensor) -> tf.Tensor:
        """The mean of values `[B, ...]` over the batch, the examples weighted."""
        return batch_mean(values, self.weight)

    def __iter__(self) -> Iterator[tf.Tensor]:
        return iter((self.distortion, self.rate))


def importance_weighted_bound(log_weights: tf.Tensor) -> tf.Tensor:
    """`log((1/K) sum_k w_k)` in nats per example, `[B]`; in expectation a lower bound of log p(x) that grows with K.

    Args:
        log_weights: log w = log p(x|z) + log p(z) - log q(z|x) at draws z ~ q(z|x), `[K, B]`.

    References:
        Burda, Grosse, Salakhutdinov 2016, eq. 8, arXiv 1509.00519.
    """
    return tf.reduce_logsumexp(log_weights, axis=0) - tf.math.log(tf.cast(tf.shape(log_weights)[0], log_weights.dtype))
