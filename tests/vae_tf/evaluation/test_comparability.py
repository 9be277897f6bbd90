"""The numbers that may stand in one column, and the number that is added to make them comparable."""

import functools

import numpy as np
import pytest
from models import SHAPE, make_vae

from vae_tf import evaluation
from vae_tf.evaluation._importance import Pass
from vae_tf.likelihoods import Bernoulli, Categorical, DiscretizedLogistic, Gaussian, NegativeBinomial, Poisson


def test_one_column_holds_one_data_set():
    """Halved, the data look as if they were in [0, 1] too; their density differs by D log 2."""
    vae = make_vae(Gaussian(SHAPE, scale=0.2), latent_dim=2)
    x = np.random.default_rng(0).random((8, *SHAPE)).astype(np.float32)
    models = {"a": vae, "half": vae}
    with pytest.raises(ValueError, match=r"half beside a: expected a density .* of other data, or of data scaled"):
        evaluation.compare(models, {"a": x, "half": x / 2}, num_samples=2)
    estimates = {name: evaluation.elbo(vae, data) for name, data in (("a", x), ("fewer", x[:4]))}
    with pytest.raises(ValueError, match="of other data"):
        evaluation.tabulate(estimates)


def test_counts_given_their_total_are_no_counts():
    library, poisson = (
        make_vae(make(SHAPE), latent_dim=2)
        for make in (functools.partial(NegativeBinomial, library_size=True), Poisson)
    )
    x = np.random.default_rng(0).poisson(3.0, (4, *SHAPE)).astype(np.float32)
    with pytest.raises(
        ValueError,
        match=r"a score \(plug-in score, counts, each .* stands beside others of its kind",
    ):
        evaluation.compare({"poisson": poisson, "library": library}, x, num_samples=2)


def test_a_plug_in_score_is_called_one_and_has_no_bits():
    vae = make_vae(NegativeBinomial(SHAPE, library_size=True), latent_dim=2)
    x = np.random.default_rng(0).poisson(3.0, (4, *SHAPE)).astype(np.float32)
    estimate = evaluation.log_likelihood(vae, x, 2, progress=False)
    assert (estimate.measure, estimate.data_scale) == (
        "score",
        "plug-in score, counts, each example scored at its own total",
    )
    table = evaluation.compare({"a": vae, "b": vae}, x, num_samples=2, progress=False)
    assert str(table).count("plug-in score") == 2
    refusals = (
        lambda: evaluation.bits_per_dim(vae, x, 2, progress=False),
        lambda: evaluation.compare({"a": vae, "b": vae}, x, quantity="bits_per_dim", num_samples=2, progress=False),
        lambda: estimate.in_bits(64),
    )
    for refused in refusals:
        with pytest.raises(ValueError, match=r"Bits per dimension: expected a density or a mass, .* received a score"):
            refused()


def test_bits_per_dimension_do_not_depend_on_the_scale_of_the_data():
    """A Gaussian VAE of images in [0, 255] with 255 sigma is that of images in [0, 1] with sigma."""
    unit = make_vae(Gaussian(SHAPE, scale=0.2), latent_dim=2)
    wide = make_vae(Gaussian(SHAPE, scale=51.0), latent_dim=2)
    wide.set_weights(unit.get_weights())
    first, last = wide.encoder.layers[1], wide.decoder.layers[-2]
    first.kernel.assign(first.kernel / 255)
    last.kernel.assign(last.kernel * 255)
    last.bias.assign(last.bias * 255)
    x = np.random.default_rng(0).integers(0, 256, (5, *SHAPE)).astype(np.float32)
    expected = evaluation.bits_per_dim(unit, x / 255, 20)
    received = evaluation.bits_per_dim(wide, x, 20, data_range=(0, 255))
    np.testing.assert_allclose(received.values, expected.values, rtol=1e-4)
    assert received.convention == "log2(256/255) bits, for x = 0 + 255 (k + u)/256"
    with pytest.raises(ValueError, match="data_range: expected"):
        evaluation.bits_per_dim(wide, x, 20, data_range=(1, 1))


def test_the_default_chunk_counts_numbers_not_pairs():
    vae = make_vae(Categorical(SHAPE, levels=17), latent_dim=2)
    x = np.zeros((2, *SHAPE), np.float32)
    assert Pass(vae, x, 10, None, 0, False).pairs == 4096 // 17
    assert Pass(vae, x, 10, 7, 0, False).pairs == 7


# --- bits of the same images ---------------------------------------------------------------------------------


def grey(seed, levels=256):
    return np.random.default_rng(seed).integers(0, levels, (6, *SHAPE)).astype(np.float32)


def small(likelihood):
    return make_vae(likelihood, latent_dim=2)


