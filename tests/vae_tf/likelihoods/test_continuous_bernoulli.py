"""ContinuousBernoulli: exact for all logits, cross-entropy less its constant, and what lies outside [0, 1]."""

import numpy as np
import pytest
import tensorflow as tf
from continuous_cases import (
    checked_log_prob,
    continuous_bernoulli,
    continuous_bernoulli_mean,
    gradients,
    grid,
)
from scipy import special

from vae_tf.likelihoods import ContinuousBernoulli
from vae_tf_onnx.families import continuous as twins

LOGITS = np.array(
    [0, 1e-30, 1e-6, 4e-6, 0.1, 0.49999, 0.50001, 0.99999, 1.00001, 2, 7, 50, 88, 110, 1e4, 1e6], np.float32
)

LOGITS = np.concatenate([LOGITS, -LOGITS])  # 4e-6 is lambda = 1/2 + 1e-6

UNIT = np.array([0, 1e-7, 0.1, 0.3, 0.5, 0.75, 1 - 6e-8, 1], np.float32)


def test_continuous_bernoulli_is_exact_for_all_logits():
    x, logits = grid(UNIT, LOGITS)
    likelihood = ContinuousBernoulli((1,))
    parameters = likelihood.parameters(tf.constant(logits))
    np.testing.assert_allclose(
        checked_log_prob(likelihood, x, parameters), continuous_bernoulli(x, logits)[:, 0], rtol=1e-5, atol=1e-38
    )
    np.testing.assert_allclose(parameters["mean"], continuous_bernoulli_mean(logits), rtol=1e-6)
    np.testing.assert_allclose(
        gradients(likelihood, x, parameters)["logits"], x - continuous_bernoulli_mean(logits), rtol=1e-5, atol=1e-7
    )


def test_continuous_bernoulli_is_cross_entropy_less_log_c():
    x, logits = grid([0.0, 0.2, 1.0], [-3.0, 0.5, 2.0])
    cross_entropy = tf.nn.sigmoid_cross_entropy_with_logits(x, logits)
    constant = np.log(logits / np.tanh(logits / 2))
    likelihood = ContinuousBernoulli((1,))
    np.testing.assert_allclose(-likelihood(logits).log_prob(x), (cross_entropy - constant)[:, 0], rtol=1e-5)
    assert likelihood.equivalence() is None


def test_continuous_bernoulli_inverts_its_distribution_function():
    noise, logits = grid([0, 2**-24, 0.1, 0.5, 0.9, 1 - 2**-24], LOGITS)
    likelihood = ContinuousBernoulli((1,))
    x = likelihood.observe(noise, likelihood.parameters(tf.constant(logits))).numpy()
    assert ((x >= 0) & (x <= 1)).all()
    flat, moderate = np.abs(logits) < 1e-4, (np.abs(logits) > 0.01) & (np.abs(logits) <= 50)
    np.testing.assert_allclose(x[flat], noise[flat], atol=1e-5)
    x, logits = (value[moderate].astype(np.float64) for value in (x, logits))
    # x near 1 is rounded to 2^-24, which the density there, up to 50, turns into 50 * 2^-25
    back = special.expm1(x * logits) / special.expm1(logits)
    np.testing.assert_allclose(back, noise[moderate], rtol=1e-5, atol=3e-6)


@pytest.mark.parametrize("value", [-1e-6, 1.001, 255.0])
def test_continuous_bernoulli_outside_the_unit_interval(value):
    likelihood = ContinuousBernoulli((2,))
    x = np.array([[0.5, value]], np.float32)
    with pytest.raises(ValueError, match=r"Data for ContinuousBernoulli: expected values in \[0, 1\], received"):
        likelihood.check_data(x)
    assert likelihood(np.zeros((1, 2), np.float32)).log_prob(x)[0] == -np.inf
    with pytest.raises(ValueError, match=r"Data for ContinuousBernoulli: expected values in \[0, 1\], received"):
        twins.continuous_bernoulli({}).log_prob(x, {"logits": np.zeros((1, 2), np.float32)})


def test_continuous_bernoulli_is_minus_infinity_at_nan():
    assert ContinuousBernoulli((1,))(np.zeros((1, 1), np.float32)).log_prob([[np.nan]])[0] == -np.inf
