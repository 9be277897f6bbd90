"""The checks that weights, the slots of an optimizer, and outputs are finite numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from vae_tf import _checks

_LONGEST_NAME = 80
_RETRAIN = "Go back to the last saved file, and train with a lower learning_rate or with clipnorm=1.0."


def check_weights(model: keras.Model, what: str = "Weights", remedy: str = _RETRAIN) -> None:
    """Raises ValueError where a weight, or a slot of the optimizer, is NaN or infinite.

    A loss can be finite although a weight is NaN: TensorFlow's fused Dense and ReLU turn NaN into 0 on a CPU. A slot
    that is not finite spoils the weights at the next step. The values are read once, where they are, and one number
    for each variable comes to the host.

    Args:
        model: A Keras model that is built.
        what: The subject of the message, such as the file that the weights are of.
        remedy: What to do about it.

    Raises:
        ValueError: In one line of less than 400 characters, which names the first such variable, how many of its
            values are not finite, and how many other variables have some. The line is longer where `what` and
            `remedy` are.
    """
    variables = _real_variables(model)
    if not variables:
        return
    finite = tf.stack([tf.reduce_all(tf.math.is_finite(variable)) for variable in variables]).numpy()
    bad = [variable for variable, good in zip(variables, finite, strict=True) if not good]
    if bad:
        wrong = int(tf.reduce_sum(tf.cast(~tf.math.is_finite(bad[0]), tf.int64)))
        others = f", and some in {len(bad) - 1} other variable{'s' * (len(bad) > 2)}" if len(bad) > 1 else ""
        received = f"{wrong} of {bad[0].shape.num_elements()} NaN or infinite in {_name(bad[0])}{others}"
        raise ValueError(_checks.problem(what, expected="finite numbers", received=received, remedy=remedy))


def check_outputs(outputs: np.ndarray) -> np.ndarray:
    """The outputs of a model for finite inputs, or a ValueError if they are not finite."""
    if not np.isfinite(outputs).all():
        expected, received = "finite numbers", "NaN or infinite ones from finite data"
        remedy = "Check the weights; in half precision large values overflow: scale the data, or use float32."
        raise ValueError(_checks.problem("Outputs of the model", expected=expected, received=received, remedy=remedy))
    return outputs


def _real_variables(model: keras.Model) -> list[Any]:
    """The weights of the model and the state of its optimizer; not whole numbers, such as a count of steps.

    The state of an objective is left out as well: NaN there says that nothing was measured yet.
    """
    own = {id(variable) for variable in getattr(model, "objective_state", {}).values()}
    optimizer = getattr(model, "optimizer", None)
    state = () if optimizer is None else optimizer.variables
    state = state() if callable(state) else state  # a method of keras.optimizers.legacy
    measured = [variable for variable in (*model.weights, *state) if id(variable) not in own]
    return [variable for variable in measured if tf.as_dtype(variable.dtype).is_floating]


def _name(variable: Any) -> str:
    name = variable.name
    return name if len(name) <= _LONGEST_NAME else f"...{name[3 - _LONGEST_NAME :]}"
