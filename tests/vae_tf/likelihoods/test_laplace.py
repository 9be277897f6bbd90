"""Laplace: the absolute error, and its optimal scale."""

import math

import numpy as np
import pytest
import tensorflow as tf
from models import SHAPE

from vae_tf.likelihoods import Laplace


@pytest.mark.parametrize("scale", [0.3, 7e-4, "learned", "optimal"])
def test_laplace_is_the_absolute_error_over_its_scale(scale):
    likelihood = Laplace(SHAPE, scale=scale)
    rng = np.random.default_rng(0)
    mean, x = (rng.random((5, *SHAPE), np.float32) for _ in range(2))
    likelihood.update(likelihood(mean), x)
    equivalence = likelihood.equivalence()
    assert equivalence.loss == "mae"
    absolute = np.abs(x.astype(np.float64) - mean).sum(axis=(1, 2, 3))
    expected = equivalence.scale_factor * absolute + equivalence.constant
    np.testing.assert_allclose(-likelihood(mean).log_prob(x).numpy(), expected, rtol=1e-5)


def test_optimal_laplace_scale_is_the_mean_absolute_residual_and_follows_weights():
    likelihood = Laplace((2,), scale="optimal", decay=0.5)
    mean, x = np.zeros((2, 2), np.float32), np.array([[1, -3], [5, 5]], np.float32)
    p = likelihood.update(likelihood(mean), x)
    assert float(likelihood.scale) == pytest.approx(3.5)
    np.testing.assert_allclose(p.stddev(), np.full((2, 2), 3.5 * math.sqrt(2)), rtol=1e-6)
    likelihood.update(likelihood(mean), x, tf.constant([1.0, 0.0]))
    assert float(likelihood.scale) == pytest.approx(0.5 * 3.5 + 0.5 * 2.0)
    likelihood.update(likelihood(mean), x, tf.zeros(2))
    assert float(likelihood.scale) == pytest.approx(2.75), "a batch without weight says nothing"
    likelihood.update(likelihood(mean), mean)
    assert float(likelihood.running_mse) > 0
