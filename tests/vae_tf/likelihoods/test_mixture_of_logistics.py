"""MixtureOfLogistics: its components and its mean."""

import numpy as np
import pytest
import tensorflow as tf

from vae_tf.likelihoods import DiscretizedLogistic, MixtureOfLogistics, _logistic
from vae_tf.likelihoods.levels import mean_of_levels


def test_components_start_apart():
    locs = MixtureOfLogistics((1,), 5).parameters(tf.zeros((1, 15)))["locs"]
    np.testing.assert_allclose(locs[0, 0], 255 * np.array([0.1, 0.3, 0.5, 0.7, 0.9]), rtol=1e-6)


def test_one_component_is_the_discretized_logistic():
    mixture, single = MixtureOfLogistics((2,), 1), DiscretizedLogistic((2,))
    loc, raw = np.float32([[0.3, 0.9]]), np.float32([[-2.0, 0.5]])
    x = np.float32([[70.0, 255.0]])
    inputs = np.stack([np.zeros_like(loc), loc - 0.5, raw], axis=-1)
    expected = single(np.concatenate([loc, raw], axis=-1)).log_prob(x)
    np.testing.assert_allclose(mixture(inputs).log_prob(x), expected, rtol=1e-6)


@pytest.mark.parametrize("components", [0, -1, 2.5, True])
def test_bad_components(components):
    match = "components: expected a whole number of at least 1, received"
    with pytest.raises(ValueError, match=match + (".*mixture of zero components" if components == 0 else "")):
        MixtureOfLogistics((1,), components)


@pytest.mark.parametrize("mixture", [False, True])
def test_a_mean_keeps_its_shape_whatever_shapes_came_before(mixture):
    """The compiled mean gives up on shapes once it has seen inputs of several ranks; ONNX needs them."""
    for rank in range(2, 7):
        loc = tf.fill((2,) * rank, 0.5)
        weights = tf.fill((2,) * rank, 0.5) if mixture else None
        mean_of_levels(_logistic.above, loc, loc, 4, weights)
    spec = tf.TensorSpec((None, 3, 2, 5))

    @tf.function(input_signature=[spec])
    def mean(loc):
        value = mean_of_levels(_logistic.above, loc, loc, 4, loc if mixture else None)
        assert value.shape.as_list() == ([None, 3, 2] if mixture else [None, 3, 2, 5])
        return value

    mean.get_concrete_function()
