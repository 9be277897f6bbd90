"""Likelihoods of counts: accuracy where it is hard, refusals, and library sizes."""

import mpmath
import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from discrete_cases import CASES, extreme_inputs, gradient, numpy_parameters, twin, zero_inflated_mass

from vae_tf.likelihoods import DiscretizedLogistic, NegativeBinomial, Poisson, ZeroInflatedNegativeBinomial

COUNTS = np.float32([0, 1, 7, 1000, 1e6])
MEANS = np.float32([1e-6, 0.5, 1000, 1e6, 3.7e7])


def grid(*axes):
    return [axis.reshape(-1, 1) for axis in np.meshgrid(*axes)]


def check_counts(likelihood, x, parameters, expected):
    """Both implementations, eager and compiled, on `[B, 1]`."""
    log_prob = tf.function(lambda x, p: likelihood.distribution(p).log_prob(x), autograph=False)
    tensors = {name: tf.constant(value) for name, value in parameters.items()}
    np.testing.assert_allclose(likelihood.distribution(tensors).log_prob(x), expected, rtol=1e-6)
    np.testing.assert_allclose(log_prob(x, tensors), expected, rtol=1e-6)
    np.testing.assert_allclose(twin(likelihood).log_prob(x, parameters)[:, 0], expected, rtol=1e-6)


def test_extreme_poisson():
    x, mean = grid(COUNTS, MEANS)

    def exact(x, mean):
        x, mean = mpmath.mpf(float(x)), mpmath.mpf(float(mean))
        return float(x * mpmath.log(mean) - mean - mpmath.loggamma(x + 1))

    check_counts(Poisson((1,)), x, {"mean": mean}, np.vectorize(exact)(x, mean)[:, 0])


def test_extreme_negative_binomial():
    x, mean, dispersion = grid(COUNTS, MEANS, np.float32([1e-12, 1e-6, 1e-2, 1, 50]))

    def exact(x, mean, dispersion):
        x, mean, count = mpmath.mpf(float(x)), mpmath.mpf(float(mean)), 1 / mpmath.mpf(float(dispersion))
        choices = mpmath.loggamma(x + count) - mpmath.loggamma(count) - mpmath.loggamma(x + 1)
        return float(choices + x * mpmath.log(mean / (mean + count)) - count * mpmath.log1p(mean / count))

    parameters = {"mean": mean, "dispersion": dispersion}
    check_counts(NegativeBinomial((1,)), x, parameters, np.vectorize(exact)(x, mean, dispersion)[:, 0])


def test_extreme_zero_inflation():
    """No pi is too close to 0 or to 1, no mean too small, and log p(0) keeps its digits where p(0) is nearly 1."""
    x, mean, dispersion, logits = grid(
        np.float32([0, 1, 1000, 1e6]),
        np.float32([1e-8, 0.5, 1000, 1e8]),
        np.float32([1e-9, 1, 50]),
        np.float32([-1e4, -50, -20, -1, 0, 3, 20, 50, 1e3]),
    )
    parameters = {"component_mean": mean, "dispersion": dispersion, "zero_logits": logits}
    expected = zero_inflated_mass(x, mean, dispersion, logits).astype(np.float64)[:, 0]
    assert np.isfinite(expected).all()
    check_counts(ZeroInflatedNegativeBinomial((1,)), x, parameters | {"mean": mean}, expected)


