"""`vae_tf.equivalence`: recipes and the sigma that they hide, against scipy's densities and known values."""

import dataclasses
import itertools
import math
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from vae_tf import equivalence
from vae_tf.equivalence import Recipe, from_recipe, to_recipe

DIMS, LATENTS = 6, 3
REDUCTIONS = ("sum", "mean")


@pytest.mark.parametrize(
    ("reduction", "dims", "kl_weight", "sigma"),
    [
        pytest.param("mean", 784, 1.0, 19.8, id="mean-MSE + KL on 28x28"),
        pytest.param("sum", 784, 2.0, 1.0, id="0.5 SSE + KL, that is SSE + 2 KL"),
        pytest.param("sum", 784, 1.0, 0.707, id="SSE + KL"),
        pytest.param("mean", 64 * 64 * 3, 2.5e-4, 1.24, id="mean-MSE + 2.5e-4 KL on 64x64x3"),
        pytest.param("sum", 256 * 256 * 3, 1e-6, 7.1e-4, id="SSE + 1e-6 KL"),
    ],
)
def test_recipes_found_in_the_wild(reduction, dims, kl_weight, sigma):
    """Each sigma to the digits that the table of recipes prints."""
    implied = from_recipe("mse", reduction=reduction, dims=dims, kl_weight=kl_weight)
    assert implied.family == "Gaussian"
    assert implied.sigma == pytest.approx(sigma, rel=5e-3)
    assert implied.sigma == implied.scale


def test_values_by_hand():
    gaussian = from_recipe("mse", reduction="mean", dims=784)
    assert gaussian.family == "Gaussian"
    close = pytest.approx((math.sqrt(392), math.sqrt(392), 1 / 784, 392), rel=1e-14)
    assert (gaussian.scale, gaussian.sigma, gaussian.scale_factor, gaussian.beta) == close
    laplace = from_recipe("mae", reduction="mean", dims=784, kl_weight=0.5)
    assert laplace.family == "Laplace"
    close = pytest.approx((392, math.sqrt(2) * 392, 1 / 392, 392), rel=1e-14)
    assert (laplace.scale, laplace.sigma, laplace.scale_factor, laplace.beta) == close


def every_recipe():
    axes = (("mse", "mae"), REDUCTIONS, (1, 784), (1e-6, 0.3, 50.0), REDUCTIONS, (32,))
    for loss, reduction, dims, kl_weight, kl_reduction, latent_dim in itertools.product(*axes):
        yield Recipe(loss, reduction, kl_weight, dims, kl_reduction, latent_dim)


@pytest.mark.parametrize("recipe", list(every_recipe()), ids=str)
class TestInverse:
    def test_recipe_to_scale_and_back(self, recipe):
        implied = from_recipe(**dataclasses.asdict(recipe))
        words = {k: v for k, v in dataclasses.asdict(recipe).items() if k != "kl_weight"}
        back = to_recipe(implied.scale, **words)
        assert back == dataclasses.replace(recipe, kl_weight=back.kl_weight)
        assert back.kl_weight == pytest.approx(recipe.kl_weight, rel=1e-12)

    @pytest.mark.parametrize("beta", [1.0, 0.1, 4.0])
    def test_scale_to_recipe_and_back(self, recipe, beta):
        """A weight beta beside a Gaussian of scale s is the bound of one of scale s sqrt(beta), Laplace s beta."""
        scale = recipe.kl_weight
        words = {k: v for k, v in dataclasses.asdict(recipe).items() if k != "kl_weight"}
        implied = from_recipe(**dataclasses.asdict(to_recipe(scale, beta=beta, **words)))
        wanted = scale * (math.sqrt(beta) if recipe.loss == "mse" else beta)
        assert implied.scale == pytest.approx(wanted, rel=1e-12)

    def test_the_fields_agree_with_each_other(self, recipe):
        implied = from_recipe(**dataclasses.asdict(recipe))
        gaussian = recipe.loss == "mse"
        wanted = 1 / (2 * implied.scale**2) if gaussian else 1 / implied.scale
        assert implied.scale_factor == pytest.approx(wanted, rel=1e-12)
        assert implied.beta == pytest.approx(implied.scale ** (2 if gaussian else 1), rel=1e-12)
        assert recipe.error_weight / recipe.summed_kl_weight == pytest.approx(implied.scale_factor, rel=1e-12)


