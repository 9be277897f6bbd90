"""How a VAE is compiled, fitted and evaluated: the Keras side, apart from what the model is."""

from __future__ import annotations

import abc
import warnings
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras
from tensorflow_probability import distributions as tfd

from vae_tf import _batches, _checks, _optimizers
from vae_tf.likelihoods import Likelihood
from vae_tf.objectives import Objective, Terms, negative_log_prob
from vae_tf.posteriors import Posterior
from vae_tf.priors import Prior
from vae_tf.schedules import Progress


class ELBOModel(keras.Model, abc.ABC):
    """A Keras model trained on an objective of distortion and rate; see VAE."""

    encoder: keras.Model
    decoder: keras.Model
    prior: Prior
    objective: Objective
    objective_state: dict[str, tf.Variable]
    seed: int

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
    @abc.abstractmethod
    def likelihood(self) -> Likelihood:
        """The decoder's last layer."""

    def compile(self, optimizer: Any = "adam", loss: Any = None, **kwargs: Any) -> None:
        """As `keras.Model.compile`, with `-p.log_prob(x)` as the default loss.

        On a machine without a GPU, Adam updates each weight by TensorFlow's one fused kernel.

        Args:
            optimizer: a Keras optimizer or its name.
            loss: a function (x `[B, *E]`, p) -> `[B]`; `vae_tf.negative_log_prob` by default.
            **kwargs: as for `keras.Model.compile`.

        Raises:
            ValueError: for the name of a pointwise loss, which would hide the likelihood's scale.
            TypeError: for `loss_weights`.
        """
        loss = negative_log_prob if loss is None else loss
        if isinstance(loss, str | keras.losses.Loss) or not callable(loss):
            raise ValueError(
                _checks.problem(
                    "loss",
                    expected="a function of (x, p) that returns one number per example",
                    received=repr(loss),
                    remedy="Leave it out: the loss is -p.log_prob(x), and the decoder's likelihood says which.",
                )
            )
        if kwargs.get("loss_weights") is not None:
            raise TypeError("loss_weights: a VAE weighs its terms by its objective; use objective=ELBO(kl_weight=...)")
        super().compile(optimizer=_optimizers.tuned_for_cpu(keras.optimizers.get(optimizer)), loss=loss, **kwargs)

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        *,
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        sample_weight: Any = None,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """As `keras.Model.fit`; `x` are the images, and targets are needed only where they differ (denoising).

        Arrays are shuffled by (seed, epoch); a `tf.data.Dataset` comes in its own order. Callbacks that add
        to the logs run before those that write them.

        Raises:
            ValueError: for data of the wrong shape, or to which the likelihood gives no density.
        """
        if isinstance(callbacks, list):
            callbacks = sorted(callbacks, key=lambda callback: not getattr(callback, "adds_logs", False))
        self._check_input(x, y)
        if isinstance(x, np.ndarray | tf.Tensor):
            y = x if y is None and sample_weight is not None else y
            arrays = tuple(array for array in (x, y, sample_weight) if array is not None)
            _batches.check_lengths(arrays)
            if validation_split:
                cut = round(len(x) * (1 - validation_split))
                validation_data = tuple(array[cut:] for array in arrays)
                arrays = tuple(array[:cut] for array in arrays)
            batch_size = min(batch_size or 32, len(arrays[0]))
            x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(arrays)
            if isinstance(validation_data, np.ndarray | tf.Tensor | tuple):
                kwargs.setdefault("validation_batch_size", batch_size)
            if shuffle:
                x = self._shuffled(arrays, batch_size, kwargs.pop("steps_per_epoch", None))
                y = sample_weight = batch_size = None
        self._check_input(validation_data)
        if isinstance(validation_data, np.ndarray | tf.Tensor):
            validation_data = (validation_data,)  # Keras asks for its truth value
        self._plan(x, batch_size, epochs - kwargs.get("initial_epoch", 0), kwargs.get("steps_per_epoch"))
        return super().fit(
            x,
            y,
            batch_size,
            epochs,
            callbacks=callbacks,
            validation_data=validation_data,
            shuffle=shuffle,
            sample_weight=sample_weight,
            **kwargs,
        )

    def _shuffled(self, arrays: tuple[Any, ...], batch_size: int, steps_per_epoch: int | None) -> tf.data.Dataset:
        """Batches in an order given by (seed, epoch), an epoch being so many optimizer steps."""
        available = -(-len(arrays[0]) // batch_size)
        steps = available if steps_per_epoch is None else _checks.positive_int("steps_per_epoch", steps_per_epoch)
        if steps > available:
            expected = f"at most {available}, the number of batches"
            remedy = "Leave it out, or raise epochs instead."
            raise ValueError(_checks.problem("steps_per_epoch", expected=expected, received=str(steps), remedy=remedy))
        epoch = lambda: int(self.optimizer.iterations.numpy()) // steps  # noqa: E731
        return _batches.shuffled(arrays, batch_size, seed=self.seed, epoch=epoch).take(steps)

    def _plan(self, x: Any, batch_size: int | None, epochs: int, steps_per_epoch: int | None) -> None:
        """Tells the objective's schedules how long an epoch is, and the user where training ends before they do."""
        schedules = self.objective.schedules()
        if not schedules:
            return
        steps = _steps(x, batch_size) if steps_per_epoch is None else steps_per_epoch
        by_epoch = [name for name, schedule in schedules.items() if schedule.unit == "epochs"]
        if steps is None and by_epoch:
            raise ValueError(
                _checks.problem(
                    f"Schedule of {by_epoch[0]}",
                    expected="data of known length, as it counts epochs",
                    received=f"a {type(x).__name__} of unknown length",
                    remedy='Pass steps_per_epoch to fit, or unit="steps" to the schedule.',
                )
            )
        if steps is None:
            return
        if by_epoch:
            self.objective_state["steps_per_epoch"].assign(float(steps))
        end = int(self.optimizer.iterations) + epochs * steps
        for name, schedule in schedules.items():
            needed = schedule.warm_up * (steps if schedule.unit == "epochs" else 1)
            if end < needed:
                reached = float(schedule(Progress(end, end / steps)))
                warnings.warn(
                    f"Schedule of {name}: its warm-up takes {needed:g} steps, and training ends after {end}: {name} "
                    f"gets to {reached:.3g} and never to {schedule.end:g}, so another objective is trained. "
                    "Shorten the schedule, or train longer.",
                    UserWarning,
                    stacklevel=3,
                )

    def evaluate(self, x: Any = None, y: Any = None, batch_size: int | None = None, **kwargs: Any) -> Any:
        """As `keras.Model.evaluate`: the loss, distortion and rate in nats per example.

        Raises:
            ValueError: as `fit`.
        """
        if not kwargs.get("_use_cached_eval_dataset"):  # from within fit, which has looked at them
            self._check_input(x, y)
        return super().evaluate(x, y, batch_size, **kwargs)

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
            terms = self._terms(self._distortion(target, p), q, z, log_q)
            losses = self._per_example(terms, weight)
            total = tf.reduce_mean(losses["loss"]) + tf.add_n(self.losses or [0.0])
        self.optimizer.minimize(total, self.trainable_variables, tape=tape)
        logs = self._record(losses, terms, target, p, weight) | self.objective.logs(self._progress())
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
        terms = self._terms(self._distortion(target, p), q, z, log_q)
        return self._record(self._per_example(terms, weight), terms, target, p, weight)

    def predict_step(self, data: Any) -> tf.Tensor:
        """E[x|z] at z = E[z|x]: the mean, nothing drawn."""
        x = _unpack(data)[0]
        p = self.decoder(self.encoder(x, training=False).mean(), training=False)
        return self.likelihood.given(p, x).mean()

    def _progress(self) -> Progress:
        step = tf.cast(self.optimizer.iterations, tf.float32)
        epoch = step / self.objective_state["steps_per_epoch"] if "steps_per_epoch" in self.objective_state else 0.0
        return Progress(step, epoch, self.objective_state)

    def _draw(
        self, x: tf.Tensor, seed: tf.Tensor, *, training: bool, num_samples: int = 1
    ) -> tuple[tfd.Distribution, tf.Tensor, tf.Tensor]:
        """q(z|x), K draws of z `[K, B, D]`, and log q(z|x) at them, `[K, B]`."""
        q = self.encoder(x, training=training)
        shape = (tf.shape(x)[0], self.prior.latent_dim)
        noise = tfd.Normal(tf.zeros(shape), 1.0).sample(num_samples, seed=seed)
        return q, *self.posterior.draw(noise, self.posterior.parameters_of(q))

    def _terms(self, distortion: tf.Tensor, q: tfd.Distribution, z: tf.Tensor, log_q: tf.Tensor) -> Terms:
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
        return tf.reshape(distortion, (count, -1))

    def _per_example(self, terms: Terms, weight: tf.Tensor | None) -> dict[str, tf.Tensor]:
        loss = self.objective(terms, self._progress())
        losses = {"loss": loss, "distortion": terms.distortion, "rate": terms.rate}
        if weight is None:
            return losses
        return {name: value * weight for name, value in losses.items()}

    def _record(self, losses: Any, terms: Terms, target: tf.Tensor, p: Any, weight: Any) -> dict[str, tf.Tensor]:
        for name, values in losses.items():
            getattr(self, f"{name}_tracker").update_state(values)
        count = self.objective.num_samples
        self.compiled_metrics.update_state(_repeat(target, count), p.mean(), _repeat(weight, count))
        logs = {metric.name: metric.result() for metric in self.metrics}
        logs["elbo"] = -logs["distortion"] - logs["rate"]
        if terms.rate_is_sampled:
            logs["rate_num_samples"] = tf.constant(float(count))
        return logs | ({"regularization": tf.add_n(self.losses)} if self.losses else {})

    def _inputs(self, data: Any) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]:
        """Images, targets and weights of a batch, in the precision of the likelihood."""
        dtype = self.likelihood.compute_dtype
        x, target, weight = _unpack(data)
        return tf.cast(x, dtype), tf.cast(target, dtype), None if weight is None else tf.cast(weight, dtype)

    def _check_input(self, x: Any, y: Any = None) -> None:
        """Looks at arrays and at the first batch of a dataset; what generators yield is checked as it comes."""
        if isinstance(x, np.ndarray | tf.Tensor):
            self._check_data((x,) if y is None else (x, y))
        elif isinstance(x, tuple):
            self._check_data(x)
        elif isinstance(x, tf.data.Dataset):
            self._check_data(next(iter(x.take(1))))

    def _check_data(self, data: Any) -> None:
        target = np.asarray(_unpack(data)[1])
        self._check_shape(target)
        self.likelihood.check_data(target)

    def _check_shape(self, target: Any) -> None:
        if not tf.TensorShape(target.shape).is_compatible_with((None, *self.event_shape)):
            raise ValueError(
                _checks.problem(
                    "Data",
                    expected=f"shape [B, {', '.join(map(str, self.event_shape))}], the likelihood's event_shape",
                    received=f"shape {list(target.shape)}",
                    remedy="Pass the images once, fit(x): no labels are needed.",
                )
            )


def seed_pair(*numbers: Any) -> tf.Tensor:
    """A seed for stateless draws, from two numbers."""
    return tf.stack([tf.cast(number, tf.int32) for number in numbers])


def _unpack(data: Any) -> tuple[Any, Any, Any]:
    """Images, targets (the images where there are none) and weights of a batch."""
    x, target, weight = keras.utils.unpack_x_y_sample_weight(data)
    return x, x if target is None else target, weight


def _merge(z: tf.Tensor) -> tf.Tensor:
    """`[K, B, D]` as `[K B, D]`."""
    return tf.reshape(z, (-1, z.shape[-1]))


def _repeat(batch: tf.Tensor | None, count: int) -> tf.Tensor | None:
    """`[B, ...]` as `[K B, ...]`, the batch K times."""
    if batch is None or count == 1:
        return batch
    return tf.tile(batch, [count] + [1] * (batch.shape.rank - 1))


def _steps(x: Any, batch_size: int | None) -> int | None:
    """Batches in one pass over the data; None where nobody knows."""
    if isinstance(x, tf.data.Dataset):
        count = int(x.cardinality())
        return count if count > 0 else None
    return -(-len(x) // (batch_size or 32)) if isinstance(x, np.ndarray | tf.Tensor) else None
