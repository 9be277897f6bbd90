"""The bound: the one function from which every loss, log, score and estimate of this library comes.

ELBO(x) = E_q[log p(x|z)] - KL(q(z|x) || p(z)) <= log p(x), with z ~ q(z|x), in nats per example.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import tensorflow as tf
import tf_keras as keras
from tensorflow_probability import distributions as tfd

from vae_tf import _checks
from vae_tf.likelihoods import Likelihood
from vae_tf.objectives import Objective, Terms, negative_log_prob
from vae_tf.posteriors import Posterior
from vae_tf.priors import Prior


class Parts(Protocol):
    """A model that has a bound: p(z), p(x|z) and q(z|x)."""

    encoder: keras.Model
    decoder: keras.Model
    prior: Prior
    objective: Objective

    @property
    def impossible(self) -> str:
        """The error of a loss that is infinite or NaN."""

    @property
    def posterior(self) -> Posterior:
        """The encoder's last layer."""

    @property
    def likelihood(self) -> Likelihood:
        """The decoder's last layer."""


def bound(
    model: Parts,
    x: tf.Tensor,
    noise: tf.Tensor,
    *,
    target: tf.Tensor | None = None,
    weight: tf.Tensor | None = None,
    q: tfd.Distribution | None = None,
    loss: Callable[[tf.Tensor, tfd.Distribution], tf.Tensor] = negative_log_prob,
    training: bool = False,
) -> tuple[Terms, tfd.Distribution]:
    """The terms of the bound, in nats per example, and the K B distributions p(x|z), draw by draw.

    Args:
        model: The encoder, decoder and prior.
        x: Inputs of the encoder, `[B, *E]`.
        noise: Standard normal noise from which the posterior makes K draws of z, `[K, B, D]`.
        target: Data to be scored, `[B, *E]`; None for the inputs themselves.
        weight: Weights of the examples, `[B]`; None weighs them equally.
        q: Posterior of each example; None for the encoder's.
        loss: Function of (data `[K B, *E]`, p(x|z)) that is taken for -log p(x|z), `[K B]`.
        training: Whether layers such as dropout are in training mode, and the likelihood takes its statistics (an
            optimal sigma above all) from this batch before it is scored.
    """
    q = model.encoder(x, training=training) if q is None else q
    z, log_q = model.posterior.draw(noise, model.posterior.parameters_of(q))  # [K, B, D] and [K, B]
    draws = z.shape[0] or tf.shape(z)[0]
    target = repeated(x if target is None else target, draws)  # [K B, *E]

    p = model.decoder(tf.reshape(z, (-1, z.shape[-1])), training=training)
    p = model.likelihood.given(p, target)
    rate, log_ratio = model.prior.closed_form(q), log_q - model.prior.log_prob(z)
    if training:
        log_weights = log_ratio
        if model.objective.weighs_draws:  # at the scale before the update, as in EM
            before = model.likelihood.from_parameters(model.likelihood.parameters_of(p))
            log_weights = tf.reshape(before.log_prob(target), tf.shape(log_ratio)) - log_ratio
        finite = tf.reduce_all(tf.math.is_finite(log_ratio if rate is None else rate))
        possible = tf.debugging.Assert(finite, [model.impossible])
        with tf.control_dependencies([possible] if possible is not None else []):  # no sigma from a diverged encoder
            p = model.likelihood.update(p, target, draw_weights(model.objective, log_weights, weight))

    distortion = tf.reshape(_one_number_each(loss(target, p)), (draws, -1))  # -log p(x|z), [K, B]
    terms = Terms(
        distortion=tf.reduce_mean(distortion, axis=0),
        rate=tf.reduce_mean(log_ratio, axis=0) if rate is None else rate,
        rate_per_latent=model.prior.rate_per_latent(q),
        log_weights=-distortion - log_ratio,
        log_likelihood=-distortion,
        rate_is_sampled=rate is None,
        weight=weight,
    )
    return terms, p


def repeated(target: tf.Tensor, draws: Any) -> tf.Tensor:
    """`[B, *E]` as `[K B, *E]`, K times the batch; where K is not known before, a single example is not copied."""
    if isinstance(draws, int):
        return target if draws == 1 else tf.tile(target, [draws] + [1] * (target.shape.rank - 1))
    copies = tf.where(tf.shape(target)[0] == 1, 1, draws)  # one example broadcasts against its draws
    return tf.tile(target, [copies] + [1] * (target.shape.rank - 1))


def draw_weights(objective: Objective, log_weights: tf.Tensor, weight: tf.Tensor | None) -> tf.Tensor | None:
    """The weights of the K B distributions in the objective, `[K B]`; None where all count the same.

    Args:
        objective: Objective that is trained.
        log_weights: log p(x|z) + log p(z) - log q(z|x) at each of K draws, `[K, B]`.
        weight: Weights of the examples, `[B]`.
    """
    if not objective.weighs_draws:
        return None if weight is None else tf.tile(weight, tf.shape(log_weights)[:1])
    of_draws = tf.stop_gradient(objective.draw_weights(log_weights))  # [K, B]
    return tf.reshape(of_draws if weight is None else of_draws * weight, [-1])


def _one_number_each(values: Any) -> tf.Tensor:
    if values.shape.rank != 1:
        raise ValueError(
            _checks.problem(
                "Value of the loss",
                expected="one number per example, shape [B]",
                received=f"shape {values.shape}",
                remedy="Return -p.log_prob(x), not averaged.",
            )
        )
    return values
