"""Training of a linear VAE on the covariance of its data, with the exact objective, at a cost that n does not enter."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from vae_tf import _checks
from vae_tf.objectives import Terms
from vae_tf.training.epochs import arranged
from vae_tf.training.optimizer import fast_on_cpu
from vae_tf.vae import VAE

_DIVERGED = "Training diverged: lower the learning rate, or scale the data."


def fit(
    vae: VAE,
    covariance: np.ndarray,
    mean: np.ndarray,
    steps: int,
    *,
    train_encoder: bool,
    steps_per_epoch: int,
    callbacks: Any,
) -> keras.callbacks.History:
    """Trains a LinearVAE on data of this covariance and mean; see LinearVAE.fit_covariance.

    Args:
        vae: A LinearVAE: it has `linear_gaussian`, `linear_encoder` and `optimal_encoder`.
        covariance: Covariance of the data, `[d, d]`.
        mean: Mean of the data, `[d]`.
        steps: Number of optimizer steps.
        train_encoder: Whether the optimizer moves the encoder, too. Otherwise each step sets it to its optimum.
        steps_per_epoch: Number of steps in an epoch; the last epoch may have fewer.
        callbacks: Keras callbacks, as for `fit`.
    """
    epochs = -(-steps // steps_per_epoch)
    vae.adopt_steps()
    vae.plan(steps_per_epoch, epochs)
    if isinstance(vae.optimizer, keras.optimizers.Optimizer):  # optimizers older than Keras 2.11 build themselves
        vae.optimizer.build(vae.trainable_variables)
    callbacks = arranged(callbacks, vae.objective)
    vae.check_callbacks(callbacks)
    callbacks = keras.callbacks.CallbackList(callbacks, add_history=True, model=vae, epochs=epochs, verbose=0)
    trained = _trained(vae, train_encoder)
    vae.decoder.layers[0].bias.assign(mean)
    train = tf.function(partial(_train, vae, trained, train_encoder))  # traced once for each model
    moment = tf.constant(covariance, tf.float32)
    vae.stop_training = False
    callbacks.on_train_begin()
    for epoch in range(epochs):
        callbacks.on_epoch_begin(epoch)
        count = tf.constant(min(steps_per_epoch, steps - epoch * steps_per_epoch))
        loss = float(train(moment, count))
        if not math.isfinite(loss):
            raise ValueError(_checks.problem("loss", expected="a finite number", received=str(loss), remedy=_DIVERGED))
        if not train_encoder:
            _rotate(vae)
            vae.optimal_encoder(assign=True)
        distortion, rate = vae.linear_gaussian.expected_terms(covariance, *vae.linear_encoder, mean)
        logs = {"loss": loss, "distortion": distortion, "rate": rate, "elbo": -distortion - rate}
        callbacks.on_epoch_end(epoch, logs)
        if vae.stop_training:
            break
    callbacks.on_train_end()
    return vae.history


def _trained(vae: VAE, train_encoder: bool) -> list[tf.Variable]:
    """The weights that the steps move: all trainable ones except the mean and, without train_encoder, the encoder's."""
    encoding, mean = vae.encoder.layers[0], vae.decoder.layers[0].bias
    others = [mean] if train_encoder else [mean, encoding.kernel, encoding.raw_scale]
    trained = [weight for weight in vae.trainable_variables if all(weight is not other for other in others)]
    if not trained or not (train_encoder or vae.encoder.trainable):
        expected = "a decoder to train, and an encoder to train or to put to its optimum"
        remedy = "Set its `trainable` to True, or pass train_encoder=True to keep a frozen encoder."
        raise ValueError(_checks.problem("Weights", expected=expected, received="frozen ones", remedy=remedy))
    return trained


