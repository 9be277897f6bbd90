"""Gaussian and Laplace over grey levels: masses of bins where they are hard to compute, and what quantising changes."""

import numpy as np
import pytest
from continuous_cases import ABOVE, TWINS, checked_log_prob, gradients, grid, log_mass, normal_above, quantised_mean
from models import SHAPE, make_vae
from scipy import stats

from vae_tf.likelihoods import Gaussian, Laplace


@pytest.mark.parametrize("family", [Gaussian, Laplace])
@pytest.mark.parametrize("levels", [2, 256])
def test_masses_of_bins_are_exact_at_extremes(family, levels):
    x, loc, scale = grid(
        np.array([0, 1, levels // 2, levels - 2, levels - 1]) / (levels - 1),
        [0, 50, -50, 0.5, 128 / 255, 128.5 / 255, 1, 1e4],
        [1e-3, 0.02, 0.3, 50, 1e4],
    )
    likelihood, parameters = family((1,), quantised=True, levels=levels), {"loc": loc, "scale": scale}
    expected = log_mass(ABOVE[family], levels)(x, loc, scale)[:, 0]
    np.testing.assert_allclose(checked_log_prob(likelihood, x, parameters), expected, rtol=1e-5, atol=1e-37)
    assert all(np.isfinite(value).all() for value in gradients(likelihood, x, parameters).values())
    twin = TWINS[family](likelihood.get_config()).log_prob(x, parameters)[:, 0]
    np.testing.assert_allclose(twin, expected, rtol=1e-5, atol=1e-37)


@pytest.mark.parametrize("family", [Gaussian, Laplace])
def test_masses_sum_to_one_and_have_the_mean(family):
    loc, scale = grid([-50, -0.2, 0, 0.3, 0.999, 50], [1e-3, 0.05, 0.3, 50])
    parameters = {"loc": loc, "scale": scale}
    likelihood = family((1,), quantised=True, levels=64)
    values = (np.arange(64) / 63).astype(np.float32)
    mass = np.exp(likelihood.distribution(parameters).log_prob(values.reshape(-1, 1, 1)).numpy().astype(np.float64))
    np.testing.assert_allclose(mass.sum(axis=0), 1, atol=1e-6)
    mean = likelihood.mean(parameters).numpy()[:, 0]
    np.testing.assert_allclose(mean, values @ mass, atol=1e-6)
    np.testing.assert_allclose(mean, quantised_mean(ABOVE[family], 64)(loc, scale)[:, 0], rtol=1e-5, atol=1e-7)


def test_gradient_of_a_mass_is_the_difference_of_densities():
    x, loc, scale = grid([0.0, 100 / 255, 1.0], [-0.3, 0.39, 0.6], [0.05, 0.2])
    gradient = gradients(Gaussian((1,), quantised=True, levels=256), x, {"loc": loc, "scale": scale})
    lower = np.where(x == 0, -np.inf, x.astype(np.float64) - 0.5 / 255)
    upper = np.where(x == 1, np.inf, x.astype(np.float64) + 0.5 / 255)
    above = stats.norm.pdf(lower, loc, scale) - stats.norm.pdf(upper, loc, scale)
    mass = np.exp(log_mass(normal_above, 256)(x, loc, scale))
    np.testing.assert_allclose(gradient["loc"], above / mass, rtol=1e-4)


def test_quantised_data_as_they_are_stored():
    stored, scaled = (Gaussian((1,), scale=s, quantised=True, levels=n) for s, n in ((255 * 0.1, None), (0.1, 256)))
    loc = np.array([[0.3], [0.9]], np.float32)
    x = np.array([[80.0], [255.0]], np.float32)
    np.testing.assert_allclose(stored(255 * loc).log_prob(x), scaled(loc).log_prob(x / 255), rtol=1e-5)
    stored.check_data(x)


@pytest.mark.parametrize("family", [Gaussian, Laplace])
def test_quantised_refuses_what_is_no_level(family):
    likelihood = family((2,), scale=0.1, quantised=True, levels=256)
    x = np.array([[0.5, 1.0]], np.float32)
    message = f"Data for {family.__name__}: expected 256 levels"
    with pytest.raises(ValueError, match=message):
        likelihood.check_data(x)
    assert likelihood(np.zeros((1, 2), np.float32)).log_prob(x)[0] == -np.inf
    parameters = {name: np.full((1, 2), 0.1, np.float32) for name in ("loc", "scale")}
    with pytest.raises(ValueError, match=message):
        TWINS[family](likelihood.get_config()).log_prob(x, parameters)
    with pytest.raises(ValueError, match="levels: expected at least 2"):
        family((2,), quantised=True, levels=1)
    family((2,)).check_data(x)


def test_what_quantised_changes():
    plain, quantised = Gaussian(SHAPE), Gaussian(SHAPE, quantised=True, levels=256)
    assert (plain.measure, quantised.measure) == ("density", "mass")
    inputs = np.zeros((1, *SHAPE), np.float32)
    assert list(plain.parameters(inputs)) == ["mean", "scale"]
    assert list(quantised.parameters(inputs)) == ["loc", "scale"]
    assert quantised.equivalence() is None
    quantised.update(quantised(inputs), inputs + 0.25)
    assert float(quantised.scale) == pytest.approx(0.25), "the scale is that of the residual around loc"


def test_a_quantised_model_trains():
    vae = make_vae(Gaussian(SHAPE, quantised=True, levels=256))
    x = (np.random.default_rng(0).integers(0, 256, (64, *SHAPE)) / 255).astype(np.float32)
    history = vae.fit(x, epochs=2, batch_size=32, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    draws = vae.sample(4, seed=0)
    np.testing.assert_allclose(draws, np.rint(draws * 255) / 255, atol=1e-6)


@pytest.mark.parametrize(("family", "scale"), [(Gaussian, np.sqrt(0.25**2 / 3)), (Laplace, 0.25 / 3)])
def test_a_location_beyond_the_levels_is_no_noise(family, scale):
    """In the open bins it may go anywhere; counted as noise, it let an optimal sigma grow to 3,500 on MNIST."""
    likelihood = family((3,), quantised=True, levels=17)
    p = likelihood(np.array([[-50, 70, 0.25]], np.float32))
    likelihood.update(p, np.array([[0.0, 1.0, 0.5]], np.float32))
    np.testing.assert_allclose(likelihood.scale, scale, rtol=1e-5)
