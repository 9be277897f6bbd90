"""The scale of a likelihood: how it is made, set, trained, calibrated and frozen."""

import inspect
import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from cases import LIKELIHOODS
from models import SHAPE, make_vae
from scipy import optimize, special, stats

import vae_tf
from vae_tf import likelihoods
from vae_tf.likelihoods import Bernoulli, DiscretizedLogistic, Gaussian, Laplace, NegativeBinomial, StudentT

FAMILIES = {"gaussian": Gaussian, "laplace": Laplace, "student_t": lambda *a, **k: StudentT(*a, df=3.0, **k)}
SETTABLE = ("optimal", "learned", "per_dimension")
TRAINED = ("learned", "per_dimension")


def weights_of(likelihood):
    return [weight.numpy() for weight in likelihood.weights]


def batch(likelihood, n=5, seed=0):
    """p and draws of x from it."""
    rng = np.random.default_rng(seed)
    p = likelihood(rng.normal(size=(n, *likelihood.parameter_shape)).astype(np.float32))
    return p, np.array(likelihood.observe(likelihood.noise(rng, n), likelihood.parameters_of(p)))


# --- assigning -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("multiplier", [1.0, 20.0])
@pytest.mark.parametrize("scale", SETTABLE)
@pytest.mark.parametrize("family", FAMILIES)
def test_an_assigned_scale_is_the_scale(family, scale, multiplier):
    extra = {} if scale == "optimal" else {"learning_rate_multiplier": multiplier}
    likelihood = FAMILIES[family]((3,), scale=scale, **extra)
    likelihood.assign_scale(0.02)
    np.testing.assert_allclose(likelihood.scale, np.full(likelihood.scale.shape, 0.02), rtol=1e-6)
    np.testing.assert_allclose(likelihood.precision, np.full(likelihood.scale.shape, 2500.0), rtol=1e-5)
    np.testing.assert_allclose(likelihood(np.zeros((1, 3), np.float32)).layer_parameters["scale"], likelihood.scale)
    if scale == "per_dimension":
        likelihood.assign_scale([0.1, 2.0, 30.0])
        np.testing.assert_allclose(likelihood.scale, [0.1, 2.0, 30.0], rtol=1e-6)


def test_an_assigned_optimal_scale_is_not_forgotten_at_the_next_batch():
    likelihood = Gaussian((1,), scale="optimal", decay=0.9)
    likelihood.assign_scale(2.0)
    likelihood.update(likelihood(np.zeros((1, 1), np.float32)), np.full((1, 1), 3.0, np.float32))
    assert float(likelihood.scale) == pytest.approx(math.sqrt(0.9 * 4 + 0.1 * 9))


@pytest.mark.parametrize("scale", [0.3, "per_pixel"])
@pytest.mark.parametrize("family", FAMILIES)
def test_scales_that_are_not_set_are_refused(family, scale):
    likelihood = FAMILIES[family]((3,), scale=scale)
    before = weights_of(likelihood)
    with pytest.raises(ValueError, match=r"Assignment of a scale to .*: expected scale=.optimal., .*, received scale="):
        likelihood.assign_scale(0.5)
    with pytest.raises(ValueError, match=r"Calibration of .*: expected scale=.optimal., .*, received scale="):
        likelihood.calibrate(lambda: [(*batch(likelihood), None)])
    np.testing.assert_array_equal(
        np.concatenate(list(map(np.ravel, before))), np.concatenate(list(map(np.ravel, weights_of(likelihood))))
    )


@pytest.mark.parametrize("value", [0.0, -1.0, 1e-4, math.nan, math.inf, [1.0, 2.0], np.ones((3, 3))])
@pytest.mark.parametrize("scale", SETTABLE)
def test_values_that_cannot_be_a_scale(scale, value):
    with pytest.raises(ValueError, match=r"scale: expected finite numbers of at least min_scale = 0.001 in the shape"):
        Gaussian((3,), scale=scale).assign_scale(value)


# --- the learning rate of a trained scale ---------------------------------------------------------------


def log_scale_after_one_step(optimizer, **arguments):
    likelihood = Gaussian((4,), **arguments)
    with tf.GradientTape() as tape:
        loss = vae_tf.negative_log_prob(np.full((2, 4), 3.0, np.float32), likelihood(np.zeros((2, 4), np.float32)))
        loss = tf.reduce_mean(loss)
    optimizer.minimize(loss, likelihood.trainable_weights, tape=tape)
    return np.log(likelihood.scale.numpy())