def distribution(implied):
    return {"Gaussian": stats.norm, "Laplace": stats.laplace}[implied.family](scale=implied.scale)


@pytest.fixture
def points():
    """x, and 40 values of everything that training moves: mu of p(x|z), mean and scale of q(z|x)."""
    rng = np.random.default_rng(0)
    return (
        rng.normal(size=DIMS),
        rng.normal(size=(40, DIMS)),
        rng.normal(size=(40, LATENTS)),
        np.exp(rng.normal(size=(40, LATENTS))),
    )


def losses(loss, reduction, kl_weight, kl_reduction, points):
    """The recipe, computed as people write it, and its error and KL by numpy and scipy alone."""
    x, mu, mean, scale = points
    error = (x - mu) ** 2 if loss == "mse" else np.abs(x - mu)
    kl = (scale**2 + mean**2 - 1) / 2 - np.log(scale)
    reduce = {"sum": np.sum, "mean": np.mean}
    recipe = reduce[reduction](error, axis=-1) + kl_weight * reduce[kl_reduction](kl, axis=-1)
    return recipe, error.sum(-1), kl.sum(-1)


@pytest.mark.parametrize("kl_weight", [0.02, 1.0, 7.0])
@pytest.mark.parametrize("kl_reduction", REDUCTIONS)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("loss", ["mse", "mae"])
class TestTruth:
    """The recipe is the negative bound of the implied likelihood, times a constant, plus a constant."""

    def implied(self, loss, reduction, kl_reduction, kl_weight):
        return from_recipe(
            loss,
            reduction=reduction,
            dims=DIMS,
            kl_weight=kl_weight,
            kl_reduction=kl_reduction,
            latent_dim=LATENTS,
        )

    def test_the_same_function_but_for_constants(self, loss, reduction, kl_reduction, kl_weight, points):
        implied = self.implied(loss, reduction, kl_reduction, kl_weight)
        recipe, _, kl = losses(loss, reduction, kl_weight, kl_reduction, points)
        x, mu, *_ = points
        bound = kl - distribution(implied).logpdf(x - mu).sum(-1)
        factor = kl_weight if kl_reduction == "sum" else kl_weight / LATENTS
        np.testing.assert_allclose(np.diff(recipe), factor * np.diff(bound), rtol=1e-9, atol=1e-12)

    def test_gradients_are_proportional(self, loss, reduction, kl_reduction, kl_weight, points):
        """Central differences along mu, the mean and the scale of q: one ratio for all of them."""
        implied = self.implied(loss, reduction, kl_reduction, kl_weight)
        x, mu, mean, scale = (points[0], *(array[0] for array in points[1:]))

        def both(theta):
            parts = np.split(theta, [DIMS, DIMS + LATENTS])
            recipe, _, kl = losses(loss, reduction, kl_weight, kl_reduction, (x, *parts))
            return np.array([recipe, kl - distribution(implied).logpdf(x - parts[0]).sum()])

        theta, h = np.concatenate([mu, mean, scale]), 1e-5
        steps = h * np.eye(theta.size)
        gradients = np.array([(both(theta + step) - both(theta - step)) / (2 * h) for step in steps])
        np.testing.assert_allclose(gradients[:, 0] / gradients[0, 0], gradients[:, 1] / gradients[0, 1], rtol=1e-5)

    def test_another_scale_would_not_do(self, loss, reduction, kl_reduction, kl_weight, points):
        implied = self.implied(loss, reduction, kl_reduction, kl_weight)
        wrong = dataclasses.replace(implied, scale=1.01 * implied.scale)
        recipe, _, kl = losses(loss, reduction, kl_weight, kl_reduction, points)
        x, mu, *_ = points
        bound = kl - distribution(wrong).logpdf(x - mu).sum(-1)
        factor = kl_weight if kl_reduction == "sum" else kl_weight / LATENTS
        assert not np.allclose(np.diff(recipe), factor * np.diff(bound), rtol=1e-4)

    def test_sigma_is_the_standard_deviation(self, loss, reduction, kl_reduction, kl_weight):
        implied = self.implied(loss, reduction, kl_reduction, kl_weight)
        assert implied.sigma == pytest.approx(distribution(implied).std(), rel=1e-12)

    def test_beta_is_the_weight_beside_scale_1(self, loss, reduction, kl_reduction, kl_weight, points):
        implied = self.implied(loss, reduction, kl_reduction, kl_weight)
        recipe, _, kl = losses(loss, reduction, kl_weight, kl_reduction, points)
        x, mu, *_ = points
        unit = dataclasses.replace(implied, scale=1.0)
        beta_vae = implied.beta * kl - distribution(unit).logpdf(x - mu).sum(-1)
        ratio = np.diff(recipe) / np.diff(beta_vae)
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-9)


