"""Grey levels: masses on them at extremes, data off them, and levels that are none."""

import discrete_cases
import numpy as np
import pytest
import tensorflow as tf
from discrete_cases import extreme_inputs, gradient, numpy_parameters, twin

from vae_tf.likelihoods import Categorical, DiscretizedLogistic, MixtureOfLogistics, levels
from vae_tf_onnx.families import levels as twin_levels

LEVELLED = {
    "logistic": (lambda levels: DiscretizedLogistic((1,), levels), discrete_cases.discretized_logistic),
    "mixture": (lambda levels: MixtureOfLogistics((1,), 2, levels), discrete_cases.mixture_of_logistics),
    "categorical": (lambda levels: Categorical((1,), levels), discrete_cases.categorical),
}


@pytest.mark.parametrize("levels", [None, 256, 2])
@pytest.mark.parametrize("name", LEVELLED)
def test_extreme_masses_on_levels(name, levels):
    make, reference = LEVELLED[name]
    likelihood = make(levels)
    raw = extreme_inputs(likelihood)
    p, compiled = likelihood(raw), tf.function(lambda raw, x: likelihood(raw).log_prob(x), autograph=False)
    parameters = numpy_parameters(likelihood, p)
    for index in {0, 1, likelihood.grid.count // 3, likelihood.grid.count - 1}:
        x = np.full((len(raw), 1), index * likelihood.grid.width, np.float32)
        expected = reference(likelihood, x, parameters)
        np.testing.assert_allclose(p.log_prob(x), expected, rtol=1e-6, atol=1e-15)
        np.testing.assert_allclose(compiled(raw, x), expected, rtol=1e-6, atol=1e-15)
        np.testing.assert_allclose(twin(likelihood).log_prob(x, parameters)[:, 0], expected, rtol=1e-6, atol=1e-14)
        assert np.isfinite(gradient(likelihood, raw, x)).all()


@pytest.mark.parametrize("name", LEVELLED)
def test_the_mean_is_the_sum_over_levels(name):
    """And `center`, which training takes for it, is within half a level of that of a discretised logistic."""
    likelihood = LEVELLED[name][0](16)
    p = likelihood(np.random.default_rng(1).normal(size=(50, *likelihood.parameter_shape)).astype(np.float32))
    values = np.arange(16, dtype=np.float32) / 15
    masses = np.exp(p.log_prob(np.broadcast_to(values[:, None, None], (16, 50, 1))).numpy().astype(np.float64))
    np.testing.assert_allclose(p.mean()[:, 0], (masses * values[:, None]).sum(axis=0), rtol=1e-5)
    assert np.abs(likelihood.center(p) - p.mean()).max() <= 0.5 / 15


@pytest.mark.parametrize("name", LEVELLED)
@pytest.mark.parametrize("x", [-1.0, 0.5, 256.0, np.nan, np.inf])
def test_no_mass_off_the_levels(name, x):
    likelihood = LEVELLED[name][0](None)
    raw, x = extreme_inputs(likelihood), np.full((20, 1), x, np.float32)
    assert np.isneginf(likelihood(raw).log_prob(x)).all()
    assert np.isfinite(gradient(likelihood, raw, x)).all()
    with pytest.raises(ValueError, match=f"Data for {type(likelihood).__name__}: expected"):
        likelihood.check_data(x)


@pytest.mark.parametrize("name", LEVELLED)
def test_unit_floats_without_levels_are_refused(name):
    x = np.random.default_rng(0).random((2, 1))
    with pytest.raises(ValueError, match=r"expected whole numbers from 0 to 255.*levels=256"):
        LEVELLED[name][0](None).check_data(x)
    LEVELLED[name][0](256).check_data(np.rint(x * 255) / 255)


@pytest.mark.parametrize("make", [make for make, _ in LEVELLED.values()])
def test_bad_levels(make):
    with pytest.raises(ValueError, match="levels: expected at least 2, received 1"):
        make(1)


def test_sixteen_bit_levels_are_levels_in_float32():
    x = (np.arange(65536) / 65535).astype(np.float32)[:, None]
    likelihood = DiscretizedLogistic((1,), levels=65536)
    likelihood.check_data(x)
    log_prob = likelihood(np.zeros((1, 2), np.float32)).log_prob(x[::997, None])
    assert np.isfinite(log_prob).all()


def test_the_twins_take_what_the_package_takes():
    """One tolerance on both sides: float32 stores k / 65535 up to 0.002 of a level off."""
    assert twin_levels.TOLERANCE == levels.TOLERANCE
    likelihood = DiscretizedLogistic((1,), levels=65536)
    x = (np.arange(65536) / 65535).astype(np.float32)[:, None]
    parameters = numpy_parameters(likelihood, likelihood(np.zeros((1, 2), np.float32)))
    assert np.isfinite(twin(likelihood).log_prob(x, parameters)).all()
    off = (np.float32([[1000.0, 1000.5]]).T / 65535)[1:]
    with pytest.raises(ValueError, match="expected 65536 levels"):
        twin(likelihood).log_prob(off, parameters)
