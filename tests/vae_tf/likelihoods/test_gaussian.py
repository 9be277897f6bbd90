"""Gaussian: 1/(2 sigma^2) is the factor of the squared error, and the optimal sigma is the residual."""

import numpy as np
import pytest
import tensorflow as tf
from models import SHAPE, make_likelihood, raw_inputs

import vae_tf
from vae_tf.likelihoods import Gaussian


def test_gaussian_equivalence_is_one_over_two_sigma_squared():
    equivalence = Gaussian((28, 28, 1), scale=0.5).equivalence()
    assert (equivalence.loss, equivalence.scale_factor) == ("mse", 2.0)
    assert equivalence.constant == pytest.approx(784 * (np.log(0.5) + 0.5 * np.log(2 * np.pi)))


@pytest.mark.parametrize("name", [0.05, "learned", "optimal"])
def test_gradient_with_respect_to_the_mean_is_that_of_the_scaled_squared_error(name):
    likelihood = make_likelihood(name)
    mean = tf.constant(raw_inputs(likelihood))
    x = np.random.default_rng(2).random((5, *SHAPE), np.float32)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(mean)
        loss = tf.reduce_sum(vae_tf.negative_log_prob(x, likelihood(mean)))
        sse = likelihood.equivalence().scale_factor * tf.reduce_sum((x - mean) ** 2)
    np.testing.assert_allclose(tape.gradient(loss, mean), tape.gradient(sse, mean), rtol=1e-5)


def test_optimal_scale_is_the_residual_of_the_first_batch():
    likelihood = Gaussian(SHAPE, scale="optimal")
    assert float(likelihood.scale) == 1.0
    mean, x = raw_inputs(likelihood), np.random.default_rng(3).random((5, *SHAPE), np.float32)
    p = likelihood.update(likelihood(mean), x)
    rmse = np.sqrt(np.mean((x - mean) ** 2))
    assert float(likelihood.scale) == pytest.approx(rmse, rel=1e-6)
    assert p.stddev().numpy().max() == pytest.approx(rmse, rel=1e-6), "the loss is taken at the updated sigma"


def test_optimal_scale_maximises_the_likelihood():
    likelihood = Gaussian(SHAPE, scale="optimal")
    mean, x = raw_inputs(likelihood), np.random.default_rng(4).random((5, *SHAPE), np.float32)
    best = likelihood.update(likelihood(mean), x).log_prob(x).numpy().mean()
    for factor in (0.9, 0.99, 1.01, 1.1):
        other = Gaussian(SHAPE, scale=factor * float(likelihood.scale))
        assert other(mean).log_prob(x).numpy().mean() < best


def test_running_average_follows_its_definition():
    likelihood = Gaussian((1,), scale="optimal", decay=0.8)
    values = [4.0, 1.0, 9.0, 2.0, 2.0, 2.0, 2.0]
    expected = 1.0
    for n, value in enumerate(values, start=1):
        likelihood.update(likelihood(np.zeros((1, 1), np.float32)), np.full((1, 1), np.sqrt(value), np.float32))
        expected += max(1 / n, 0.2) * (value - expected)
        assert float(likelihood.running_mse) == pytest.approx(expected, rel=1e-5)


def test_optimal_scale_stays_at_its_floor():
    likelihood = Gaussian((1,), scale="optimal", min_scale=0.01)
    x = np.zeros((3, 1), np.float32)
    assert float(likelihood.update(likelihood(x), x).stddev()[0, 0]) == pytest.approx(0.01)


def test_learned_scale_is_projected_onto_its_floor_and_can_leave_it():
    likelihood = Gaussian((1,), scale="learned", min_scale=0.01)
    (weight,) = likelihood.trainable_weights
    weight.assign(-20.0)
    weight.assign(weight.constraint(weight))
    assert float(likelihood.scale) == pytest.approx(0.01, rel=1e-5)
    with tf.GradientTape() as tape:
        loss = vae_tf.negative_log_prob(np.ones((1, 1), np.float32), likelihood(np.zeros((1, 1), np.float32)))
    assert float(tape.gradient(loss, weight)) < 0, "the residual is 1: sigma wants to grow"


def test_a_learned_scale_starts_at_its_floor_or_above():
    assert float(Gaussian((2,), scale="learned", min_scale=2.0).scale) == pytest.approx(2.0)
