"""Likelihoods on grey levels: accuracy where it is hard, refusals; and the numpy twins of all discrete ones."""

import discrete_cases
import numpy as np
import pytest
import tensorflow as tf
from discrete_cases import CASES, extreme_inputs, gradient, numpy_parameters, twin

from vae_tf.likelihoods import Categorical, DiscretizedLogistic, MixtureOfLogistics, _logistic, levels
from vae_tf.likelihoods.levels import mean_of_levels
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


def test_edges_take_what_lies_beyond_them():
    likelihood = DiscretizedLogistic((1,))
    p = likelihood(np.array([[-3.0, -20.0], [4.0, -20.0]], np.float32))
    np.testing.assert_allclose(p.log_prob(np.array([[0.0], [255.0]], np.float32)), 0.0, atol=1e-6)
    np.testing.assert_allclose(p.mean()[:, 0], [0.0, 255.0], atol=1e-5)


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


@pytest.mark.parametrize("make", [make for make, _ in LEVELLED.values()])
def test_bad_levels(make):
    with pytest.raises(ValueError, match="levels: expected at least 2, received 1"):
        make(1)


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


# --- the twins in numpy ----------------------------------------------------------------------------------


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
