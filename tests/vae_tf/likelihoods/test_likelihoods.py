"""Gaussian and Bernoulli: the pointwise losses they are, how sigma is found, and what they refuse."""

import numpy as np
import pytest
import tensorflow as tf
from models import SHAPE, make_likelihood

import vae_tf
from vae_tf.likelihoods import Bernoulli, Gaussian


def raw_inputs(likelihood, n=5, seed=0):
    return np.random.default_rng(seed).normal(size=(n, *likelihood.parameter_shape)).astype(np.float32)


@pytest.mark.parametrize("name", [0.3, 1.0, 7e-4, "learned", "optimal", "bernoulli"])
def test_equivalence_is_the_log_prob(name):
    likelihood = make_likelihood(name)
    rng = np.random.default_rng(1)
    if name == "optimal":
        likelihood.update(likelihood(raw_inputs(likelihood)), rng.random((5, *SHAPE), np.float32))
    p = likelihood(raw_inputs(likelihood))
    x = (rng.random((5, *SHAPE)) < 0.5).astype(np.float32)
    equivalence = likelihood.equivalence()
    mean = p.mean().numpy().astype(np.float64)
    if equivalence.loss == "bce":
        pointwise = -(x * np.log(mean) + (1 - x) * np.log1p(-mean)).sum(axis=(1, 2, 3))
    else:
        pointwise = ((x - mean) ** 2).sum(axis=(1, 2, 3))
    expected = equivalence.scale_factor * pointwise + equivalence.constant
    np.testing.assert_allclose(-p.log_prob(x).numpy(), expected, rtol=1e-5)


def test_gaussian_equivalence_is_one_over_two_sigma_squared():
    equivalence = Gaussian((28, 28, 1), scale=0.5).equivalence()
    assert (equivalence.loss, equivalence.scale_factor) == ("mse", 2.0)
    assert equivalence.constant == pytest.approx(784 * (np.log(0.5) + 0.5 * np.log(2 * np.pi)))


@pytest.mark.parametrize("name", ["per_dimension", "per_pixel"])
def test_no_equivalence_where_dimensions_weigh_differently(name):
    assert make_likelihood(name).equivalence() is None


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


@pytest.mark.parametrize("scale", [0, -1.0, float("nan"), float("inf"), True, None, "best", [1.0]])
def test_bad_scales(scale):
    with pytest.raises(ValueError, match=r"scale: expected .* received"):
        Gaussian(SHAPE, scale=scale)


@pytest.mark.parametrize("shape", [(), (8, 0, 1), (8, -1), (8.5,), "88", 0, True, None])
def test_bad_shapes(shape):
    with pytest.raises(ValueError, match="event_shape: expected"):
        Gaussian(shape, scale=1.0)


@pytest.mark.parametrize(
    ("shape", "remedy"),
    [
        ((None, 2), r"received \(None, 2\)\. Leave out the batch axis: event_shape=\(2,\)"),
        ((None, 8, 8, 1), r"Leave out the batch axis: event_shape=\(8, 8, 1\)"),
        ((8, None, 1), "Every size must be known"),
        ((8, 0), r"received \(8, 0\)\. Pass the shape of one example"),
    ],
)
def test_the_remedy_for_a_shape(shape, remedy):
    for make in (Gaussian, Bernoulli):
        with pytest.raises(ValueError, match=f"event_shape: expected whole numbers of at least 1 .*{remedy}"):
            make(shape)
    with pytest.raises(ValueError, match=f"event_shape: expected .*{remedy}"):
        vae_tf.networks.mlp_encoder(shape, vae_tf.posteriors.DiagonalNormal(2))


def test_a_number_of_dimensions_is_a_shape():
    likelihood = Gaussian(13)
    assert likelihood.event_shape == Gaussian(np.int64(13)).event_shape == (13,)
    assert Gaussian.from_config(likelihood.get_config()).event_shape == (13,)
    assert vae_tf.likelihoods.StudentT(13, df=3.0).event_shape == (13,)
    assert vae_tf.LinearVAE(2, 13).event_shape == (13,)
    encoder = vae_tf.networks.mlp_encoder(13, vae_tf.posteriors.DiagonalNormal(2), hidden=(4,))
    assert encoder.input_shape == (None, 13)
    with pytest.raises(ValueError, match="convolutional network"):
        vae_tf.networks.conv_encoder(13, vae_tf.posteriors.DiagonalNormal(2))


def test_too_few_network_outputs():
    with pytest.raises(ValueError, match=r"expected \(8, 8, 2\) numbers per example \(128\), received \(64,\)"):
        Gaussian(SHAPE, scale="per_pixel")(np.zeros((2, 64), np.float32))


@pytest.mark.parametrize("decay", [-0.1, 1.0, float("nan")])
def test_bad_decay(decay):
    with pytest.raises(ValueError, match="decay: expected a number in"):
        Gaussian(SHAPE, decay=decay)


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


def test_a_learned_scale_starts_at_its_floor_or_above():
    assert float(Gaussian((2,), scale="learned", min_scale=2.0).scale) == pytest.approx(2.0)
