"""Categorical: its gradient, and levels without mass."""

import numpy as np
import pytest
import tensorflow as tf
from discrete_cases import gradient, twin

from vae_tf.likelihoods import Categorical


@pytest.mark.parametrize("logits", [[1.0, -2.0, 0.5], [3.0, 3.0, -1.0], [0.0, 0.0, 0.0], [50.0, -50.0, 50.0]])
def test_gradient_of_the_categorical_with_ties_and_without(logits):
    likelihood, raw = Categorical((1,), 3), np.float32([logits])
    probs = np.exp(raw) / np.exp(raw).sum()
    for index in range(3):
        expected = np.eye(3)[index] - probs
        received = gradient(likelihood, raw, np.float32([[index / 2]]))
        np.testing.assert_allclose(received, expected, rtol=1e-5, atol=1e-7)


def test_categorical_never_draws_a_level_without_mass():
    likelihood = Categorical((1,), 5)
    logits = tf.constant([[[-200.0, 1.0, -200.0, 0.5, -200.0]]])
    last = np.float32([[1 - 2**-24]])
    for noise, expected in ((np.float32([[0.0]]), 0.25), (last, 0.75)):
        np.testing.assert_allclose(likelihood.observe(noise, {"logits": logits}), expected)
        np.testing.assert_allclose(twin(likelihood).observe(noise, {"logits": logits.numpy()}), expected)
