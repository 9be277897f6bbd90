"""The steps of training and evaluation: from a batch to the bound, and from there to the loss, weights and logs."""

from __future__ import annotations

import abc
from typing import Any

import tensorflow as tf
import tf_keras as keras
from tensorflow_probability import distributions as tfd

from vae_tf import _checks
from vae_tf.bound import bound, repeated
from vae_tf.data.streams import parts_of
from vae_tf.data.tables import WEIGHTS_FAULT, not_one_each
from vae_tf.objectives import Terms
from vae_tf.training.fit import FittedModel
from vae_tf.training.logs import Logs
from vae_tf.training.optimizer import fast_on_cpu


class TrainedModel(FittedModel, abc.ABC):
    """A Keras model whose steps are those of an objective of the bound; see VAE."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.logs = Logs()

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The loss first, distortion and rate, the metrics of `compile`, then the other logs."""
        return self.logs.around(super().metrics)

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """One step; returns the logs, in nats per example, averaged since the epoch began."""
        x, target, weight = self._inputs(data)
        noise = self._noise(x, seed_pair(self.seed, self.steps_done))
        with tf.GradientTape() as tape:
            terms, p = bound(self, x, noise, target=target, weight=weight, loss=self.loss, training=True)
            loss = self._possible(self.objective(terms, self.progress), terms)  # [B]
            total = tf.reduce_mean(loss if weight is None else loss * weight) + tf.add_n(self.losses or [0.0])
        with (
            tf.control_dependencies([total]),
            fast_on_cpu(self.optimizer),
        ):  # no weight changes before it is read
            self.optimizer.minimize(total, self.trainable_variables, tape=tape)
        with tf.control_dependencies([total]):  # not where the data end
            self.steps_done.assign_add(1)
        logs = self._record(loss, terms, target, p) | self.logs.latest(**self.objective.logs(self.progress))
        for name, value in self.objective.update(terms, self.objective_state).items():
            self.objective_state[name].assign(value)
        return logs

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """The same terms without an update; its noise depends on the seed and the batch's number only."""
        x, target, weight = self._inputs(data)
        noise = self._noise(x, seed_pair(-1 - self.seed, self._test_counter))
        terms, p = bound(self, x, noise, target=target, weight=weight, loss=self.loss)
        loss = self._possible(self.objective(terms, self.progress), terms)
        return self._record(loss, terms, target, p)

    def predict_step(self, data: Any) -> tf.Tensor:
        """E[x|z] at z = E[z|x]: the mean, nothing drawn."""
        x = parts_of(data)[0]
        p = self.decoder(self.encoder(x, training=False).mean(), training=False)
        return self.likelihood.given(p, x).mean()

    def _noise(self, x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Standard normal noise for a step, `[K, B, D]`."""
        zeros = tf.zeros((tf.shape(x)[0], self.prior.latent_dim))
        return tfd.Normal(zeros, 1.0).sample(self.objective.num_samples, seed=seed)

    def _possible(self, loss: tf.Tensor, terms: Terms) -> tf.Tensor:
        """The loss, once it is certain that the data have a probability and that training has not diverged."""
        finite = tf.reduce_all(tf.math.is_finite(terms.distortion)) & tf.reduce_all(tf.math.is_finite(loss))
        possible = tf.debugging.Assert(finite, [self.impossible])  # XLA drops it: see epochs.Watch
        with tf.control_dependencies([possible] if possible is not None else []):
            return tf.identity(loss)

    @property
    def impossible(self) -> str:
        """The error of a batch whose loss is infinite or NaN, in one line."""
        likelihood = self.likelihood
        return _checks.problem(
            f"-log p(x|z) of {type(likelihood).__name__}",
            expected=f"a finite number for every example, x in its support ({likelihood.support})",
            received="one that is infinite or NaN",
            remedy="Check the data and their scale; if they are right, training has diverged: lower the learning rate.",
        )

    def _record(self, loss: tf.Tensor, terms: Terms, target: tf.Tensor, p: Any) -> dict[str, tf.Tensor]:
        count = self.objective.num_samples
        logs = self.logs.record(loss, terms)
        if terms.rate_is_sampled:
            logs |= self.logs.latest(rate_num_samples=float(count))
        if self.losses:
            logs |= self.logs.mean(regularization=tf.add_n(self.losses))
        of_draws = None if terms.weight is None else tf.tile(terms.weight, [count])
        self.compiled_metrics.update_state(repeated(target, count), p.mean(), of_draws)
        return logs | {metric.name: metric.result() for metric in super().metrics}

    def _inputs(self, data: Any) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]:
        """Images, targets and weights of a batch, in the precision of the likelihood."""
        dtype = self.likelihood.compute_dtype
        x, target, weight = parts_of(data)
        self.adapter.check_shape(target.shape)
        if weight is not None:
            weight = _one_each(tf.cast(weight, dtype), tf.shape(x)[0])
        known, x = self.adapter.input_shape, tf.cast(x, dtype)
        x = x if known is None else tf.ensure_shape(x, (None, *known))
        target = tf.ensure_shape(tf.cast(target, dtype), (None, *self.event_shape))
        return x, target, weight


def seed_pair(*numbers: Any) -> tf.Tensor:
    """A seed for stateless draws, from two numbers."""
    return tf.stack([tf.cast(number, tf.int32) for number in numbers])


def _one_each(weight: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Weights `[B]` or `[B, 1]` as `[B]`, once it is certain that they are weights."""
    if not any(weight.shape.is_compatible_with(shape) for shape in ((None,), (None, 1))):
        raise not_one_each("[B]", weight.shape)
    weight = tf.reshape(weight, [-1])
    sound = tf.reduce_all(tf.math.is_finite(weight) & (weight >= 0)) & (tf.size(weight) == count)
    assertion = tf.debugging.Assert(sound, [WEIGHTS_FAULT])
    with tf.control_dependencies([assertion] if assertion is not None else []):
        return tf.identity(weight)
