"""How a model is compiled, fitted and evaluated: what goes in is judged and shuffled here."""

from __future__ import annotations

import abc
import warnings
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from vae_tf import _checks
from vae_tf.likelihoods import Likelihood
from vae_tf.objectives import Objective, negative_log_prob
from vae_tf.objectives.schedules import Progress
from vae_tf.training import batches
from vae_tf.training.optimizer import tuned_for_cpu


class FittedModel(keras.Model, abc.ABC):
    """A Keras model of data `[n, *E]` that have a likelihood; see VAE."""

    objective: Objective
    objective_state: dict[str, tf.Variable]
    seed: int

    @property
    @abc.abstractmethod
    def likelihood(self) -> Likelihood:
        """The decoder's last layer."""

    @abc.abstractmethod
    def _progress(self) -> Progress:
        """How far training has come."""

    @property
    @abc.abstractmethod
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one example."""

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
        super().compile(optimizer=tuned_for_cpu(keras.optimizers.get(optimizer)), loss=loss, **kwargs)

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
            batches.check_lengths(arrays)
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
        return batches.shuffled(arrays, batch_size, seed=self.seed, epoch=epoch).take(steps)

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
        now = self._progress()
        if by_epoch and float(self.objective_state["steps_per_epoch"]) != steps:
            state = {"epochs_before": now.epoch, "step_before": now.step, "steps_per_epoch": float(steps)}
            for name, value in state.items():
                self.objective_state[name].assign(value)
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

    def evaluate(self, x: Any = None, y: Any = None, batch_size: int | None = None, **kwargs: Any) -> Any:
        """As `keras.Model.evaluate`: loss, distortion, rate and elbo in nats per example.

        Raises:
            ValueError: as `fit`.
        """
        if not kwargs.get("_use_cached_eval_dataset"):  # from within fit, which has looked at them
            self._check_input(x, y)
        return super().evaluate(x, y, batch_size, **kwargs)

    def _check_input(self, x: Any, y: Any = None) -> None:
        """Looks at arrays and at the first batch of a dataset; of all else a step refuses what is impossible."""
        if isinstance(x, np.ndarray | tf.Tensor):
            self._check_data((x,) if y is None else (x, y))
        elif isinstance(x, tuple):
            self._check_data(x)
        elif isinstance(x, tf.data.Dataset):
            self._check_data(next(iter(x.take(1))))

    def _check_data(self, data: Any) -> None:
        target = np.asarray(unpack(data)[1])
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


def unpack(data: Any) -> tuple[Any, Any, Any]:
    """Images, targets (the images where there are none) and weights of a batch."""
    x, target, weight = keras.utils.unpack_x_y_sample_weight(data)
    return x, x if target is None else target, weight


def _steps(x: Any, batch_size: int | None) -> int | None:
    """Batches in one pass over the data; None where nobody knows."""
    if isinstance(x, tf.data.Dataset):
        count = int(x.cardinality())
        return count if count > 0 else None
    if isinstance(x, keras.utils.Sequence):
        return len(x)
    return -(-len(x) // (batch_size or 32)) if isinstance(x, np.ndarray | tf.Tensor) else None