def _train(vae: VAE, trained: list[tf.Variable], train_encoder: bool, moment: tf.Tensor, steps: tf.Tensor) -> tf.Tensor:
    """Takes this many steps and returns the loss of the last one."""
    loss = tf.constant(0.0)
    for _ in tf.range(steps):
        with tf.GradientTape() as tape:
            terms = _expected_terms(vae, moment, *(_encoder(vae) if train_encoder else _optimal_encoder(vae)))
            loss = tf.reduce_mean(vae.objective(terms, vae.progress))
        with tf.control_dependencies([loss]), fast_on_cpu(vae.optimizer):  # no weight changes before it is read
            vae.optimizer.minimize(loss, trained, tape=tape)
        vae.steps_done.assign_add(1)
        for name, value in vae.objective.update(terms, vae.objective_state).items():
            vae.objective_state[name].assign(value)
    return loss


def _rotate(vae: VAE) -> None:
    """Turns the latents so that W^T W is diagonal, longest column first. No other W with the same W W^T is better."""
    axes, lengths, turn = np.linalg.svd(vae.linear_gaussian.loadings, full_matrices=False)
    largest = np.take_along_axis(turn, np.abs(turn).argmax(axis=1)[:, None], axis=1)[:, 0]
    vae.decoder.layers[0].kernel.assign((axes * lengths * np.sign(largest)).T)  # turning twice changes nothing


def _encoder(vae: VAE) -> tuple[tf.Tensor, tf.Tensor]:
    """V^T `[d, D]` and the variances of the posterior `[D]`, as the encoder has them."""
    encoding = vae.encoder.layers[0]
    raw = tf.concat([tf.zeros_like(encoding.raw_scale), encoding.raw_scale], axis=0)
    return encoding.kernel, tf.square(vae.posterior.parameters(raw[None])["scale"][0])


def _optimal_encoder(vae: VAE) -> tuple[tf.Tensor, tf.Tensor]:
    """V^T and the variances of the best encoder for the present decoder, without a gradient.

    At its optimum the encoder does not change the ELBO to first order, so the ELBO's gradient does not need theirs.
    """
    loadings, sigma2 = vae.decoder.layers[0].kernel, tf.square(vae.likelihood.scale)  # W^T, [D, d]
    precision = tf.matmul(loadings, loadings, transpose_b=True) + sigma2 * tf.eye(vae.latent_dim)
    weights = tf.linalg.cholesky_solve(tf.linalg.cholesky(precision), loadings)
    return tf.stop_gradient(tf.transpose(weights)), tf.stop_gradient(sigma2 / tf.linalg.diag_part(precision))


def _expected_terms(vae: VAE, moment: tf.Tensor, weights: tf.Tensor, variance: tf.Tensor) -> Terms:
    """Distortion and rate averaged over data with this covariance, in the form of a batch of one example.

    Besides, it stores the mean squared residual in the likelihood, where scale="optimal" takes it for sigma^2.

    Args:
        vae: The model whose decoder and likelihood are used.
        moment: S, `[d, d]`.
        weights: V^T of the encoder, `[d, D]`.
        variance: Variances of the posterior, `[D]`.
    """
    likelihood, loadings = vae.likelihood, vae.decoder.layers[0].kernel
    product = tf.matmul(moment, weights)  # S V^T
    mean_moment = tf.matmul(weights, product, transpose_a=True)  # V S V^T
    gram = tf.matmul(loadings, loadings, transpose_b=True)  # W^T W
    residual = (
        tf.linalg.trace(moment)
        - 2 * tf.reduce_sum(loadings * tf.transpose(product))
        + tf.reduce_sum(gram * (mean_moment + tf.linalg.diag(variance)))
    )
    if likelihood.trainable:
        likelihood.running_mse.assign(tf.maximum(tf.stop_gradient(residual), 0.0) / likelihood.dims)  # rounding
        likelihood.update_count.assign_add(1.0)
    sigma = likelihood.scale
    constant = tf.math.log(sigma) + 0.5 * math.log(2 * math.pi)
    distortion = residual / (2 * tf.square(sigma)) + likelihood.dims * constant
    rate = 0.5 * (variance - tf.math.log(variance) - 1 + tf.linalg.diag_part(mean_moment))
    return Terms(distortion[None], tf.reduce_sum(rate)[None], rate[None])