@pytest.mark.parametrize("logits", [-700.0, -30.0, -2.0, 0.0, 2.0, 30.0, 700.0])
def test_the_zero_inflated_mass_sums_to_one(logits):
    likelihood, x = ZeroInflatedNegativeBinomial((1,)), np.arange(4000, dtype=np.float32)[:, None, None]
    p = likelihood.from_parameters(
        {
            "component_mean": tf.constant([[20.0]]),
            "dispersion": tf.constant([[0.7]]),
            "zero_logits": tf.constant([[logits]]),
        }
    )
    mass, values = np.exp(p.log_prob(x).numpy().astype(np.float64)).ravel(), x.astype(np.float64).ravel()
    assert mass.sum() == pytest.approx(1, abs=1e-6)
    mean = mass @ values
    assert float(p.mean()[0, 0]) == pytest.approx(mean, rel=1e-5, abs=1e-12)
    assert float(p.variance()[0, 0]) == pytest.approx(mass @ (values - mean) ** 2, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("name", ["poisson", "negative_binomial", "negative_binomial_fixed", "zero_inflated"])
def test_the_variance_is_that_of_the_draws(name):
    likelihood = CASES[name][0]()
    p = likelihood(np.random.default_rng(0).normal(size=(1, *likelihood.parameter_shape)).astype(np.float32))
    draws = p.sample(20_000, seed=1).numpy()[:, 0].astype(np.float64)
    centred = np.square(draws - draws.mean(axis=0))
    errors = np.abs(centred.mean(axis=0) - p.variance()[0]) / (centred.std(axis=0) / np.sqrt(len(draws)))
    assert errors.max() < 7, "of 64 dimensions, in standard errors: skewed, so beyond the normal limit of 5"
    np.testing.assert_allclose(p.stddev(), np.sqrt(p.variance()), rtol=1e-6)


def test_a_family_without_a_variance_says_so():
    with pytest.raises(NotImplementedError, match=r"Variance of DiscretizedLogistic: expected .* Take it from draws"):
        DiscretizedLogistic((1,))(np.zeros((1, 2), np.float32)).variance()


def test_without_extra_zeros_it_is_a_negative_binomial():
    raw, x = np.float32([[1.0, 3.0, 5.0]]), np.float32([[0.0, 30.0, 140.0]])
    inflated = ZeroInflatedNegativeBinomial((3,))(np.concatenate([raw, np.full((1, 3), -80, np.float32)], axis=1))
    plain = NegativeBinomial((3,))(raw)
    np.testing.assert_allclose(inflated.log_prob(x), plain.log_prob(x), rtol=1e-6)
    np.testing.assert_allclose(inflated.mean(), plain.mean(), rtol=1e-6)
    np.testing.assert_allclose(inflated.variance(), plain.variance(), rtol=1e-6)


@pytest.mark.parametrize(
    "make",
    [
        Poisson,
        NegativeBinomial,
        lambda shape: NegativeBinomial(shape, dispersion="network"),
        ZeroInflatedNegativeBinomial,
        lambda shape: ZeroInflatedNegativeBinomial(shape, dispersion="network"),
    ],
)
def test_gradients_of_counts_are_finite(make):
    likelihood = make((1,))
    raw = extreme_inputs(likelihood)
    for x in (0.0, 1.0, 1e6, 0.5, -1.0, np.nan, np.inf):
        assert np.isfinite(gradient(likelihood, raw, np.full((20, 1), x, np.float32))).all()


def test_the_rate_neither_overflows_nor_dies():
    likelihood, raw = Poisson((1,)), tf.constant([[-50.0], [0.0], [13.8155], [50.0], [1e4]])
    with tf.GradientTape() as tape:
        tape.watch(raw)
        mean = likelihood.parameters(raw)["mean"]
    np.testing.assert_allclose(mean[:, 0], [1e-6, 1 + 1e-6, 1e6, 3.72e7, 1e10], rtol=1e-2)
    assert (tape.gradient(mean, raw).numpy() > 0).all()


@pytest.mark.parametrize("make", [Poisson, NegativeBinomial, ZeroInflatedNegativeBinomial])
@pytest.mark.parametrize("value", [-1.0, 0.5])
def test_counts_refuse_what_is_no_count(make, value):
    likelihood, x = make((2,)), np.float32([[3.0, value]])
    with pytest.raises(ValueError, match=rf"expected whole numbers of at least 0, received .*{value:g} among them"):
        likelihood.check_data(x)
    p = likelihood(np.zeros((1, *likelihood.parameter_shape), np.float32))
    assert np.isneginf(p.log_prob(x)).all()
    with pytest.raises(ValueError, match="expected whole numbers of at least 0"):
        twin(likelihood).log_prob(x, numpy_parameters(likelihood, p))


@pytest.mark.parametrize("name", ["poisson", "negative_binomial", "zero_inflated"])
def test_draws_of_counts_do_not_depend_on_the_chunk(name):
    likelihood = CASES[name][0]()
    width = int(np.prod(likelihood.parameter_shape))
    parameters = likelihood.parameters_of(likelihood(np.full((6, width), 2.0, np.float32)))
    noise = likelihood.noise(np.random.default_rng(0), 6)
    whole = likelihood.observe(noise, parameters)
    halves = [
        likelihood.observe(noise[i : i + 3], likelihood.parameters_of(likelihood(np.full((3, width), 2.0, np.float32))))
        for i in (0, 3)
    ]
    np.testing.assert_array_equal(whole, np.concatenate(halves))


def test_a_small_dispersion_is_poisson():
    raw, x = np.float32([[1.0, 3.0, 5.0]]), np.float32([[2.0, 30.0, 140.0]])
    expected = Poisson((3,))(raw).log_prob(x)
    np.testing.assert_allclose(NegativeBinomial((3,), dispersion=1e-9)(raw).log_prob(x), expected, rtol=1e-6)


@pytest.mark.parametrize("dispersion", [0, -1.0, float("nan"), True, None, "best"])
def test_bad_dispersions(dispersion):
    with pytest.raises(ValueError, match="dispersion: expected"):
        NegativeBinomial((2,), dispersion=dispersion)


@pytest.mark.parametrize("make", [NegativeBinomial, ZeroInflatedNegativeBinomial])
@pytest.mark.parametrize(("word", "own"), [("gene", "per_dimension"), ("gene-cell", "network")])
def test_the_words_of_scvi_tools_for_the_dispersion(make, word, own):
    likelihood = make((3,), dispersion=word)
    assert likelihood.get_config()["dispersion"] == own
    assert likelihood.parameter_shape == make((3,), dispersion=own).parameter_shape
    assert [weight.shape for weight in likelihood.trainable_weights] == ([(3,)] if word == "gene" else [])


# --- library size ----------------------------------------------------------------------------------------

RAW_SHARES = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
LIBRARY = np.float32([10, 100, 1000])


@pytest.mark.parametrize("library", [LIBRARY, LIBRARY[:, None]])
def test_the_mean_sums_to_the_library(library):
    likelihood = NegativeBinomial((5,), library_size=True)
    np.testing.assert_allclose(likelihood(RAW_SHARES).mean().numpy().sum(axis=1), 1.0, rtol=1e-5)
    p = likelihood([RAW_SHARES, library])
    np.testing.assert_allclose(p.mean().numpy().sum(axis=1), LIBRARY, rtol=1e-5)
    again = likelihood.at_library_size(likelihood(RAW_SHARES), library)
    np.testing.assert_allclose(again.mean(), p.mean(), rtol=1e-5)
    weights = np.exp(RAW_SHARES.astype(np.float64))
    np.testing.assert_allclose(p.mean() / LIBRARY[:, None], weights / weights.sum(axis=1, keepdims=True), rtol=1e-4)


def test_of_zero_inflated_counts_the_means_before_the_zeros_sum_to_the_library():
    likelihood, x = (
        ZeroInflatedNegativeBinomial((5,), library_size=True),
        np.float32([[0, 1, 2, 3, 4], [0] * 5, [1e6, 0, 0, 0, 1]]),
    )
    raw = np.random.default_rng(0).normal(size=(3, 10)).astype(np.float32)
    p = likelihood(raw)
    given = likelihood.given(p, x)
    parameters = likelihood.parameters_of(given)
    np.testing.assert_allclose(parameters["component_mean"].numpy().sum(axis=1), x.sum(axis=1), rtol=1e-5)
    np.testing.assert_allclose(given.mean(), parameters["component_mean"] / (1 + np.exp(raw[:, 5:])), rtol=1e-5)
    shares = NegativeBinomial((5,), library_size=True)
    np.testing.assert_allclose(
        parameters["component_mean"], shares.given(shares(raw[:, :5]), x).mean(), rtol=1e-5, atol=1e-12
    )
    received = twin(likelihood).log_prob(x, numpy_parameters(likelihood, p)).sum(axis=1)
    np.testing.assert_allclose(received, given.log_prob(x), rtol=1e-5, atol=1e-12)
    assert np.isfinite(gradient(likelihood, raw, x)).all()
    assert likelihood.measure == "score"


def test_given_the_data_the_library_is_their_total():
    likelihood, x = NegativeBinomial((5,), library_size=True), np.float32([[0, 1, 2, 3, 4], [0] * 5, [1e6, 0, 0, 0, 1]])
    p = likelihood(RAW_SHARES)
    given = likelihood.given(p, x)
    expected = likelihood([RAW_SHARES, x.sum(axis=1)])
    np.testing.assert_allclose(given.log_prob(x), expected.log_prob(x), rtol=1e-5, atol=1e-12)
    received = twin(likelihood).log_prob(x, numpy_parameters(likelihood, p)).sum(axis=1)
    np.testing.assert_allclose(received, given.log_prob(x), rtol=1e-5, atol=1e-12)
    assert np.isfinite(gradient(likelihood, RAW_SHARES, x)).all()
    plain = NegativeBinomial((5,))
    p = plain(RAW_SHARES)
    assert plain.given(p, x) is p


def test_with_a_library_size_it_is_a_score_and_no_mass():
    """Every x is scored at its own total: over all x that is more than a probability."""
    x = np.stack(np.meshgrid(np.arange(60.0), np.arange(60.0)), axis=-1).reshape(-1, 2).astype(np.float32)
    sums = {}
    for name, arguments in {"mass": {}, "score": {"library_size": True}}.items():
        likelihood = NegativeBinomial((2,), dispersion=0.3, **arguments)
        assert likelihood.measure == name
        p = likelihood.given(likelihood(np.zeros((len(x), 2), np.float32)), x)
        sums[name] = np.exp(p.log_prob(x).numpy().astype(np.float64)).sum()
        if name == "score":
            at_five = likelihood([np.zeros((len(x), 2), np.float32), np.full(len(x), 5.0, np.float32)])
            assert np.exp(at_five.log_prob(x).numpy().astype(np.float64)).sum() == pytest.approx(1, abs=1e-4)
            assert likelihood.support == "counts, each example scored at its own total"
    assert sums["mass"] == pytest.approx(1, abs=1e-4)
    assert sums["score"] > 2


def test_the_running_library_follows_the_totals():
    likelihood = NegativeBinomial((5,), library_size=True)
    x = np.float32([[2] * 5, [4] * 5, [1e3] * 5])
    p = likelihood.given(likelihood(RAW_SHARES), x)
    likelihood.update(p, x, tf.constant([1.0, 1.0, 0.0]))
    assert float(likelihood.running_library) == pytest.approx(15.0)
    likelihood.update(p, x[:1], tf.constant([0.0]))
    assert float(likelihood.running_library) == pytest.approx(15.0)
    np.testing.assert_allclose(likelihood(RAW_SHARES).mean().numpy().sum(axis=1), 15.0, rtol=1e-5)


@pytest.mark.parametrize("shape", [(), (1,)])
def test_a_model_with_a_library_as_input_can_be_saved(tmp_path, shape):
    inputs = [keras.Input((5,)), keras.Input(shape)]
    model = keras.Model(inputs, NegativeBinomial((5,), library_size=True)(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    library = LIBRARY.reshape(-1, *shape)
    np.testing.assert_array_equal(loaded([RAW_SHARES, library]).mean(), model([RAW_SHARES, library]).mean())


def test_bad_libraries():
    with pytest.raises(ValueError, match=r"expected shape \[B\] or \[B, 1\].* received shape \[3, 5\]"):
        NegativeBinomial((5,), library_size=True)([RAW_SHARES, RAW_SHARES])
    with pytest.raises(ValueError, match=r"received shape \[3\] and library_size=False"):
        NegativeBinomial((5,))([RAW_SHARES, LIBRARY])


def test_a_vae_of_counts_learns_their_shares(make_vae):
    """From shares alone: the totals spread over two decades, and are given."""
    rng = np.random.default_rng(0)
    rate = np.linspace(0.1, 2, 64).reshape(8, 8, 1)
    x = rng.poisson(rate * 10 ** rng.uniform(-1, 1, size=(256, 1, 1, 1))).astype(np.float32)
    likelihood = NegativeBinomial((8, 8, 1), library_size=True)
    vae = make_vae(likelihood)
    losses = vae.fit(x, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert float(likelihood.running_library) == pytest.approx(x.sum(axis=(1, 2, 3)).mean(), rel=0.3)
    np.testing.assert_allclose(vae.reconstruct(x[:5]).sum(axis=(1, 2, 3)), x[:5].sum(axis=(1, 2, 3)), rtol=1e-4)
