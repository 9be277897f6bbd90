"""ContinuousBernoulli, Laplace and StudentT: accuracy where it is hard, edges, and the numpy twins."""

import numpy as np
import pytest
from continuous_cases import (
    CASES,
    TWINS,
    checked_log_prob,
    gradients,
    grid,
)
from models import SHAPE
from scipy import stats

from vae_tf.likelihoods import Gaussian, Laplace, StudentT


@pytest.mark.parametrize("make", [Laplace, lambda *a, **k: StudentT(*a, df=4.0, **k)])
@pytest.mark.parametrize("scale", ["per_dimension", "per_pixel"])
def test_no_equivalence_where_dimensions_weigh_differently(make, scale):
    assert make(SHAPE, scale=scale).equivalence() is None


@pytest.mark.parametrize("make", [Gaussian, Laplace, lambda *a, **k: StudentT(*a, df=4.0, **k)])
def test_optimal_scales_stay_at_their_floor(make):
    likelihood = make((1,), scale="optimal", min_scale=0.01)
    x = np.zeros((3, 1), np.float32)
    likelihood.update(likelihood(x), x)
    assert float(likelihood.scale) == pytest.approx(0.01)
    likelihood.update(likelihood(x), x + 1)
    assert float(likelihood.scale) > 0.01


@pytest.mark.parametrize(
    ("make", "reference"),
    [
        (lambda: Gaussian((1,)), lambda x, loc, scale: stats.norm.logpdf(x, loc, scale)),
        (lambda: Laplace((1,)), lambda x, loc, scale: -np.abs(x - loc) / scale - np.log(2 * scale)),
        (lambda: StudentT((1,), df=1.5), lambda x, loc, scale: stats.t.logpdf(x, 1.5, loc, scale)),
        (lambda: StudentT((1,), df=1e9), lambda x, loc, scale: stats.norm.logpdf(x, loc, scale)),
    ],
)
def test_densities_are_exact_at_extremes(make, reference):
    x, mean, scale = grid([0, 0.3, 1, 255, -50.0003], [0, 50, -50, 0.2999], [1e-3, 0.3, 50, 1e4])
    likelihood, parameters = make(), {"mean": mean, "scale": scale}
    expected = reference(*(value.astype(np.float64) for value in (x, mean, scale)))[:, 0]
    if getattr(likelihood, "df", 0) == 1e9:  # the t with 1e9 degrees of freedom is the normal to 1e-5 near its centre
        near = (np.abs(x - mean) < 100 * scale)[:, 0]
        x, mean, scale, expected = x[near], mean[near], scale[near], expected[near]
        parameters = {"mean": mean, "scale": scale}
    np.testing.assert_allclose(checked_log_prob(likelihood, x, parameters), expected, rtol=1e-5)
    assert all(np.isfinite(value).all() for value in gradients(likelihood, x, parameters).values())


@pytest.mark.parametrize("name", [name for name in CASES if "learned" not in name and "per_dimension" not in name])
def test_numpy_twin(name):
    make, reference = CASES[name]
    likelihood = make()
    inputs = 2 * np.random.default_rng(0).normal(size=(5, *likelihood.parameter_shape)).astype(np.float32)
    parameters = likelihood.parameters_of(likelihood(inputs))
    arrays = {key: np.broadcast_to(value, (5, *SHAPE)).astype(np.float32) for key, value in parameters.items()}
    family = TWINS[type(likelihood)](likelihood.get_config())
    assert set(family.parameters) == {"mean", *parameters}
    assert set(family.parameters.values()) == {()}
    noise = family.noise(np.random.default_rng(1), 5, SHAPE)
    np.testing.assert_array_equal(noise, likelihood.noise(np.random.default_rng(1), 5))
    assert noise.dtype == np.float32
    x = family.observe(noise, arrays)
    assert x.dtype == np.float32
    np.testing.assert_allclose(x, likelihood.observe(noise, parameters), rtol=1e-5, atol=1e-5)
    terms = family.log_prob(x, arrays)
    assert terms.dtype == np.float64
    np.testing.assert_allclose(terms.sum(axis=(1, 2, 3)), reference(likelihood, x, arrays), rtol=1e-6)
