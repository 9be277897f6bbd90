"""Evaluation, on models whose likelihood is known in closed form."""

import functools
import math

import numpy as np
import pytest
import tensorflow as tf
from models import SHAPE, binary, make_vae
from scipy import stats

import vae_tf
from vae_tf import evaluation
from vae_tf.cli import main
from vae_tf.evaluation import _importance

DIMS, LATENTS, SIGMA = 6, 2, 0.5
RNG = np.random.default_rng(0)
W = RNG.normal(size=(DIMS, LATENTS))
MU = RNG.normal(size=DIMS)
C = W @ W.T + SIGMA**2 * np.eye(DIMS)
M = W.T @ W + SIGMA**2 * np.eye(LATENTS)
X = RNG.multivariate_normal(MU, C, size=12).astype(np.float32)
LOG_P = stats.multivariate_normal(MU, C).logpdf(X)


def linear_vae(posterior, raw_scale, *, prior=None):
    """x = W z + mu + sigma eps; the posterior's mean is the exact one, V (x - mu), its raw scale constant."""
    vae = vae_tf.VAE(
        vae_tf.networks.mlp_encoder((DIMS,), posterior, hidden=()),
        vae_tf.networks.mlp_decoder(LATENTS, vae_tf.likelihoods.Gaussian((DIMS,), scale=SIGMA), hidden=()),
        prior or vae_tf.priors.StandardNormal(LATENTS),
    )
    v = np.linalg.solve(M, W.T)
    raw = np.ravel(raw_scale)
    vae.encoder.set_weights([np.hstack([v.T, np.zeros((DIMS, len(raw)))]), np.concatenate([-v @ MU, raw])])
    dense = next(layer for layer in vae.decoder.layers if layer.weights)
    dense.set_weights([W.T, MU])
    return vae


def softplus_inverse(scale):
    return np.log(np.expm1(scale - 1e-5))


def diagonal_vae(**parts):
    """The best diagonal posterior: d = sigma^2 / diag(M)."""
    scale = SIGMA / np.sqrt(np.diag(M))
    return linear_vae(vae_tf.posteriors.DiagonalNormal(LATENTS), softplus_inverse(scale), **parts)


def exact_vae():
    """The exact posterior N(V (x - mu), sigma^2 M^-1)."""
    tril = np.linalg.cholesky(SIGMA**2 * np.linalg.inv(M))
    rows = [softplus_inverse(tril[i, j]) if i == j else tril[i, j] for i in range(LATENTS) for j in range(i + 1)]
    return linear_vae(vae_tf.posteriors.FullCovarianceNormal(LATENTS), rows)


@pytest.fixture(scope="module")
def diagonal():
    return diagonal_vae()


@pytest.fixture(scope="module")
def small():
    """Models on 8 x 8 images by name, with random weights."""
    families = vae_tf.likelihoods
    return {
        "gaussian": make_vae(families.Gaussian(SHAPE, scale=0.3)),
        "laplace": make_vae(families.Laplace(SHAPE, scale=0.3)),
        "binary": make_vae(families.Bernoulli(SHAPE)),
        "unit": make_vae(families.Gaussian(SHAPE, scale=0.3, quantised=True, levels=17)),
        "bytes": make_vae(families.Gaussian(SHAPE, scale=80.0, quantised=True, levels=None)),
        "poisson": make_vae(families.Poisson(SHAPE)),
    }


def levels(n, count=256, seed=0):
    """Images of whole numbers below `count`."""
    return np.random.default_rng(seed).integers(count, size=(n, *SHAPE))


# --- the linear model --------------------------------------------------------------------------------------


def test_log_likelihood_is_exact_within_its_standard_errors(diagonal):
    estimate = evaluation.log_likelihood(diagonal, X, 4000)
    assert (estimate.standard_errors > 0).all()
    assert (estimate.standard_errors < 0.1).all()
    # 12 examples, 5 standard errors: fails with probability 7e-6
    assert (np.abs(estimate.values - LOG_P) < 5 * estimate.standard_errors).all()
    assert estimate.mean == pytest.approx(LOG_P.mean(), abs=0.01)
    assert estimate.standard_error == pytest.approx(np.std(estimate.values, ddof=1) / math.sqrt(len(X)))


