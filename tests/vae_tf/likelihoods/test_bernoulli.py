"""Bernoulli: data that it refuses, and grey levels that it reports."""

import numpy as np
import pytest
import tensorflow as tf

from vae_tf.likelihoods import Bernoulli


@pytest.mark.parametrize("value", [-0.1, 1.1, np.nan])
def test_bernoulli_refuses_data_outside_the_unit_interval(value):
    likelihood = Bernoulli((2,))
    x = np.array([[0.0, value]], np.float32)
    with pytest.raises(ValueError, match="Data for Bernoulli: expected"):
        likelihood.check_data(x)
    with pytest.raises(tf.errors.InvalidArgumentError, match="Data for Bernoulli"):
        likelihood(np.zeros((1, 2), np.float32)).log_prob(x)


def test_bernoulli_warns_once_on_grey_levels():
    likelihood = Bernoulli((2,))
    grey = np.array([[0.0, 0.5]], np.float32)
    with pytest.warns(UserWarning, match="ContinuousBernoulli"):
        likelihood.check_data(grey)
    likelihood.check_data(grey)


def test_bernoulli_is_nan_outside_where_xla_drops_the_assertion():
    likelihood = Bernoulli((2,))
    compiled = tf.function(lambda x: likelihood(tf.zeros((1, 2))).log_prob(x), jit_compile=True)
    assert np.isnan(compiled(tf.constant([[0.0, 7.0]]))[0])