def test_to_recipe_weighs_a_beta_vae(points):
    """to_recipe(scale, beta=...) trains `-log p + beta KL`, for a scale that is not 1."""
    x, mu, *_ = points
    for loss, law, beta in (("mse", stats.norm, 4.0), ("mae", stats.laplace, 0.3)):
        recipe = to_recipe(0.2, dims=DIMS, loss=loss, beta=beta, kl_reduction="mean", latent_dim=LATENTS)
        value, _, kl = losses(loss, "mean", recipe.kl_weight, "mean", points)
        bound = beta * kl - law(scale=0.2).logpdf(x - mu).sum(-1)
        ratio = np.diff(value) / np.diff(bound)
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-9)


class TestDefaults:
    def test_to_recipe_is_the_beginners_recipe(self):
        recipe = to_recipe(math.sqrt(392), dims=784)
        assert recipe == Recipe("mse", "mean", recipe.kl_weight, 784)
        assert recipe.kl_weight == pytest.approx(1.0, rel=1e-12)

    def test_summed_error_does_not_depend_on_dims(self):
        assert from_recipe("mse", reduction="sum", dims=3) == from_recipe("mse", reduction="sum", dims=784)

    def test_latent_dim_is_ignored_where_the_kl_is_summed(self):
        plain = from_recipe("mse", reduction="sum", dims=3)
        assert from_recipe("mse", reduction="sum", dims=3, latent_dim=9) == plain

    def test_results_are_immutable(self):
        for result in (from_recipe("mse", reduction="sum", dims=3), to_recipe(1.0, dims=3)):
            with pytest.raises(dataclasses.FrozenInstanceError):
                result.sigma = 2.0

    @pytest.mark.parametrize("number", [1, Fraction(1), np.float64(1), np.float32(1), np.int64(1)], ids=repr)
    def test_every_kind_of_number(self, number):
        assert from_recipe("mse", reduction="mean", dims=np.int64(2), kl_weight=number).sigma == 1.0
        assert to_recipe(number, dims=2, beta=number).kl_weight == 1.0

    def test_public_names(self):
        assert set(equivalence.__all__) == {"Implied", "PointwiseLoss", "Recipe", "explain", "from_recipe", "to_recipe"}

    def test_pointwise_loss_is_a_record(self):
        loss = equivalence.PointwiseLoss("mse", scale_factor=0.5, constant=0.9)
        assert dataclasses.asdict(loss) == {"loss": "mse", "scale_factor": 0.5, "constant": 0.9}


BAD_NUMBERS = [0, -1.0, math.nan, math.inf, -math.inf, True, "1", None, 1j]
BAD_COUNTS = [0, -3, 2.0, math.nan, True, "784", None]


