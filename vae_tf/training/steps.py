"""The steps of training and evaluation: from a batch to the terms of the bound, the loss and the logs."""

from __future__ import annotations

import abc
import math
from typing import Any

import tensorflow as tf
import tf_keras as keras
from tensorflow_probability import distributions as tfd

from vae_tf import _checks
from vae_tf.objectives import Terms
from vae_tf.objectives.schedules import Progress
from vae_tf.posteriors import Posterior
from vae_tf.priors import Prior
from vae_tf.training.fit import FittedModel, unpack


class ELBOModel(FittedModel, abc.ABC):
    """A Keras model trained on an objective of distortion and rate; see VAE."""

    encoder: keras.Model
    decoder: keras.Model
    prior: Prior

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.distortion_tracker = keras.metrics.Mean(name="distortion")
        self.rate_tracker = keras.metrics.Mean(name="rate")

    @property
    @abc.abstractmethod
    def posterior(self) -> Posterior:
        """The encoder's last layer."""

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The loss first, distortion and rate, then those of `compile`."""
        own = [self.loss_tracker, self.distortion_tracker, self.rate_tracker]
        return own + [metric for metric in super().metrics if not any(metric is mine for mine in own)]

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """One step; returns the logs, in nats per example, averaged since the epoch began."""
        x, target, weight = self._inputs(data)
        seed = seed_pair(self.seed, self.optimizer.iterations)
        self._check_shape(target)
        count = self.objective.num_samples
        with tf.GradientTape() as tape:
            q, z, log_q = self._draw(x, seed, training=True, num_samples=count)
            p = self.decoder(_merge(z), training=True)
            p = self.likelihood.given(p, _repeat(target, count))
            p = self.likelihood.update(p, _repeat(target, count), _repeat(weight, count))
            terms = self._terms(self._distortion(target, p), q, z, log_q, weight)
            losses = self._per_example(terms)
            total = tf.reduce_mean(losses["loss"]) + tf.add_n(self.losses or [0.0])
        with tf.control_dependencies([total]):  # a weight that is read twice must not change in between
            self.optimizer.minimize(total, self.trainable_variables, tape=tape)
        logs = self._record(losses, terms, target, p) | self.objective.logs(self._progress())
        for name, value in self.objective.update(terms, self.objective_state).items():
            self.objective_state[name].assign(value)
        return logs

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """The same terms without an update; its noise depends on the seed and the batch's number only."""
        x, target, weight = self._inputs(data)
        seed = seed_pair(-1 - self.seed, self._test_counter)
        self._check_shape(target)
        count = self.objective.num_samples
        q, z, log_q = self._draw(x, seed, training=False, num_samples=count)
        p = self.likelihood.given(self.decoder(_merge(z), training=False), _repeat(target, count))
        terms = self._terms(self._distortion(target, p), q, z, log_q, weight)
        return self._record(self._per_example(terms), terms, target, p)

    def predict_step(self, data: Any) -> tf.Tensor:
        """E[x|z] at z = E[z|x]: the mean, nothing drawn."""
        x = unpack(data)[0]
        p = self.decoder(self.encoder(x, training=False).mean(), training=False)
        return self.likelihood.given(p, x).mean()

    def _progress(self) -> Progress:
        step = tf.cast(self.optimizer.iterations, tf.float32)
        state, epoch = self.objective_state, 0.0
        if "steps_per_epoch" in state:  # see FittedModel._plan
            epoch = state["epochs_before"] + (step - state["step_before"]) / state["steps_per_epoch"]
        return Progress(step, epoch, state)

    def _draw(
        self, x: tf.Tensor, seed: tf.Tensor, *, training: bool, num_samples: int = 1
    ) -> tuple[tfd.Distribution, tf.Tensor, tf.Tensor]:
        """q(z|x), K draws of z `[K, B, D]`, and log q(z|x) at them, `[K, B]`."""
        q = self.encoder(x, training=training)
        shape = (tf.shape(x)[0], self.prior.latent_dim)
        noise = tfd.Normal(tf.zeros(shape), 1.0).sample(num_samples, seed=seed)
        return q, *self.posterior.draw(noise, self.posterior.parameters_of(q))

    def _terms(
        self,
        distortion: tf.Tensor,
        q: tfd.Distribution,
        z: tf.Tensor,
        log_q: tf.Tensor,
        weight: tf.Tensor | None = None,
    ) -> Terms:
        """The terms of a batch, from -log p(x|z) at K draws of z, `[K, B]`."""
        rate, log_ratio = self.prior.closed_form(q), None
        if rate is None or "log_weights" in self.objective.needs:
            log_ratio = log_q - self.prior.log_prob(z)
        return Terms(
            tf.reduce_mean(distortion, axis=0),
            tf.reduce_mean(log_ratio, axis=0) if rate is None else rate,
            self.prior.rate_per_latent(q),
            None if log_ratio is None else -distortion - log_ratio,
            rate_is_sampled=rate is None,
            weight=weight,
        )

    def _distortion(self, target: tf.Tensor, p: tfd.Distribution) -> tf.Tensor:
        """The loss at K draws of z, `[K, B]`, from the K B distributions p(x|z), draw by draw."""
        count = self.objective.num_samples
        distortion = self.loss(_repeat(target, count), p)
        if distortion.shape.rank != 1:
            raise ValueError(
                _checks.problem(
                    "Value of the loss",
                    expected="one number per example, shape [B]",
                    received=f"shape {distortion.shape}",
                    remedy="Return -p.log_prob(x), not averaged.",
                )
            )
        possible = tf.debugging.Assert(tf.reduce_all(distortion < math.inf), [self._impossible()])
        with tf.control_dependencies([possible] if possible is not None else []):
            return tf.reshape(distortion, (count, -1))

    def _impossible(self) -> str:
        likelihood = self.likelihood
        return _checks.problem(
            f"-log p(x|z) of {type(likelihood).__name__}",
            expected=f"a finite number for every example, x in its support ({likelihood.support})",
            received="one that is infinite or NaN",
            remedy="Check the data and their scale; if they are right, training has diverged: lower the learning rate.",
        )

    def _per_example(self, terms: Terms) -> dict[str, tf.Tensor]:
        loss = self.objective(terms, self._progress())
        losses = {"loss": loss, "distortion": terms.distortion, "rate": terms.rate}
        if terms.weight is None:
            return losses
        return {name: value * terms.weight for name, value in losses.items()}

    def _record(self, losses: Any, terms: Terms, target: tf.Tensor, p: Any) -> dict[str, tf.Tensor]:
        for name, values in losses.items():
            getattr(self, f"{name}_tracker").update_state(values)
        count = self.objective.num_samples
        self.compiled_metrics.update_state(_repeat(target, count), p.mean(), _repeat(terms.weight, count))
        logs = {metric.name: metric.result() for metric in self.metrics}
        logs["elbo"] = -logs["distortion"] - logs["rate"]
        if terms.rate_is_sampled:
            logs["rate_num_samples"] = tf.constant(float(count))
        return logs | ({"regularization": tf.add_n(self.losses)} if self.losses else {})

    def _inputs(self, data: Any) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]:
        """Images, targets and weights of a batch, in the precision of the likelihood."""
        dtype = self.likelihood.compute_dtype
        x, target, weight = unpack(data)
        return tf.cast(x, dtype), tf.cast(target, dtype), None if weight is None else tf.cast(weight, dtype)


def seed_pair(*numbers: Any) -> tf.Tensor:
    """A seed for stateless draws, from two numbers."""
    return tf.stack([tf.cast(number, tf.int32) for number in numbers])


def _merge(z: tf.Tensor) -> tf.Tensor:
    """`[K, B, D]` as `[K B, D]`."""
    return tf.reshape(z, (-1, z.shape[-1]))


def _repeat(batch: tf.Tensor | None, count: int) -> tf.Tensor | None:
    """`[B, ...]` as `[K B, ...]`, the batch K times."""
    if batch is None or count == 1:
        return batch
    return tf.tile(batch, [count] + [1] * (batch.shape.rank - 1))
