"""Compiling, fitting and evaluating: what users hand over is judged here, and goes on to Keras."""

from __future__ import annotations

import abc
import contextlib
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from vae_tf import _checks
from vae_tf.data.adapter import Adapter, Rows, Stream, Table
from vae_tf.data.streams import Batches, is_stream
from vae_tf.likelihoods import Likelihood
from vae_tf.objectives import Objective, Progress, negative_log_prob
from vae_tf.training import arguments, batches
from vae_tf.training.epochs import Watch, arranged, as_list
from vae_tf.training.finite import check_outputs

_BATCH = 32  # as in Keras
_ASSERTION = re.compile(
    r"(?:assertion failed: \[|Summarized data: b['\"])(.+: expected .+?)(?:\]|['\"]\.?$)", re.MULTILINE
)
"""The text of an assertion of ours within an error of TensorFlow, of a graph or of eager execution."""


class FittedModel(keras.Model, abc.ABC):
    """A Keras model of data `[n, *E]` that have a likelihood; see VAE."""

    encoder: keras.Model
    decoder: keras.Model
    objective: Objective
    objective_state: dict[str, tf.Variable]
    clock: tf.train.Checkpoint
    seed: int
    _trained: frozenset[int] | None = None

    @property
    def steps_done(self) -> tf.Variable:
        """Steps of training so far, whatever the optimizer has counted."""
        return self.clock.steps_done

    @property
    @abc.abstractmethod
    def likelihood(self) -> Likelihood:
        """The decoder's last layer."""

    @property
    @abc.abstractmethod
    def adapter(self) -> Adapter:
        """The door for this model's data."""

    @property
    def columns(self) -> tuple[str, ...] | None:
        """Names of the columns of the data frame that the model was first trained on; None without names.

        Data frames with other columns, or the same in another order, are refused from then on: to the networks a
        column is a place. Arrays have no names, and pass.
        """
        return self.__dict__.get("_column_names")  # past Keras, which would track a tuple as part of the model

    def remember_columns(self, columns: Sequence[str] | None) -> None:
        """Makes these the names of the columns, unless there are some already."""
        if columns is not None and self.columns is None:
            self.__dict__["_column_names"] = tuple(columns)

    def columns_config(self) -> dict[str, list[str]]:
        """The names of the columns, if there are any, for `get_config`."""
        return {} if self.columns is None else {"columns": list(self.columns)}

    @property
    @abc.abstractmethod
    def impossible(self) -> str:
        """The error of a loss that is infinite or NaN."""

    @property
    def progress(self) -> Progress:
        """The point that training has reached: steps, epochs, and the objective's state."""
        step, clock = tf.cast(self.steps_done, tf.float32), self.clock
        epoch = clock.epochs_before + tf.math.divide_no_nan(step - clock.step_before, clock.steps_per_epoch)
        return Progress(step, epoch, self.objective_state)

    def compile(self, optimizer: Any = "adam", loss: Any = None, **kwargs: Any) -> None:
        """As `keras.Model.compile`, with `-p.log_prob(x)` as the default loss.

        Args:
            optimizer: A Keras optimizer or its name. On a machine without a GPU, Adam updates each weight by
                TensorFlow's one fused kernel; the optimizer itself is not changed.
            loss: Function (x `[B, *E]`, p) -> `[B]`; `vae_tf.negative_log_prob` by default.
            **kwargs: As for `keras.Model.compile`.

        Raises:
            ValueError: For the name of a pointwise loss, which would hide the likelihood's scale.
            TypeError: For `loss_weights`.
            NotImplementedError: Under a `tf.distribute` strategy of more than one replica.
        """
        self._refuse_replicas()
        loss = negative_log_prob if loss is None else loss
        arguments.check_loss(loss, kwargs.get("loss_weights"))
        arguments.check_optimizer(optimizer)
        kwargs.setdefault("weighted_metrics", [])  # or Keras warns that weights are without use, which they are not
        super().compile(optimizer=keras.optimizers.get(optimizer), loss=loss, **kwargs)
        self._trained = self._trainable_now()

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
        class_weight: None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_batch_size: int | None = None,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """As `keras.Model.fit`; `x` are the images, and targets are needed only where they differ (denoising).

        Data that can be indexed (arrays, tensors, lists, data frames, scipy.sparse matrices, memory maps) are read a
        batch at a time and shuffled by (seed, epoch); the batches of a `keras.utils.Sequence` are shuffled likewise. A
        `tf.data.Dataset` or a generator of batches `x`, `(x, y)` or `(x, y, sample_weight)` comes in its own order.

        With `sample_weight` every log is a weighted mean, sum(w t) / sum(w), and so are the residuals of a batch from
        which an optimal sigma is averaged (over batches, which count alike; `calibrate` weighs all examples). The
        gradient is that of sum(w t) / B over the batch, as in Keras.

        Callbacks that add to the logs run before those that write them. A callback of Keras that watches `val_elbo`, or
        another log that rises, looks for its largest value.

        Raises:
            TypeError: For data that are no numbers, `class_weight`, and callbacks that are none.
            ValueError: For data of the wrong shape, or to which the likelihood gives no density; and when training
                diverges.
            NotImplementedError: Under a `tf.distribute` strategy of more than one replica.
        """
        self._refuse_replicas()
        arguments.check_class_weight(class_weight)
        arguments.check_shuffle(shuffle)
        arguments.check_counts(
            epochs=epochs,
            initial_epoch=initial_epoch or None,
            steps_per_epoch=steps_per_epoch,
            batch_size=batch_size,
            validation_batch_size=validation_batch_size,
            validation_steps=kwargs.get("validation_steps"),
        )
        self.adopt_steps()
        data = self.adapter.open(x, y, sample_weight)
        names = data.x.columns if isinstance(data, Rows) else None
        validation = None
        if validation_data is not None:
            validation = self.adapter.validation(validation_data, kwargs.get("validation_steps"))
        if validation is None and validation_split:
            data, validation = self._split(data, validation_split)
        steps = _steps_of_a_pass(data, batch_size) if steps_per_epoch is None else steps_per_epoch
        if isinstance(data, Stream) and data.once and steps_per_epoch is None and epochs - initial_epoch > 1:
            expected, received = "steps_per_epoch beside a generator, or one epoch", f"epochs={epochs} alone"
            remedy = "It ends after one pass: pass steps_per_epoch, or a tf.data.Dataset."
            raise ValueError(_checks.problem("epochs", expected=expected, received=received, remedy=remedy))
        self.plan(steps, epochs - initial_epoch)
        if isinstance(data, Rows) and self.steps_done.numpy() == 0:
            self.likelihood.compare_scale(data.sample())
        fed, given = self._fed(data, batch_size, shuffle, steps_per_epoch)
        watching = arranged(callbacks, self.objective)
        self.check_callbacks(watching)
        self.build_optimizer()
        self._eval_data_handler = None  # Keras keeps that of an interrupted fit, and would validate on its data
        self.remember_columns(names)
        with _one_line(data, validation):
            return super().fit(
                fed,
                epochs=epochs,
                initial_epoch=initial_epoch,
                callbacks=watching,
                validation_data=_in_order(
                    validation, batch_size if validation_batch_size is None else validation_batch_size
                ),
                **given,
                **kwargs,
            )

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        *,
        callbacks: Any = None,
        **kwargs: Any,
    ) -> Any:
        """As `keras.Model.evaluate`: loss, distortion, rate and elbo in nats per example, from one draw of z.

        With `sample_weight` each is a weighted mean, sum(w t) / sum(w).

        Raises:
            TypeError: As `fit`.
            ValueError: As `fit`.
        """
        if kwargs.get("_use_cached_eval_dataset"):  # from within fit, which has judged them
            return super().evaluate(x, y, batch_size, verbose, sample_weight, callbacks=callbacks, **kwargs)
        self.adopt_steps()
        data = self.adapter.open(x, y, sample_weight)
        with _one_line(data):
            return super().evaluate(
                _in_order(data, batch_size), verbose=verbose, callbacks=[Watch(), *as_list(callbacks)], **kwargs
            )

    def predict(self, x: Any, batch_size: int | None = None, **kwargs: Any) -> np.ndarray:
        """As `keras.Model.predict`: E[x|z] at the posterior mean z = E[z|x], `[n, *E]`; nothing is drawn.

        Raises:
            TypeError: As `fit`.
            ValueError: For data of the wrong shape, or that are not finite, and for outputs that are not finite.
        """
        if is_stream(x):
            stream = self.adapter.input_batches(x)
            with _one_line(stream):
                return check_outputs(super().predict(stream.batches, batch_size, **kwargs))
        rows = Rows(self.adapter.table(x))
        with _one_line(rows):
            return check_outputs(super().predict(batches.in_order(rows, _size(rows, batch_size)), **kwargs))

    def train_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: None = None, **kwargs: Any
    ) -> Any:
        """As `keras.Model.train_on_batch`; see `fit`."""
        self._refuse_replicas()
        arguments.check_class_weight(class_weight)
        self.adopt_steps()
        if not float(self.clock.steps_per_epoch):  # an epoch is what `fit` makes one
            self.plan(None, 0)
        self.build_optimizer()
        return self._on_batch(super().train_on_batch, x, y, sample_weight, **kwargs)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, **kwargs: Any) -> Any:
        """As `keras.Model.test_on_batch`; see `evaluate`."""
        self.adopt_steps()
        return self._on_batch(super().test_on_batch, x, y, sample_weight, **kwargs)

    def predict_on_batch(self, x: Any) -> np.ndarray:
        """As `keras.Model.predict_on_batch`; see `predict`."""
        return check_outputs(super().predict_on_batch(self.adapter.table(x)[:]))

    @abc.abstractmethod
    def check_callbacks(self, callbacks: list[keras.callbacks.Callback]) -> None:
        """Refuses, before the first step, callbacks that would fail after an epoch."""

    @abc.abstractmethod
    def adopt_steps(self) -> None:
        """Takes the number of steps from the optimizer, for a model of a file that did not hold it."""

    def build_optimizer(self) -> None:
        """Makes the slots of the optimizer, unless it has them, where the weights are those of `compile`.

        A step that makes them itself is traced twice. That is left to Keras where weights came or were frozen since.
        """
        same = self._trained is not None and self._trained == self._trainable_now()
        if same and isinstance(self.optimizer, keras.optimizers.Optimizer):  # older ones make their slots themselves
            self.optimizer.build(self.trainable_variables)

    def _trainable_now(self) -> frozenset[int] | None:
        """The identities of the weights that a step would train; None as long as a network has none yet."""
        built = self.encoder.built and self.decoder.built
        return frozenset(map(id, self.trainable_variables)) if built else None

    # --- what is handed on to Keras --------------------------------------------------------------------

    def _fed(
        self, data: Rows | Stream, batch_size: int | None, shuffle: bool, steps_per_epoch: int | None
    ) -> tuple[Any, dict[str, Any]]:
        """The batches that Keras iterates over, and the arguments that go with them."""
        if isinstance(data, Stream):
            given = {"batch_size": batch_size, "steps_per_epoch": steps_per_epoch}
            if not isinstance(data.batches, Batches):
                return data.batches, given
            epoch = int(self.steps_done) // (steps_per_epoch or len(data.batches))
            return data.batches.shuffled(self.seed, epoch) if shuffle else data.batches, given | {"shuffle": False}
        return self._epochs(data, _size(data, batch_size), shuffle, steps_per_epoch), {}

    def _epochs(self, rows: Rows, batch_size: int, shuffle: bool, steps_per_epoch: int | None) -> tf.data.Dataset:
        """Batches in their order, or in one given by (seed, epoch), an epoch being so many optimizer steps."""
        available = -(-len(rows) // batch_size)
        steps = available if steps_per_epoch is None else steps_per_epoch
        if steps > available:
            expected = f"at most {available}, the number of batches"
            remedy = "Leave it out, or raise epochs instead."
            raise ValueError(_checks.problem("steps_per_epoch", expected=expected, received=str(steps), remedy=remedy))
        epoch = lambda: int(self.steps_done.numpy()) // steps  # noqa: E731
        if not shuffle:
            return batches.in_order(rows, batch_size).take(steps)
        return batches.shuffled(rows, batch_size, seed=self.seed, epoch=epoch).take(steps)

    def _on_batch(self, of_keras: Any, x: Any, y: Any, sample_weight: Any, **kwargs: Any) -> Any:
        batch = self.adapter.rows(x, y, sample_weight).batch(slice(None))
        with _one_line():
            result = of_keras(*batch, **kwargs)
        loss = next(iter(result.values())) if isinstance(result, dict) else np.ravel(result)[0]
        if not np.isfinite(loss):  # a step that XLA compiled does not check it
            raise ValueError(self.impossible)
        return result

    # --- what is refused -------------------------------------------------------------------------------

    def _refuse_replicas(self) -> None:
        arguments.check_replicas(self.distribute_strategy, tf.distribute.get_strategy())

    @staticmethod
    def _split(data: Rows | Stream, share: float) -> tuple[Rows, Rows]:
        if isinstance(data, Stream):
            raise ValueError(
                _checks.problem(
                    "validation_split",
                    expected="data that can be indexed, such as an array",
                    received=f"a {type(data.batches).__name__}",
                    remedy="Pass validation_data, for instance dataset.take(10), and train on dataset.skip(10).",
                )
            )
        remedy = "Pass validation_split=0.1, say."
        return data.split(_checks.fraction("validation_split", share, remedy))

    def plan(self, steps: int | None, epochs: int) -> None:
        """Tells the objective's schedules how long an epoch is, and the user where training ends before they do.

        Args:
            steps: Steps in an epoch; None where nobody knows.
            epochs: Epochs that are about to be trained.
        """
        schedules = self.objective.schedules()
        by_epoch = [name for name, schedule in schedules.items() if schedule.unit == "epochs"]
        if steps is None and by_epoch:
            raise ValueError(
                _checks.problem(
                    f"Schedule of {by_epoch[0]}",
                    expected="data of known length, as it counts epochs",
                    received="batches of unknown number",
                    remedy='Pass steps_per_epoch to fit, or unit="steps" to the schedule.',
                )
            )
        if steps is None:
            return
        now = self.progress
        if float(self.clock.steps_per_epoch) != steps:
            self.clock.epochs_before.assign(now.epoch)
            self.clock.step_before.assign(now.step)
            self.clock.steps_per_epoch.assign(steps)
        end = Progress(float(now.step) + epochs * steps, float(now.epoch) + epochs)
        for name, schedule in schedules.items():
            done = end.step if schedule.unit == "steps" else end.epoch
            if done < schedule.warm_up:
                reached = float(schedule(end))
                warnings.warn(
                    f"Schedule of {name}: its warm-up takes {schedule.warm_up:g} {schedule.unit}, and training ends "
                    f"after {done:g}: {name} gets to {reached:.3g} and never to {schedule.end:g}, so another objective "
                    "is trained. Shorten the schedule, or train longer.",
                    UserWarning,
                    stacklevel=3,
                )


def _size(rows: Rows | Table, batch_size: int | None) -> int:
    return min(_BATCH if batch_size is None else _checks.positive_int("batch_size", batch_size), len(rows))


def _in_order(data: Rows | Stream | None, batch_size: int | None) -> Any:
    if data is None:
        return None
    return data.batches if isinstance(data, Stream) else batches.in_order(data, _size(data, batch_size))


def _steps_of_a_pass(data: Rows | Stream, batch_size: int | None) -> int | None:
    """Batches in one pass over the data; None where nobody knows."""
    return data.steps if isinstance(data, Stream) else -(-len(data) // _size(data, batch_size))


@contextlib.contextmanager
def _one_line(*sources: Rows | Stream | None) -> Iterator[None]:
    """Errors that TensorFlow wraps in a page of its own come out as what they are: one line."""
    try:
        yield
    except tf.errors.OpError as error:
        for source in sources:
            if source is not None and source.faults:
                raise source.faults.pop(0) from None
        found = _ASSERTION.search(str(error))
        if found:
            raise ValueError(found[1]) from None
        raise