def test_elbo_is_the_analytic_one(diagonal):
    estimate = evaluation.elbo(diagonal, X, 4000)
    gap = 0.5 * (np.log(np.diag(M)).sum() - np.linalg.slogdet(M)[1])  # theory.md, section 2
    # fails with probability 7e-6
    assert (np.abs(estimate.values - (LOG_P - gap)) < 5 * estimate.standard_errors).all()
    assert (estimate.values < evaluation.log_likelihood(diagonal, X, 4000).values).all()
    assert estimate.convention == "KL in closed form"


def test_with_the_exact_posterior_every_weight_is_the_likelihood():
    estimate = evaluation.log_likelihood(exact_vae(), X, 7)
    np.testing.assert_allclose(estimate.values, LOG_P, rtol=1e-5)
    assert (estimate.standard_errors < 1e-5).all()


def test_one_draw_has_no_standard_error(diagonal):
    estimate = evaluation.elbo(diagonal, X)
    assert np.isnan(estimate.standard_errors).all()
    assert estimate.num_samples == 1
    single = evaluation.elbo(diagonal, X[:1], 10)
    assert single.standard_error == single.standard_errors[0]


def test_without_a_closed_form_the_kl_comes_from_the_draws(diagonal):
    prior = vae_tf.priors.MixtureOfNormals(LATENTS, 1)
    prior.set_weights([np.zeros(1), np.zeros((1, LATENTS)), prior.get_weights()[2]])  # N(0, I)
    sampled = evaluation.elbo(diagonal_vae(prior=prior), X, 4000)
    assert sampled.convention == "KL estimated from the draws"
    closed = evaluation.elbo(diagonal, X, 4000)
    error = np.hypot(sampled.standard_errors, closed.standard_errors)
    assert (np.abs(sampled.values - closed.values) < 5 * error).all()  # fails with probability 7e-6


# --- the engine --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [evaluation.log_likelihood, evaluation.elbo])
def test_the_chunk_size_changes_neither_value_nor_error(diagonal, function):
    whole = function(diagonal, X[:3], 60, chunk_size=1000)
    for chunk_size in (1, 7, 60, 130):
        part = function(diagonal, X[:3], 60, chunk_size=chunk_size)
        np.testing.assert_allclose(part.values, whole.values, rtol=1e-6)
        np.testing.assert_allclose(part.standard_errors, whole.standard_errors, rtol=1e-4)