@pytest.mark.parametrize("scale", TRAINED)
def test_the_multiplier_is_one_of_adam_s_step_and_its_square_of_gradient_descent_s(scale):
    for make, factor in ((keras.optimizers.Adam, 10.0), (keras.optimizers.SGD, 100.0)):
        plain = log_scale_after_one_step(make(1e-4), scale=scale)
        faster = log_scale_after_one_step(make(1e-4), scale=scale, learning_rate_multiplier=10)
        np.testing.assert_allclose(faster, factor * plain, rtol=1e-3)


@pytest.mark.parametrize("scale", TRAINED)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_multiplier_changes_nothing_but_the_step(family, scale):
    plain, faster = (FAMILIES[family]((3,), scale=scale, learning_rate_multiplier=m, min_scale=2.0) for m in (1, 30))
    p, x = batch(plain)
    np.testing.assert_allclose(plain.scale, np.full(plain.scale.shape, 2.0), rtol=1e-6)
    np.testing.assert_allclose(faster(plain.parameters_of(p)["mean"]).log_prob(x), p.log_prob(x), rtol=1e-5)
    (weight,) = faster.trainable_weights
    weight.assign(tf.fill(weight.shape, -5.0))
    weight.assign(weight.constraint(weight))
    np.testing.assert_allclose(faster.scale, plain.scale, rtol=1e-5)
    again = type(faster).from_config(faster.get_config())
    assert again.get_config() == faster.get_config()
    assert again.get_config()["learning_rate_multiplier"] == 30