@pytest.fixture(scope="module")
def bit_models():
    """By name a model, and what it sees of whole numbers from 0 to 255."""
    return {
        "density": (small(Gaussian(SHAPE, scale=0.2)), lambda x: x / 255),
        "another density": (small(Gaussian(SHAPE, scale=0.3)), lambda x: x / 255),
        "mass in [0, 1]": (small(DiscretizedLogistic(SHAPE, levels=256)), lambda x: x / 255),
        "mass in 0..255": (small(DiscretizedLogistic(SHAPE, levels=None)), lambda x: x),
        "quantised": (small(Gaussian(SHAPE, scale=0.2, quantised=True, levels=256)), lambda x: x / 255),
    }


def test_the_same_images_stand_in_one_column_in_every_scale_and_type(bit_models):
    x = grey(0)
    models = {name: vae for name, (vae, _) in bit_models.items()}
    data = {name: see(x) for name, (_, see) in bit_models.items()}
    data["mass in 0..255"] = data["mass in 0..255"].astype(np.uint8)
    data["another density"] = data["another density"].astype(np.float64)
    table = evaluation.compare(models, data, quantity="bits_per_dim", num_samples=2, progress=False)
    assert {name for name, _ in table.rows} == set(models)
    assert len({estimate.fingerprint for _, estimate in table.rows}) == 1


@pytest.mark.parametrize("second", ["another density", "mass in [0, 1]", "mass in 0..255", "quantised"])
@pytest.mark.parametrize("change", ["others", "order", "one pixel", "fewer"])
def test_other_images_are_refused_before_anything_is_computed(second, change, bit_models, monkeypatch):
    x = grey(0)
    other = {"others": grey(1), "order": x[::-1], "one pixel": x.copy(), "fewer": x[:5]}[change]
    if change == "one pixel":
        other[3, 2, 2] = (other[3, 2, 2] + 1) % 256
    (first_model, first_see), (second_model, second_see) = bit_models["density"], bit_models[second]
    monkeypatch.setattr(Pass, "accumulate", lambda *arguments: pytest.fail("computed"))
    with pytest.raises(ValueError, match=r"b beside a: expected .* received the same of other data\. .*same examples"):
        evaluation.compare(
            {"a": first_model, "b": second_model},
            {"a": first_see(x), "b": second_see(other)},
            quantity="bits_per_dim",
            num_samples=2,
        )


def test_tables_of_bits_look_at_the_images_too(bit_models):
    vae, see = bit_models["density"]
    mass, _ = bit_models["mass in 0..255"]
    x, other = grey(0), grey(1)
    bits = evaluation.bits_per_dim(vae, see(x), 2, progress=False)
    same = evaluation.log_likelihood(mass, x, 2, progress=False).in_bits(mass.likelihood.dims)
    assert len(evaluation.tabulate({"a": bits, "b": same}).rows) == 2
    for estimate in (
        evaluation.bits_per_dim(vae, see(other), 2, progress=False),
        evaluation.log_likelihood(mass, other, 2, progress=False).in_bits(mass.likelihood.dims),
    ):
        with pytest.raises(ValueError, match="of other data"):
            evaluation.tabulate({"a": bits, "b": estimate})


def test_counts_and_binary_images_are_told_apart_too():
    for vae, x in (
        (small(Poisson(SHAPE)), np.random.default_rng(0).poisson(3.0, (4, *SHAPE))),
        (small(Bernoulli(SHAPE)), grey(0, 2)[:4]),
        (small(Categorical(SHAPE, levels=2)), grey(0, 2)[:4]),
    ):
        for quantity in ("bits_per_dim", "log_likelihood", "elbo"):
            options = {"quantity": quantity, "num_samples": 2, "progress": False}
            assert evaluation.compare({"a": vae, "b": vae}, {"a": x, "b": x.astype(np.int32)}, **options)
            with pytest.raises(ValueError, match="of other data"):
                evaluation.compare({"a": vae, "b": vae}, {"a": x, "b": x[::-1]}, **options)


def test_bernoulli_beside_categorical_of_the_same_binary_images():
    x = grey(0, 2)[:4]
    models = {"bernoulli": small(Bernoulli(SHAPE)), "categorical": small(Categorical(SHAPE, levels=2))}
    assert evaluation.compare(models, x, quantity="bits_per_dim", num_samples=2, progress=False)


@pytest.mark.parametrize("models", [lambda vae: [vae], lambda vae: vae, lambda vae: {"a": vae.encoder}])
def test_models_have_names(make_vae, digits, models):
    with pytest.raises(TypeError, match="models: expected a mapping of names to VAEs"):
        evaluation.compare(models(make_vae()), digits[1])