def test_a_value_is_a_function_of_the_seed_and_the_example_alone(diagonal):
    first, again = (evaluation.log_likelihood(diagonal, X[:4], 20, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.values, again.values)
    alone = evaluation.log_likelihood(diagonal, X[:2], 20, seed=3)
    np.testing.assert_allclose(alone.values, first.values[:2], rtol=1e-6)
    other = evaluation.log_likelihood(diagonal, X[:4], 20, seed=4)
    assert (other.values != first.values).all()


def test_the_noise_is_numpys(diagonal):
    noise = np.random.default_rng([5, 1]).standard_normal((20, LATENTS), dtype=np.float32)
    q = diagonal.encoder(X[1:2])
    z = q.mean() + q.stddev() * noise
    log_w = diagonal.decoder(z).log_prob(X[1]) + diagonal.prior.log_prob(z) - q.log_prob(z)
    expected = tf.reduce_logsumexp(log_w) - math.log(20)
    estimate = evaluation.log_likelihood(diagonal, X[:2], 20, seed=5, chunk_size=7)
    assert estimate.values[1] == pytest.approx(float(expected), rel=1e-5)


def test_the_decoder_never_sees_more_than_a_chunk(monkeypatch):
    vae, seen = diagonal_vae(), []

    def record(rows):
        seen.append(int(rows))
        return rows

    def given(p, x):
        rows = tf.numpy_function(record, [p.batch_shape_tensor()[0]], tf.int32)
        with tf.control_dependencies([rows]):
            return vae.likelihood.distribution({k: tf.identity(v) for k, v in vae.likelihood.parameters_of(p).items()})

    monkeypatch.setattr(vae.likelihood, "given", given)
    evaluation.log_likelihood(vae, X, 50, chunk_size=16)
    assert max(seen) <= 16
    assert sum(seen) == 50 * len(X)
    seen.clear()
    evaluation.log_likelihood(vae, X, 5, chunk_size=16)
    assert max(seen) == 15
    assert sum(seen) == 5 * len(X)


def test_the_weights_are_those_of_the_moment():
    vae = diagonal_vae()
    compute = _importance.bound_per_draw(vae, closed_form=False)
    noise = np.zeros((1, 2, LATENTS), np.float32)
    before = compute(X[:2], noise).numpy()
    vae.decoder.set_weights([weight + 0.1 for weight in vae.decoder.get_weights()])
    assert (compute(X[:2], noise).numpy() != before).all()


def test_many_models_in_turn_raise_no_warning_of_retracing(caplog):
    """TensorFlow logs one from the fifth function that is made in one place and traced at its call."""
    for scale in range(1, 9):
        evaluation.elbo(diagonal_vae(), X[:scale], 1, progress=False)
    assert "retracing" not in caplog.text


@pytest.mark.parametrize("posterior", [vae_tf.posteriors.InverseAutoregressiveFlow, None])
def test_flows_and_mixtures_need_no_closed_form(posterior):
    shape = vae_tf.likelihoods.Gaussian(SHAPE, scale=0.3)
    latents = posterior(3, flows=1, units=4) if posterior else vae_tf.posteriors.DiagonalNormal(3)
    prior = vae_tf.priors.StandardNormal(3) if posterior else vae_tf.priors.VampPrior(3, (5, *SHAPE))
    networks = vae_tf.networks
    vae = vae_tf.VAE(networks.mlp_encoder(SHAPE, latents, hidden=()), networks.mlp_decoder(3, shape, hidden=()), prior)
    x = levels(2) / 255
    elbo, log_likelihood = (function(vae, x, 50) for function in (evaluation.elbo, evaluation.log_likelihood))
    assert elbo.convention == "KL estimated from the draws"
    assert (elbo.values < log_likelihood.values).all(), "of the same draws: Jensen"


def test_sums_over_draws_at_the_extremes():
    values = np.array([[-1e4, -np.inf, -np.inf], [-1e4 + 1, -np.inf, 2.0]])
    total = _importance.LogMeanExp()
    for row in values:
        total.add(row[None])
    value, error = total.result()
    expected = [-1e4 + math.log((1 + math.e) / 2), -np.inf, 2 - math.log(2)]
    np.testing.assert_allclose(value, expected)
    weights = np.exp([0.0, 1.0])
    assert error[0] == pytest.approx(weights.std(ddof=1) / math.sqrt(2) / weights.mean())
    assert error[2] == pytest.approx(1.0)
    mean = _importance.Mean()
    mean.add(values[:1])
    mean.add(values[1:])
    np.testing.assert_array_equal(mean.result()[0], [-1e4 + 0.5, -np.inf, -np.inf])
    assert mean.result()[1][0] == pytest.approx(0.5)


# --- bits per dimension ------------------------------------------------------------------------------------


def independent_gaussian(sigma):
    """A model whose decoder ignores z: p(x) = N(0, sigma^2 I), and whose posterior is the prior."""
    vae = linear_vae(vae_tf.posteriors.DiagonalNormal(LATENTS), softplus_inverse(np.ones(LATENTS)))
    vae.encoder.set_weights([np.zeros_like(W, shape=(DIMS, 4)), vae.encoder.get_weights()[1] * [0, 0, 1, 1]])
    vae.decoder.set_weights([weight * 0 for weight in vae.decoder.get_weights()])
    assert float(vae.likelihood.scale) == sigma
    return vae


def test_bits_per_dimension_of_a_gaussian_by_hand():
    k = np.array([[0, 3, 1, 2, 3, 0], [1, 1, 2, 3, 0, 0]])
    estimate = evaluation.bits_per_dim(independent_gaussian(SIGMA), k / 3, 3, levels=4, seed=2)
    u = np.stack([np.random.default_rng([2, i, 1]).random(DIMS) for i in range(2)])
    nats = stats.norm(0, SIGMA).logpdf((k + u) / 4).sum(axis=-1)
    np.testing.assert_allclose(estimate.values, 2 - nats / (DIMS * math.log(2)), rtol=1e-5)
    assert (estimate.standard_errors < 1e-5).all()
    assert (estimate.quantity, estimate.unit) == ("bits_per_dim", "bits per dimension")
    assert (estimate.measure, estimate.data_scale) == ("density", "4 levels in [0, 1]")
    assert estimate.convention == "log2(4) bits, for x = (k + u)/4"


def test_dequantised_bits_bound_those_of_the_mass():
    """E_u[-log2 p(x + u)] >= -log2 of the integral over the bin, and close to it where the density is smooth."""
    rng, count = np.random.default_rng(0), 4000
    k = rng.integers(16, size=(count, DIMS))
    bits = evaluation.bits_per_dim(independent_gaussian(SIGMA), k / 15, 1, levels=16)
    normal = stats.norm(0, SIGMA)
    mass = -np.log2(normal.cdf((k + 1) / 16) - normal.cdf(k / 16)).mean(axis=-1)
    excess = bits.values - mass
    error = excess.std() / math.sqrt(count)
    assert -4 * error < excess.mean() < 4 * error + 0.01  # fails with probability 6e-5
    assert bits.mean == pytest.approx(mass.mean(), abs=0.01)


def test_a_mass_is_taken_as_it_is(small):
    bits = evaluation.bits_per_dim(small["unit"], levels(3, 17) / 16, 20)
    nats = evaluation.log_likelihood(small["unit"], levels(3, 17) / 16, 20)
    np.testing.assert_allclose(bits.values, -nats.values / (64 * math.log(2)))
    assert (bits.data_scale, bits.levels, bits.convention) == ("17 levels in [0, 1]", 17, "nothing")


@pytest.mark.parametrize(
    ("name", "x", "scale"),
    [
        ("gaussian", levels(2) / 255, "[0, 1], density"),
        ("gaussian", levels(2) / 127.5 - 1, "[-1, 1], density"),
        ("gaussian", levels(2), "[0, 255], density"),
        ("gaussian", np.full((1, *SHAPE), -2.0), "[-2, -2], density"),
        ("binary", levels(2, 2), "{0, 1}"),
        ("bytes", levels(2), "0..255"),
        ("poisson", levels(2), "counts"),
    ],
)
def test_the_scale_of_the_data_is_stated(small, name, x, scale):
    estimate = evaluation.elbo(small[name], x)
    assert estimate.data_scale == scale
    assert estimate.measure == ("density" if "density" in scale else "mass")


# --- tables ------------------------------------------------------------------------------------------------


def estimate(mean, *, quantity="log_likelihood", measure="density", data_scale="[0, 1], density", levels=None):
    values, unit = np.array([mean - 1, mean + 1.0]), "nats per example"
    return evaluation.Estimate(values, values * 0, quantity, unit, measure, data_scale, 7, "nothing", levels)


def test_a_table_is_sorted_and_states_its_unit():
    table = evaluation.tabulate({"worse": estimate(-20.0), "better": estimate(3.0)})
    assert [name for name, _ in table.rows] == ["better", "worse"]
    head, better, worse = str(table).splitlines()
    assert " ".join(head.split()) == "model log likelihood standard error unit examples draws data added"
    assert better.split()[:6] == ["better", "3.0000", "1.0000", "nats", "per", "example"]
    assert worse.index("nats") == better.index("nats") == head.index("unit")
    cells = [cell.strip() for cell in table.markdown().splitlines()[2].strip("|").split("|")]
    assert cells == ["better", "3.0000", "1.0000", "nats per example", "2", "7", "[0, 1], density", "nothing"]
    assert str(estimate(3.0)) == "3.0000 +- 1.0000 nats per example"
    bits = {name: estimate(mean, quantity="bits_per_dim", levels=256) for name, mean in (("a", 2.0), ("b", 1.0))}
    assert [name for name, _ in evaluation.tabulate(bits).rows] == ["b", "a"]


def test_a_name_that_looks_like_a_number_stays_a_name():
    table = evaluation.tabulate({"1e3": estimate(3.0), "007": estimate(-20.0)})
    assert [line.split()[0] for line in str(table).splitlines()] == ["model", "1e3", "007"]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"measure": "mass", "data_scale": "{0, 1}"}, ["a density ([0, 1], density)", "a mass ({0, 1})"]),
        ({"data_scale": "[0, 255], density"}, ["[0, 1], density", "[0, 255], density"]),
        ({"quantity": "elbo"}, ["log_likelihood", "elbo", "one table for each quantity"]),
    ],
)
def test_what_cannot_be_compared_is_refused(other, words):
    with pytest.raises(ValueError, match=r"expected .* received") as caught:
        evaluation.tabulate({"first": estimate(0.0), "second": estimate(1.0, **other)})
    for word in ["first", "second", *words]:
        assert word in str(caught.value)
    assert ('quantity="bits_per_dim"' in str(caught.value)) == ("quantity" not in other)


