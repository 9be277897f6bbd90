"""The logs of training: each is a metric, so that what is shown while an epoch runs is what is logged when it ends."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras as keras

from vae_tf.objectives import Terms

RISING = frozenset({"elbo", "val_elbo", "active_units", "val_active_units"})
"""Names of the logs that are better when they are larger."""


class _Unsaved(keras.metrics.Metric):
    """A metric that belongs to a call of `fit`: a file neither holds its state nor is asked for it."""

    def save_own_variables(self, store: Any) -> None:
        """Saves nothing."""

    def load_own_variables(self, store: Any) -> None:
        """Loads nothing."""


class Average(_Unsaved, keras.metrics.Mean):
    """The mean over the examples since the epoch began, sum(w t) / sum(w)."""


class Latest(_Unsaved):
    """The latest value of a number that changes from step to step, such as the weight of the KL."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name, dtype="float32")
        self.value = self.add_weight("value", initializer="zeros")

    def update_state(self, value: Any, sample_weight: Any = None) -> None:
        """Takes in the value of a step."""
        self.value.assign(tf.cast(value, self.value.dtype))

    def result(self) -> tf.Tensor:
        """The value after the last step."""
        return tf.identity(self.value)


class Logs:
    """The metrics of a model, by name.

    Means over the examples since the epoch began, in nats per example, each example counting by its weight,
    sum(w t) / sum(w): `loss`, `distortion`, `rate`, `elbo`, and `regularization` where layers have losses of their own.
    Latest values: what the objective logs (`kl_weight`, `multiplier`, ...), and `rate_num_samples`.

    """

    def __init__(self) -> None:
        self._means = {name: Average(name) for name in ("loss", "distortion", "rate", "elbo")}
        self._others: dict[str, keras.metrics.Metric] = {}

    def around(self, compiled: list[keras.metrics.Metric]) -> list[keras.metrics.Metric]:
        """All metrics: the loss, distortion and rate, those of `compile`, the others."""
        first, elbo = list(self._means.values())[:-1], self._means["elbo"]
        return [*first, *compiled, elbo, *self._others.values()]

    def record(self, loss: tf.Tensor, terms: Terms) -> dict[str, tf.Tensor]:
        """Takes in a batch, `[B]` each; returns the means so far."""
        values = {"loss": loss, "distortion": terms.distortion, "rate": terms.rate, "elbo": terms.elbo}
        for name, value in values.items():
            self._means[name].update_state(value, sample_weight=terms.weight)
        return {name: metric.result() for name, metric in self._means.items()}

    @property
    def weight(self) -> tf.Variable:
        """The sum of the weights of the examples so far."""
        return self._means["elbo"].count

    def latest(self, **values: Any) -> dict[str, tf.Tensor]:
        """Takes in values of this step, and returns them."""
        return {name: self._shown(name, Latest, value) for name, value in values.items()}

    def mean(self, **values: Any) -> dict[str, tf.Tensor]:
        """Takes in values of this batch; returns their means over the batches so far."""
        return {name: self._shown(name, Average, value) for name, value in values.items()}

    def _shown(self, name: str, kind: type[keras.metrics.Metric], value: Any) -> tf.Tensor:
        if name not in self._others:
            with tf.init_scope():
                self._others[name] = kind(name=name)
        self._others[name].update_state(value)
        return self._others[name].result()
