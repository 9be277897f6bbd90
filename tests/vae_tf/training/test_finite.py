"""The check that every weight and every slot of the optimizer is finite."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from models import SHAPE, make_vae

from vae_tf.training.finite import check_weights


@pytest.fixture(scope="module")
def vae():
    vae = make_vae()
    vae.fit(np.random.default_rng(0).random((16, *SHAPE), dtype=np.float32), verbose=0)
    return vae


def poison(variable, value, count):
    """Puts the value in the first places of a variable; returns what puts the old ones back."""
    old = variable.numpy()
    new = np.array(old)  # a scalar too becomes an array
    new.flat[:count] = value
    variable.assign(new)
    return lambda: variable.assign(old)


def test_finite_weights_pass(vae):
    check_weights(vae)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_weight_is_named_with_the_number_of_bad_values_in_one_short_line(vae, value):
    restore = poison(vae.encoder.layers[1].kernel, value, 3)
    with pytest.raises(ValueError, match=r"Weights: expected finite numbers, received 3 of 2048 NaN") as caught:
        check_weights(vae)
    restore()
    text = str(caught.value)
    assert vae.encoder.layers[1].kernel.name in text
    assert "learning_rate" in text
    assert len(text) < 400
    assert "\n" not in text
    check_weights(vae)


def test_every_weight_and_every_slot_of_the_optimizer_is_looked_at(vae):
    """The last of each kind, one at a time: no kind is forgotten."""
    slots = [slot for slot in vae.optimizer.variables if slot.dtype.is_floating]
    assert len(slots) > 10
    assert any(slot.shape.rank for slot in slots)
    for variable in (vae.weights[0], vae.weights[-1], vae.likelihood.variables[0], slots[0], slots[1], slots[-1]):
        restore = poison(variable, np.nan, 1)
        with pytest.raises(ValueError, match=r"1 of .* NaN or infinite in "):
            check_weights(vae)
        restore()
    check_weights(vae)


def test_the_others_are_counted(vae):
    restores = [poison(layer.bias, np.nan, 1) for layer in (vae.encoder.layers[1], vae.encoder.layers[2])]
    with pytest.raises(ValueError, match="and some in 1 other variable"):
        check_weights(vae)
    restores += [poison(vae.decoder.layers[0].bias, np.nan, 1)]
    with pytest.raises(ValueError, match="and some in 2 other variables"):
        check_weights(vae)
    for restore in restores:
        restore()


def test_subject_and_remedy_are_the_callers(vae):
    restore = poison(vae.encoder.layers[1].bias, np.nan, 1)
    with pytest.raises(ValueError, match=r"^Weights in x\.keras: expected .* Copy it again\.$"):
        check_weights(vae, "Weights in x.keras", "Copy it again.")
    restore()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_precisions(dtype):
    layer = keras.layers.Dense(2, dtype=dtype)
    model = keras.Sequential([keras.layers.InputLayer((3,), dtype=dtype), layer])
    check_weights(model)
    layer.bias.assign(tf.constant([np.nan, 0], dtype))
    with pytest.raises(ValueError, match="1 of 2 NaN"):
        check_weights(model)


@pytest.mark.parametrize("optimizer", [keras.optimizers.legacy.Adam, keras.mixed_precision.LossScaleOptimizer])
def test_other_optimizers(optimizer):
    made = optimizer() if optimizer is keras.optimizers.legacy.Adam else optimizer(keras.optimizers.Adam())
    model = keras.Sequential([keras.layers.Dense(1, input_shape=(2,))])
    model.compile(made, "mse")
    model.fit(np.ones((2, 2), np.float32), np.ones((2, 1), np.float32), verbose=0)
    check_weights(model)
    slots = made.variables() if callable(made.variables) else made.variables
    poison([slot for slot in slots if slot.dtype.is_floating and slot.shape.rank][0], np.inf, 1)  # noqa: RUF015
    with pytest.raises(ValueError, match="NaN or infinite in"):
        check_weights(model)


def test_a_model_without_numbers_has_nothing_to_check():
    check_weights(keras.Sequential([keras.layers.Flatten(input_shape=(2, 2))]))


def test_a_long_name_is_cut():
    model = keras.Sequential([keras.layers.Dense(1, input_shape=(2,), name="a" * 300)])
    model.layers[0].bias.assign([np.nan])
    with pytest.raises(ValueError, match=r"NaN or infinite in \.\.\.a{40,}/bias:0") as caught:
        check_weights(model)
    assert len(str(caught.value)) < 400