def test_bits_per_dimension_compare_over_equal_levels():
    bits = functools.partial(estimate, 1.0, quantity="bits_per_dim")
    rows = {
        "density": bits(levels=256, data_scale="256 levels in [0, 1]"),
        "mass": bits(measure="mass", levels=256, data_scale="0..255"),
    }
    assert len(evaluation.tabulate(rows).rows) == 2
    for other in (bits(measure="mass", levels=2, data_scale="{0, 1}"), bits(measure="mass", data_scale="counts")):
        with pytest.raises(ValueError, match=r"256 levels.*same number of levels"):
            evaluation.tabulate(rows | {"other": other})
    assert evaluation.tabulate({"a": bits(data_scale="counts"), "b": bits(data_scale="counts")})


def test_compare(small):
    x = levels(3) / 255
    table = evaluation.compare({name: small[name] for name in ("gaussian", "laplace")}, x, num_samples=5)
    for name, row in table.rows:
        np.testing.assert_array_equal(row.values, evaluation.log_likelihood(small[name], x, 5).values)
    with pytest.raises(ValueError, match=r'bytes beside gaussian.*quantity="bits_per_dim"'):
        evaluation.compare({name: small[name] for name in ("gaussian", "bytes")}, {"gaussian": x, "bytes": levels(3)})
    mixed = {name: small[name] for name in ("gaussian", "bytes")}
    data = {"gaussian": x, "bytes": levels(3)}
    bits = evaluation.compare(mixed, data, quantity="bits_per_dim", num_samples=5)
    assert {row.levels for _, row in bits.rows} == {256}
    assert evaluation.compare({"one": small["gaussian"]}, x, quantity="elbo").rows[0][1].num_samples == 1


