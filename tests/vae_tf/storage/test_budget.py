"""The limit on the variables that are made while a file is loaded."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from vae_tf.storage import memory_of

MIB = 2**20  # what may be made beside the weights


def dense(units):
    return keras.Sequential([keras.layers.Dense(units, input_shape=(2**10,), use_bias=False)])


def functional(units):
    x = keras.Input((2**10,))
    return keras.Model(x, keras.layers.Dense(units, use_bias=False)(x))


MAKE = {
    "sequential": dense,
    "functional": functional,
    "variable": lambda units: tf.Variable(np.zeros((2**10, units), np.float32)),
    "of no shape": lambda units: tf.Variable(tf.zeros((2**10, units)), shape=tf.TensorShape(None)),
    "in a function": lambda units: tf.Variable(lambda: tf.zeros((2**10, units)), shape=(2**10, units)),
}


@pytest.mark.parametrize("name", MAKE)
def test_what_fits_is_made_and_what_does_not_is_refused(name):
    units = 2**9  # of 2^12 bytes each: 2 MiB
    with memory_of(MIB + 10_000, "x.keras"):
        MAKE[name](units)
    with (
        pytest.raises(ValueError, match=r"x\.keras: expected variables for which its 900,000 bytes .* take 2,"),
        memory_of(900_000, "x.keras"),
    ):
        MAKE[name](units)


@pytest.mark.parametrize(("count", "size"), [(3, 2**17), (2**20 // 64 + 1, 1)])
def test_the_sum_counts_and_so_does_the_number(count, size):
    with pytest.raises(ValueError, match="they take"), memory_of(0, "x"):
        _ = [tf.Variable(np.zeros(size, np.float32)) for _ in range(count)]


def test_the_type_counts():
    with memory_of(0, "x"):
        tf.Variable(np.zeros(2**18, np.float16))
    with pytest.raises(ValueError, match="they take"), memory_of(0, "x"):
        tf.Variable(np.zeros(2**18, np.float64))


def test_afterwards_there_is_no_limit():
    with memory_of(0, "x"):
        pass
    assert tf.Variable(np.zeros(2**19, np.float32)).shape == (2**19,)
