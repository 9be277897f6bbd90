"""The arguments of Keras' methods that a VAE refuses: each would mean nothing here, or another loss than the bound."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras as keras

from vae_tf import _checks

_TF_KERAS = "Import tf_keras as keras: TensorFlow Probability's layers are built on it."


def check_loss(loss: Any, loss_weights: Any) -> None:
    """Refuses a loss of Keras, which would hide the likelihood's scale, and weights of losses."""
    if isinstance(loss, str | keras.losses.Loss) or not callable(loss):
        raise ValueError(
            _checks.problem(
                "loss",
                expected="a function of (x, p) that returns one number per example",
                received=repr(loss),
                remedy="Leave it out: the loss is -p.log_prob(x), and the decoder's likelihood says which.",
            )
        )
    if loss_weights is not None:
        raise TypeError("loss_weights: a VAE weighs its terms by its objective; use objective=ELBO(kl_weight=...)")


def check_optimizer(optimizer: Any) -> None:
    """Refuses an optimizer of Keras 3, and what is none."""
    if optimizer is None or isinstance(optimizer, type):
        received = "None" if optimizer is None else f"the class {optimizer.__name__}"
        expected, remedy = "an optimizer of tf_keras, or its name", 'Pass keras.optimizers.Adam(1e-3) or "adam".'
        raise TypeError(_checks.problem("optimizer", expected=expected, received=received, remedy=remedy))
    if type(optimizer).__module__.split(".")[0] == "keras":
        expected, received = "an optimizer of tf_keras, or its name", f"one of Keras 3, {type(optimizer).__name__}"
        raise TypeError(_checks.problem("optimizer", expected=expected, received=received, remedy=_TF_KERAS))


def check_replicas(*strategies: tf.distribute.Strategy) -> None:
    """Refuses several replicas, each of which would have a sigma of its own."""
    for strategy in strategies:
        if strategy.num_replicas_in_sync > 1 or isinstance(
            strategy, tf.distribute.experimental.ParameterServerStrategy
        ):
            raise NotImplementedError(
                _checks.problem(
                    "tf.distribute strategy",
                    expected="one replica",
                    received=f"{type(strategy).__name__} of {strategy.num_replicas_in_sync}",
                    remedy="Build, compile and fit the model on one device: with several, sigma and the logs of "
                    "each replica would differ.",
                )
            )


def check_class_weight(class_weight: Any) -> None:
    """Refuses weights of classes, of which a VAE has none."""
    if class_weight is not None:
        expected, received = "None: a VAE has no classes", f"{class_weight!r:.80}"
        remedy = "Pass sample_weight, one weight for each example."
        raise TypeError(_checks.problem("class_weight", expected=expected, received=received, remedy=remedy))


def check_shuffle(shuffle: Any) -> None:
    """Refuses an order of the data that is neither that of (seed, epoch) nor their own."""
    if not isinstance(shuffle, bool):
        expected, remedy = "True or False", "The order of batches of a Dataset or Sequence is its own."
        raise TypeError(_checks.problem("shuffle", expected=expected, received=repr(shuffle), remedy=remedy))


def check_counts(**counts: Any) -> None:
    """Refuses counts of epochs, steps or examples that are no whole numbers above 0; None leaves one open."""
    for name, count in counts.items():
        if count is not None:
            _checks.positive_int(name, count)