# --- bad input ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "arguments", "message"),
    [
        (levels(2)[..., 0], {}, r"expected shape \[B, 8, 8, 1\], .* received shape \[2, 8, 8\]"),
        (levels(0), {}, r"received shape \[0, 8, 8, 1\]"),
        (np.full((1, *SHAPE), np.nan), {}, "finite numbers"),
        (levels(1), {"num_samples": 0}, "num_samples: expected a whole number of at least 1"),
        (levels(1), {"chunk_size": 0}, "chunk_size: expected a whole number of at least 1"),
        (levels(1), {"seed": -1}, "seed: expected"),
    ],
)
def test_bad_arguments(small, x, arguments, message):
    for function in (evaluation.elbo, evaluation.log_likelihood, evaluation.bits_per_dim):
        with pytest.raises(ValueError, match=message):
            function(small["gaussian"], x, **arguments)


@pytest.mark.parametrize(
    ("name", "x", "arguments", "message"),
    [
        ("gaussian", levels(2), {}, r"256 levels in \[0, 1\].*as `data_range` the lowest and highest"),
        ("gaussian", levels(2) / 254, {}, "256 levels in \\[0, 1\\], evenly spaced"),
        ("gaussian", levels(2) / 255, {"levels": 17}, "17 levels"),
        ("gaussian", levels(2) / 255, {"levels": 1}, "levels: expected at least 2"),
        ("poisson", levels(2) / 255, {}, "whole numbers"),
    ],
)
def test_bits_per_dimension_of_other_data_are_refused(small, name, x, arguments, message):
    with pytest.raises(ValueError, match=message):
        evaluation.bits_per_dim(small[name], x, 2, **arguments)


