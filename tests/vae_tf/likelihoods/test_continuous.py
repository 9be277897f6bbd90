"""ContinuousBernoulli, Laplace and StudentT: accuracy where it is hard, edges, and the numpy twins."""

import math

import numpy as np
import pytest
import tensorflow as tf
from continuous_cases import (
    CASES,
    TWINS,
    checked_log_prob,
    continuous_bernoulli,
    continuous_bernoulli_mean,
    gradients,
    grid,
)
from models import SHAPE
from scipy import optimize, special, stats

from vae_tf.likelihoods import ContinuousBernoulli, Gaussian, Laplace, StudentT
from vae_tf_onnx.families import continuous as twins

LOGITS = np.array(
    [0, 1e-30, 1e-6, 4e-6, 0.1, 0.49999, 0.50001, 0.99999, 1.00001, 2, 7, 50, 88, 110, 1e4, 1e6], np.float32
)
LOGITS = np.concatenate([LOGITS, -LOGITS])  # 4e-6 is lambda = 1/2 + 1e-6
UNIT = np.array([0, 1e-7, 0.1, 0.3, 0.5, 0.75, 1 - 6e-8, 1], np.float32)


# --- continuous Bernoulli ------------------------------------------------------------------------------


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


# --- scales --------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("make", [Laplace, lambda *a, **k: StudentT(*a, df=4.0, **k)])
@pytest.mark.parametrize("scale", ["per_dimension", "per_pixel"])
def test_no_equivalence_where_dimensions_weigh_differently(make, scale):
    assert make(SHAPE, scale=scale).equivalence() is None


def test_student_t_has_no_equivalence_and_tends_to_the_gaussian():
    mean, x = (np.random.default_rng(seed).normal(size=(3, *SHAPE)).astype(np.float32) for seed in (0, 1))
    likelihood = StudentT(SHAPE, df=1e8, scale=0.5)
    assert likelihood.equivalence() is None
    np.testing.assert_allclose(likelihood(mean).log_prob(x), Gaussian(SHAPE, scale=0.5)(mean).log_prob(x), rtol=1e-5)


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


def test_optimal_student_t_scale_comes_to_rest_at_the_maximum_likelihood():
    x = stats.t.rvs(3.0, scale=0.02, size=(500, 4), random_state=0).astype(np.float32)
    likelihood = StudentT((4,), df=3.0, scale="optimal", decay=0.0)
    for _ in range(60):
        p = likelihood.update(likelihood(np.zeros_like(x)), x)
    search = optimize.minimize_scalar(
        lambda scale: -stats.t.logpdf(x.astype(np.float64), 3, 0, scale).sum(), (0.01, 0.03), tol=1e-8
    )
    best = search.x
    assert float(likelihood.scale) == pytest.approx(best, rel=1e-4)
    np.testing.assert_allclose(p.log_prob(x), stats.t.logpdf(x, 3, 0, best).sum(axis=1), rtol=1e-3)


@pytest.mark.parametrize("make", [Gaussian, Laplace, lambda *a, **k: StudentT(*a, df=4.0, **k)])
def test_optimal_scales_stay_at_their_floor(make):
    likelihood = make((1,), scale="optimal", min_scale=0.01)
    x = np.zeros((3, 1), np.float32)
    likelihood.update(likelihood(x), x)
    assert float(likelihood.scale) == pytest.approx(0.01)
    likelihood.update(likelihood(x), x + 1)
    assert float(likelihood.scale) > 0.01


@pytest.mark.parametrize("df", [1.0, 0.5, -3, float("nan"), "3", None, True])
def test_bad_degrees_of_freedom(df):
    with pytest.raises(ValueError, match="df: expected"):
        StudentT(SHAPE, df=df)


# --- densities at extremes -----------------------------------------------------------------------------


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


# --- numpy twins ---------------------------------------------------------------------------------------


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


def test_twin_of_a_student_t_with_many_degrees_of_freedom():
    x, parameters = np.full((1, 1), 0.7, np.float32), {key: np.ones((1, 1), np.float32) for key in ("mean", "scale")}
    for df in (1.01, 3.0, 199.9, 200.1, 1e4, 1e12):
        ours = twins.student_t({"df": df}).log_prob(x, parameters)
        np.testing.assert_allclose(ours, StudentT((1,), df=df, scale=1.0)(x * 0 + 1).log_prob(x)[None], rtol=1e-6)
