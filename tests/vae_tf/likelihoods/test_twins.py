"""Likelihoods on grey levels: accuracy where it is hard, refusals; and the numpy twins of all discrete ones."""

import numpy as np
import pytest
from discrete_cases import CASES, numpy_parameters, twin


@pytest.mark.parametrize("name", [name for name in CASES if not name.endswith("_2")])
def test_twin(name):
    likelihood = CASES[name][0]()
    raw = np.random.default_rng(3).normal(size=(3, *likelihood.parameter_shape)).astype(np.float32)
    p, family = likelihood(raw), twin(likelihood)
    parameters = numpy_parameters(likelihood, p)
    shapes = {name: value.shape[4:] for name, value in parameters.items()}
    assert family.parameters == shapes
    noise = likelihood.noise(np.random.default_rng(4), 3)
    np.testing.assert_array_equal(family.noise(np.random.default_rng(4), 3, likelihood.event_shape), noise)
    x = likelihood.observe(noise, likelihood.parameters_of(p)).numpy()
    drawn = family.observe(noise, parameters)
    assert drawn.dtype == np.float32
    np.testing.assert_allclose(drawn, x, rtol=1e-4)
    log_prob = likelihood.given(p, x).log_prob(x)
    received = family.log_prob(x, parameters).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(received, log_prob, rtol=1e-5, atol=1e-12)
    with pytest.raises(ValueError, match=f"Data for {type(likelihood).__name__}: expected"):
        family.log_prob(x + np.float32(0.3), parameters)