def test_a_bernoulli_has_no_bits_of_grey_levels(small):
    grey = levels(2) / 255
    with pytest.warns(UserWarning, match="grey levels"):
        estimate = evaluation.elbo(small["binary"], grey)
    assert estimate.data_scale == "grey levels, of which Bernoulli is no distribution"
    with pytest.raises(ValueError, match="expected 0 and 1, received grey levels"):
        evaluation.bits_per_dim(small["binary"], grey, 2)
    assert evaluation.bits_per_dim(small["binary"], binary(grey), 2).levels == 2


def test_bad_tables(small):
    with pytest.raises(ValueError, match="at least one"):
        evaluation.tabulate({})
    with pytest.raises(ValueError, match="at least one"):
        evaluation.compare({}, levels(1))
    with pytest.raises(ValueError, match="quantity: expected one of"):
        evaluation.compare({"a": small["gaussian"]}, levels(1), quantity="loss")
    with pytest.raises(ValueError, match="those of the models: a, received b"):
        evaluation.compare({"a": small["gaussian"]}, {"b": levels(1)})


# --- the command -------------------------------------------------------------------------------------------


@pytest.fixture
def evaluate(run_command):
    return functools.partial(run_command, main, "evaluate")


def test_the_command_prints_a_table_with_standard_errors(evaluate, tmp_path, digits):
    vae = make_vae()
    vae.save(tmp_path / "vae.keras")
    arguments = [tmp_path / "vae.keras", "--data", "digits"]
    code, out, _ = evaluate(*arguments, "--num-samples", 10, "--chunk-size", 500, "--seed", 3)
    assert code == 0
    head, elbo, log_likelihood, bits = out.splitlines()
    assert head.split()[:5] == ["test", "images", "value", "standard", "error"]
    expected = evaluation.log_likelihood(vae, digits[1], 10, seed=3)
    assert f"{expected.mean:.4f}" in log_likelihood
    assert f"{expected.standard_error:.4f}" in log_likelihood
    assert "nats per example" in elbo
    assert "KL in closed form" in elbo
    assert "bits per dimension" in bits
    assert "log2(17) bits" in bits


def test_the_command_says_where_bits_are_not_defined(evaluate, tmp_path):
    make_vae().save(tmp_path / "vae.keras")
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((20, *SHAPE)))
    arguments = [tmp_path / "vae.keras", "--data", tmp_path / "x.npy"]
    code, out, _ = evaluate(*arguments, "--num-samples", 2)
    assert code == 0
    assert "No bits per dimension. Grey levels: expected at most 256" in out
    make_vae(vae_tf.likelihoods.Bernoulli(SHAPE)).save(tmp_path / "vae.keras")
    np.save(tmp_path / "x.npy", levels(20, 2).astype(bool))
    assert "{0, 1}" in evaluate(*arguments, "--num-samples", 2)[1].splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--num-samples", "0"], "num_samples: expected a whole number of at least 1"),
        (["--num-samples", "2", "--chunk-size", "0"], "chunk_size: expected"),
        (["--seed", "1"], "--seed: of the table; add --num-samples"),
    ],
)
def test_bad_arguments_of_the_command(evaluate, tmp_path, arguments, message):
    make_vae().save(tmp_path / "vae.keras")
    code, _, err = evaluate(tmp_path / "vae.keras", "--data", "digits", *arguments)
    assert code == 2
    assert message in err