@pytest.mark.parametrize("scale", [0.3, "optimal", "per_pixel"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_multiplier_beside_a_scale_without_a_learning_rate_is_refused(family, scale):
    with pytest.raises(ValueError, match=r"learning_rate_multiplier: expected scale=\"learned\" or \"per_dimension\""):
        FAMILIES[family]((3,), scale=scale, learning_rate_multiplier=10)


@pytest.mark.parametrize("multiplier", [0, -1, math.nan, "fast", True])
def test_bad_multipliers(multiplier):
    with pytest.raises(ValueError, match="learning_rate_multiplier: expected a finite number above 0"):
        Gaussian((3,), scale="learned", learning_rate_multiplier=multiplier)


@pytest.mark.integration
def test_a_learned_scale_ends_where_the_optimal_one_does(digits):
    x, _ = digits

    def trained(**arguments):
        vae = make_vae(Gaussian(SHAPE, **arguments), latent_dim=4, steps_per_execution=24)
        vae.fit(x, batch_size=64, epochs=20, verbose=0)
        return float(vae.likelihood.scale)

    best = trained(scale="optimal")
    for multiplier in (10, 50):
        assert trained(scale="learned", learning_rate_multiplier=multiplier) == pytest.approx(best, rel=0.04)
    assert trained(scale="learned") > 2 * best


# --- frozen likelihoods ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_a_frozen_likelihood_keeps_its_statistics(name):
    likelihood = LIKELIHOODS[name][0]()
    p, x = batch(likelihood)
    likelihood.update(p, x)
    moved, count = weights_of(likelihood), float(likelihood.update_count)
    assert count == 1
    likelihood.trainable = False
    p, x = batch(likelihood, seed=1)
    assert likelihood.update(p, x) is p
    for before, after in zip(moved, (w.numpy() for w in likelihood.weights), strict=True):
        np.testing.assert_array_equal(after, before)
    likelihood.trainable = True
    likelihood.update(p, x)
    assert float(likelihood.update_count) == 2


@pytest.mark.parametrize("part", ["decoder", "likelihood"])
@pytest.mark.parametrize("scale", [0.3, "learned", "optimal", "per_dimension", "per_pixel"])
def test_sigma_of_a_frozen_part_stays_in_training(part, scale):
    vae = make_vae(Gaussian(SHAPE, scale=scale))
    x = np.random.default_rng(0).random((32, *SHAPE)).astype(np.float32)
    vae.fit(x, epochs=1, batch_size=16, verbose=0)
    getattr(vae, part).trainable = False
    vae.compile("adam")
    before = weights_of(vae.likelihood)
    encoder = vae.encoder.get_weights()
    vae.fit(x, epochs=2, batch_size=16, verbose=0)
    for old, new in zip(before, weights_of(vae.likelihood), strict=True):
        np.testing.assert_array_equal(old, new)
    assert any((old != new).any() for old, new in zip(encoder, vae.encoder.get_weights(), strict=True))


def test_sigma_of_a_frozen_decoder_stays_in_training_on_a_covariance():
    x = np.random.default_rng(0).normal(size=(50, 5))
    vae = vae_tf.LinearVAE(2, (5,), scale="optimal")
    vae.decoder.trainable = False
    vae.compile("adam")
    before = weights_of(vae.likelihood)
    vae.fit_covariance(np.cov(x.T, bias=True), x.mean(axis=0), len(x), steps=3, train_encoder=True)
    assert weights_of(vae.likelihood) == before


# --- calibration ----------------------------------------------------------------------------------------

RNG = np.random.default_rng(3)
MEAN = RNG.normal(size=(500, 4)).astype(np.float32)
DATA = (MEAN + [0.02, 0.1, 0.5, 2.0] * stats.t.rvs(4.0, size=(500, 4), random_state=4)).astype(np.float32)
WEIGHT = RNG.exponential(size=500).astype(np.float32)
CUTS = [0, 7, 300, 301, 500]


def passes(likelihood, mean=MEAN, data=DATA, weight=WEIGHT):
    """The function that `calibrate` takes, in batches of several sizes, and how often it was called."""
    calls = []

    def batches():
        calls.append(1)
        for start, stop in itertools.pairwise(CUTS):
            part = slice(start, stop)
            yield likelihood(mean[part]), data[part], None if weight is None else tf.constant(weight[part])

    return batches, calls


def best_scale(negative_log_prob, low=-8.0, high=3.0):
    """exp of the log scale at the minimum."""
    options = {"bounds": (low, high), "method": "bounded", "options": {"xatol": 1e-9}}
    found = optimize.minimize_scalar(lambda t: negative_log_prob(np.exp(t)), **options)
    return float(np.exp(found.x))


LOG_DENSITIES = {
    "gaussian": lambda r, s: stats.norm.logpdf(r, 0, s),
    "laplace": lambda r, s: stats.laplace.logpdf(r, 0, s),
    "student_t": lambda r, s: stats.t.logpdf(r, 3.0, 0, s),
}


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("scale", SETTABLE)
@pytest.mark.parametrize("family", FAMILIES)
def test_calibration_is_the_maximum_of_the_likelihood(family, scale, weight):
    likelihood = FAMILIES[family]((4,), scale=scale)
    batches, calls = passes(likelihood, weight=weight)
    likelihood.calibrate(batches)
    residual = DATA.astype(np.float64) - MEAN
    w = np.ones(500) if weight is None else weight.astype(np.float64)
    columns = [[j] for j in range(4)] if scale == "per_dimension" else [slice(None)]
    expected = [
        best_scale(lambda s, c=c: -np.sum(w[:, None] * LOG_DENSITIES[family](residual[:, c], s))) for c in columns
    ]
    np.testing.assert_allclose(np.ravel(likelihood.scale), expected, rtol=1e-5)
    mse = np.sum(w[:, None] * residual**2) / np.sum(w) / 4
    assert float(likelihood.running_mse) == pytest.approx(mse, rel=1e-6)
    assert (len(calls) == 1) == (family != "student_t")
    assert len(calls) < 20


@pytest.mark.parametrize("family", [Gaussian, Laplace])
@pytest.mark.parametrize("scale", TRAINED)
def test_calibration_of_levels_maximises_their_mass(family, scale):
    rng = np.random.default_rng(0)
    loc = rng.uniform(-0.3, 1.2, size=(500, 2)).astype(np.float32)
    x = np.clip(np.rint((loc + [0.05, 0.2] * rng.normal(size=(500, 2))) * 15), 0, 15).astype(np.float32) / 15
    likelihood = family((2,), scale=scale, quantised=True, levels=16)
    batches, calls = passes(likelihood, mean=loc, data=x)
    likelihood.calibrate(batches)
    above = stats.norm.sf if family is Gaussian else stats.laplace.sf
    lower, upper = np.where(x == 0, -np.inf, x - 1 / 30), np.where(x == 1, np.inf, x + 1 / 30)

    def loss(columns):
        low, high, middle = (v[:, columns].astype(np.float64) for v in (lower, upper, loc))
        return lambda s: -np.sum(WEIGHT[:, None] * np.log(above((low - middle) / s) - above((high - middle) / s)))

    columns = [[0], [1]] if scale == "per_dimension" else [slice(None)]
    expected = [best_scale(loss(c), low=-3.5, high=0.5) for c in columns]
    np.testing.assert_allclose(np.ravel(likelihood.scale), expected, rtol=1e-4)
    assert 1 < len(calls) < 20


def test_calibration_of_an_optimal_sigma_of_levels_is_the_residual_that_training_measures():
    likelihood = Gaussian((3,), quantised=True, levels=17)
    x = np.array([[0.0, 1.0, 0.5]], np.float32)
    likelihood.calibrate(lambda: [(likelihood(np.array([[-50, 70, 0.25]], np.float32)), x, None)])
    np.testing.assert_allclose(likelihood.scale, np.sqrt(0.25**2 / 3), rtol=1e-6)


def test_calibration_does_not_lose_small_batches_among_many():
    """In float32 a sum of 2^24 ones stays where it is."""
    likelihood = Gaussian((1,))
    zero, one = np.zeros((1, 1), np.float32), np.ones((1, 1), np.float32)
    p = likelihood(zero)
    pairs = [(p, one, np.array([2.0**25])), *[(p, zero, np.ones(1))] * 100]
    likelihood.calibrate(lambda: iter(pairs))
    assert float(likelihood.running_mse) == np.float32(2.0**25 / (2.0**25 + 100))


@pytest.mark.parametrize("family", FAMILIES)
def test_training_goes_on_from_a_calibrated_scale(family):
    likelihood = FAMILIES[family]((4,), scale="optimal", decay=0.99)
    likelihood.calibrate(passes(likelihood)[0])
    calibrated = float(likelihood.scale)
    likelihood.update(likelihood(MEAN[:9]), DATA[:9])
    assert float(likelihood.scale) == pytest.approx(calibrated, rel=0.05)


def test_calibration_stays_at_the_floor():
    for make in FAMILIES.values():
        for scale in SETTABLE:
            likelihood = make((4,), scale=scale, min_scale=0.01)
            likelihood.calibrate(passes(likelihood, data=MEAN)[0])
            np.testing.assert_allclose(likelihood.scale, np.full(likelihood.scale.shape, 0.01), rtol=1e-5)


@pytest.mark.parametrize("make", [Bernoulli, DiscretizedLogistic, NegativeBinomial])
def test_likelihoods_without_a_scale_have_nothing_to_calibrate(make):
    likelihood = make((3,))
    with pytest.raises(ValueError, match=r"Calibration of .*: expected a likelihood whose scale is a number"):
        likelihood.calibrate(lambda: [(*batch(likelihood), None)])


def test_a_frozen_likelihood_is_not_calibrated():
    likelihood = Gaussian((4,), trainable=False)
    with pytest.raises(ValueError, match=r"expected a likelihood that may change, received a frozen one"):
        likelihood.calibrate(passes(likelihood)[0])


def test_data_that_say_nothing_are_refused():
    likelihood = Gaussian((4,))
    for batches in (list, passes(likelihood, weight=np.zeros(500, np.float32))[0]):
        with pytest.raises(ValueError, match="expected examples, some of them with a weight above 0"):
            likelihood.calibrate(batches)
    with pytest.raises(ValueError, match="expected finite residuals, received a mean square of nan"):
        likelihood.calibrate(passes(likelihood, data=np.full_like(DATA, np.nan))[0])
    assert float(likelihood.scale) == 1


# --- importance weights -----------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", ["optimal", "per_pixel"])
@pytest.mark.parametrize("family", FAMILIES)
def test_statistics_of_weighted_draws_are_those_of_repeated_ones(family, scale):
    """K draws of z for each example, `[K B, *E]`, with their importance weights."""
    weighted, repeated = (FAMILIES[family]((2,), scale=scale) for _ in range(2))
    _, x = batch(weighted, n=4)
    raw = np.random.default_rng(0).normal(size=(4, *weighted.parameter_shape)).astype(np.float32)
    weighted.update(weighted(raw), x, tf.constant([0.25, 0.75, 1.0, 0.0]))
    rows = [0, 1, 1, 1, 2, 2, 2, 2]
    repeated.update(repeated(raw[rows]), x[rows])
    for one, other in zip(weights_of(weighted), weights_of(repeated), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


# --- levels ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [Gaussian, Laplace])
@pytest.mark.parametrize("levels", [256, 2, 1])
def test_levels_of_a_density_are_refused(family, levels):
    with pytest.raises(ValueError, match=f"levels: expected quantised=True beside it, received levels={levels}"):
        family((3,), levels=levels)


@pytest.mark.parametrize("family", [Gaussian, Laplace])
def test_a_density_of_the_first_edition_loads_with_its_levels(family):
    """Version 0.1.0 wrote levels=256 for every Gaussian and Laplace."""
    config = {"event_shape": [3], "decay": 0.95, "scale": "optimal", "min_scale": 0.001}
    likelihood = family.from_config(config | {"quantised": False, "levels": 256})
    assert (likelihood.measure, likelihood.quantised) == ("density", False)
    likelihood = family.from_config(config | {"quantised": True, "levels": 256})
    assert (likelihood.support, likelihood.levels) == ("256 levels in [0, 1]", 256)


def test_levels_have_one_default_and_one_meaning():
    classes = [getattr(likelihoods, name) for name in likelihoods.__all__]
    levelled = [cls for cls in classes if "levels" in inspect.signature(cls.__init__).parameters]
    with_bases = {
        cls.__name__
        for cls in classes
        if any("levels" in inspect.signature(base.__init__).parameters for base in cls.__mro__ if base is not object)
    }
    assert with_bases == {"Categorical", "DiscretizedLogistic", "Gaussian", "Laplace", "MixtureOfLogistics"}
    assert all(inspect.signature(cls.__init__).parameters["levels"].default is None for cls in levelled)
    makes = {
        "Gaussian": {"quantised": True},
        "Laplace": {"quantised": True},
        "MixtureOfLogistics": {"components": 2},
        "Categorical": {},
        "DiscretizedLogistic": {},
    }
    for name, arguments in makes.items():
        make = getattr(likelihoods, name)
        assert (make((2,), **arguments).support, make((2,), **arguments).data_range) == ("0..255", (0.0, 255.0))
        scaled = make((2,), levels=17, **arguments)
        assert (scaled.support, scaled.data_range) == ("17 levels in [0, 1]", (0.0, 1.0))


def test_a_student_t_is_not_quantised():
    with pytest.raises(TypeError, match="quantised"):
        StudentT((3,), df=3.0, quantised=True)


# --- importance weights that depend on the scale -------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("scale", ["optimal", "learned"])
def test_calibration_with_importance_weights_maximises_their_bound(family, scale):
    """sum_i log mean_k p(x_i|z_ik) at fixed draws, whose weights are those at the scale itself."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(40, 3)).astype(np.float32)
    means = (x + 0.5 * rng.normal(size=(6, 40, 3))).astype(np.float32)
    likelihood = FAMILIES[family]((3,), scale=scale)

    def batches():
        for part in (slice(0, 15), slice(15, 40)):
            target = np.tile(x[part], (6, 1))
            p = likelihood(means[:, part].reshape(-1, 3))
            log_weights = tf.reshape(p.log_prob(target), (6, -1))
            yield p, target, tf.reshape(tf.nn.softmax(log_weights, axis=0), [-1])

    likelihood.calibrate(batches, weights_follow_scale=True)

    def loss(s):
        log_prob = LOG_DENSITIES[family](x.astype(np.float64) - means, s).sum(axis=-1)
        return -np.sum(special.logsumexp(log_prob, axis=0))

    assert float(likelihood.scale) == pytest.approx(best_scale(loss, low=-4.0, high=1.0), rel=1e-4)


def test_a_calibration_that_fails_changes_nothing():
    likelihood = StudentT((4,), df=3.0)
    likelihood.update(likelihood(MEAN[:9]), DATA[:9])
    before = weights_of(likelihood)
    calls = []

    def batches():
        calls.append(1)
        if len(calls) == 3:
            raise OSError("the disk is gone")
        return [(likelihood(MEAN), DATA, None)]

    with pytest.raises(OSError, match="the disk is gone"):
        likelihood.calibrate(batches)
    for old, new in zip(before, weights_of(likelihood), strict=True):
        np.testing.assert_array_equal(old, new)