class TestErrors:
    def test_bce(self):
        match = r"loss: expected 'mse' or 'mae', received 'bce', a Bernoulli likelihood, .* Sum the cross-entropy"
        with pytest.raises(ValueError, match=match):
            from_recipe("bce", reduction="sum", dims=784)
        with pytest.raises(ValueError, match=match):
            to_recipe(1.0, dims=784, loss="bce")
        assert Recipe("bce", "sum", 1.0, 784).error_weight == 1.0

    @pytest.mark.parametrize("word", ["MSE", "l2", None, ["mse"], 1])
    def test_loss(self, word):
        with pytest.raises(ValueError, match="loss: expected one of 'mse', 'mae', 'bce', received "):
            from_recipe(word, reduction="sum", dims=784)
        with pytest.raises(ValueError, match="loss: expected one of 'mse', 'mae', 'bce', received "):
            to_recipe(1.0, dims=784, loss=word)

    @pytest.mark.parametrize("name", ["reduction", "kl_reduction"])
    @pytest.mark.parametrize("word", ["none", "batchmean", "Sum", None, True])
    def test_reduction(self, name, word):
        words = {"reduction": "sum", "latent_dim": 2, name: word}
        with pytest.raises(ValueError, match=rf"^{name}: expected one of 'sum', 'mean', received {word!r}\. Choose"):
            from_recipe("mse", dims=784, **words)
        with pytest.raises(ValueError, match=rf"^{name}: expected one of 'sum', 'mean', received {word!r}\. Choose"):
            to_recipe(1.0, dims=784, **words)

    @pytest.mark.parametrize("number", BAD_NUMBERS, ids=repr)
    def test_kl_weight(self, number):
        match = "kl_weight: expected a finite number above 0, received .* Without a KL term the recipe implies no sigma"
        with pytest.raises(ValueError, match=match):
            from_recipe("mse", reduction="sum", dims=784, kl_weight=number)

    @pytest.mark.parametrize("number", BAD_NUMBERS, ids=repr)
    def test_scale_and_beta(self, number):
        with pytest.raises(ValueError, match=r"^scale: expected a finite number above 0, received "):
            to_recipe(number, dims=784)
        with pytest.raises(ValueError, match=r"^beta: expected a finite number above 0, received "):
            to_recipe(1.0, dims=784, beta=number)

    @pytest.mark.parametrize("count", BAD_COUNTS, ids=repr)
    def test_dims(self, count):
        for call in (lambda: from_recipe("mse", reduction="sum", dims=count), lambda: to_recipe(1.0, dims=count)):
            with pytest.raises(ValueError, match=r"^dims: expected a whole number of at least 1, received "):
                call()

    @pytest.mark.parametrize("kl_reduction", REDUCTIONS)
    @pytest.mark.parametrize("count", BAD_COUNTS[:-1], ids=repr)
    def test_latent_dim(self, count, kl_reduction):
        words = {"dims": 784, "reduction": "sum", "kl_reduction": kl_reduction, "latent_dim": count}
        with pytest.raises(ValueError, match=r"^latent_dim: expected a whole number of at least 1, received "):
            from_recipe("mse", **words)
        with pytest.raises(ValueError, match=r"^latent_dim: expected a whole number of at least 1, received "):
            to_recipe(1.0, **words)

    def test_latent_dim_missing(self):
        match = (
            r"^latent_dim: expected the number of latents, as kl_reduction is 'mean', received None\. Pass latent_dim"
        )
        with pytest.raises(ValueError, match=match):
            from_recipe("mse", reduction="sum", dims=784, kl_reduction="mean")
        with pytest.raises(ValueError, match=match):
            to_recipe(1.0, dims=784, kl_reduction="mean")


def imported_by(code: str) -> str:
    code += "; import sys; print([m for m in ('tensorflow', 'tf_keras', 'tensorflow_probability') if m in sys.modules])"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_needs_no_tensorflow():
    assert imported_by("import vae_tf.equivalence") == "[]"
    assert imported_by("import vae_tf; vae_tf.equivalence.from_recipe('mse', reduction='sum', dims=1)") == "[]"


def test_the_check_for_tensorflow_can_fail():
    assert imported_by("import sys; sys.modules['tensorflow'] = sys") == "['tensorflow']"


def test_numpy_scalars_become_plain_numbers():
    implied = eq_from(np.float32(0.1), np.int64(784))
    assert all(type(value) is float for name, value in vars(implied).items() if name != "family")


def eq_from(kl_weight, dims):
    from vae_tf.equivalence import from_recipe

    return from_recipe("mse", reduction="mean", kl_weight=kl_weight, dims=dims)


@pytest.mark.parametrize("scale", [1e200, 1e-200, 10**400])
def test_scales_beyond_floating_point(scale):
    from vae_tf.equivalence import to_recipe

    with pytest.raises(ValueError, match="expected a finite number above 0"):
        to_recipe(scale, dims=1)


def test_weights_beyond_floating_point():
    with pytest.raises(ValueError, match="KL weight over error weight: expected a finite number above 0"):
        eq_from(1e308, 784)
