"""Callbacks around the epochs of `fit`: which come first, which way is better, what is shown, and when to stop."""

from __future__ import annotations

import math
import sys
import time
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
import tf_keras as keras
from tqdm import tqdm

from vae_tf import _checks
from vae_tf.objectives import Objective, Progress
from vae_tf.training.finite import check_weights
from vae_tf.training.logs import RISING

_SHOWN = ("loss", "rate", "elbo", "sigma", "val_loss", "val_elbo")
"""The logs in the line of an epoch; beside them those of the objective and the metrics of `compile`."""
_MONITORS = (
    keras.callbacks.EarlyStopping,
    keras.callbacks.ModelCheckpoint,
    keras.callbacks.ReduceLROnPlateau,
)


def arranged(callbacks: Any, objective: Objective) -> list[keras.callbacks.Callback]:
    """The callbacks of a call of `fit`, in any container, as the list that Keras is given.

    Those that watch the run come first, then those that add to the logs, then all others in their order. Callbacks of
    Keras that look for the best value of a log that rises are told so.

    Args:
        callbacks: A callback, or a list, tuple or other iterable of them, or a `keras.callbacks.CallbackList`; None.
        objective: Objective that is trained: where it changes during training, its loss is nothing to watch.
    """
    given = as_list(callbacks)
    for callback in given:
        _aim(callback)
    _warn_of_moving_loss(given, objective)
    ordered = sorted(given, key=lambda callback: not getattr(callback, "adds_logs", False))
    line = [] if any(isinstance(callback, keras.callbacks.ProgbarLogger) for callback in given) else [EpochLine()]
    return [Watch(), *ordered, *line]


def as_list(callbacks: Any) -> list[keras.callbacks.Callback]:
    """Callbacks in any container as a list; a TypeError for what is none."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks = callbacks.callbacks
    elif isinstance(callbacks, keras.callbacks.Callback):
        callbacks = [callbacks]
    given = list(callbacks or ()) if isinstance(callbacks, Iterable | None) else [callbacks]
    for callback in given:
        if not isinstance(callback, keras.callbacks.Callback):
            remedy = "Pass instances, such as [vae_tf.callbacks.MSEEquivalence()]; Keras' are in tf_keras.callbacks."
            expected, received = "callbacks of tf_keras", f"{callback!r:.100}"
            raise TypeError(_checks.problem("callbacks", expected=expected, received=received, remedy=remedy))
    return given


def _aim(callback: keras.callbacks.Callback) -> None:
    """Tells a callback that a log which rises is better when it is larger: Keras' mode "auto" minimises it."""
    if getattr(callback, "monitor", None) not in RISING:
        return
    if isinstance(callback, keras.callbacks.ReduceLROnPlateau):
        callback.mode = "max"
    elif getattr(callback, "monitor_op", None) is np.less:
        callback.monitor_op = np.greater
        if hasattr(callback, "min_delta"):
            callback.min_delta = abs(callback.min_delta)
        if getattr(callback, "best", None) == np.inf:
            callback.best = -np.inf


def _warn_of_moving_loss(callbacks: Iterable[keras.callbacks.Callback], objective: Objective) -> None:
    moving = sorted(objective.logs(Progress(state=objective.initial_state())))
    for callback in callbacks:
        monitor = getattr(callback, "monitor", None)
        watches = isinstance(callback, _MONITORS) and getattr(callback, "save_best_only", True)
        if moving and watches and monitor in ("loss", "val_loss"):
            better = monitor.replace("loss", "elbo")
            warnings.warn(
                f"{type(callback).__name__} watches {monitor}, which is another objective in each epoch, since "
                f"{' and '.join(moving)} changes: its lowest value says nothing about the model. "
                f"Watch {better} instead, the true bound, which rises.",
                UserWarning,
                stacklevel=4,
            )


class Watch(keras.callbacks.Callback):
    """Stops training that has diverged, before anything of it is written.

    The loss is checked inside each step. Where XLA compiles the step it drops that check, and the loss is looked at
    here, after each call of the compiled function. The weights are checked after each epoch: a NaN among them can
    leave the loss finite.
    """

    def __init__(self) -> None:
        super().__init__()
        self._supports_tf_logs = True
        self._batches = False

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Looks at the loss, where no check is compiled into the step."""
        self._batches = True
        if self.model.jit_compile and logs and not math.isfinite(float(logs["loss"])):
            raise ValueError(self.model.impossible)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """See on_train_batch_end."""
        self.on_train_batch_end(batch, logs)

    def on_test_end(self, logs: Any = None) -> None:
        """Refuses means over nothing: their zeros would be the best values ever."""
        if self.model.logs.weight.numpy() == 0:
            raise nothing_to_average()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Looks at all weights."""
        if self._batches:  # not where the model is trained on a covariance
            self.on_test_end()
        check_weights(self.model)


def nothing_to_average() -> ValueError:
    """The error of a pass over data in which no example had a weight above 0."""
    expected, received = "an example with a weight above 0", "none in a whole pass over the data"
    remedy = "Check that the data are not empty, and their weights."
    return ValueError(_checks.problem("Data", expected=expected, received=received, remedy=remedy))


class EpochLine(keras.callbacks.ProgbarLogger):
    """One short line for an epoch, with a progress bar while it runs where `verbose=1`.

    It shows the loss, the rate, the ELBO and sigma: the same numbers as the history holds, in one format.
    """

    def __init__(self) -> None:
        super().__init__(count_mode="steps")
        self._title = ""
        self._start = 0.0
        self._bar: Any = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Begins the line."""
        self._title, self._start = f"Epoch {epoch + 1}/{self.epochs}", time.perf_counter()
        if self.verbose == 1:
            form = "{desc} {n_fmt}/{total_fmt} |{bar:20}| {elapsed}{postfix}"
            self._bar = tqdm(total=self.target, desc=self._title, bar_format=form, file=sys.stdout, mininterval=0.2)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Moves the bar."""
        if self._bar is not None:
            due = time.monotonic() - self._bar.last_print_t >= self._bar.mininterval
            if due and logs:
                self._bar.set_postfix_str(line(logs, self.model), refresh=False)
            self._bar.update(batch + 1 - self._bar.n)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Ends the line with the logs of the epoch."""
        if self._bar is not None:
            self._bar.set_postfix_str(line(logs or {}, self.model), refresh=False)
            self._close()
        elif self.verbose:
            seconds = time.perf_counter() - self._start
            tqdm.write(f"{self._title} - {seconds:.1f} s - {line(logs or {}, self.model)}", file=sys.stdout)

    def on_train_end(self, logs: Any = None) -> None:
        """Closes the bar of an epoch that was cut short."""
        self._close()

    def on_test_begin(self, logs: Any = None) -> None:
        """Nothing: within `fit` an evaluation is silent."""

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Nothing; see on_test_begin."""

    def on_test_end(self, logs: Any = None) -> None:
        """Nothing; see on_test_begin."""

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def line(logs: dict[str, Any], model: keras.Model) -> str:
    """The logs that matter while a model trains, in one number format: `loss: 12.345 - rate: 6.7 - ...`."""
    shown = [name for name in logs if name in _SHOWN or _is_of_objective(name, model) or _is_compiled(name, model)]
    return " - ".join(f"{name}: {float(logs[name]):.5g}" for name in shown)


def _is_of_objective(name: str, model: keras.Model) -> bool:
    return name in model.objective.schedules() or name == "multiplier"


def _is_compiled(name: str, model: keras.Model) -> bool:
    metrics = {metric.name for metric in model.compiled_metrics.metrics}
    return name.removeprefix("val_") in metrics
