"""Networks that work in the units of the data: moments, standardisation, the Jacobian, what is saved and exported."""

import warnings

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import tf_keras as keras
from marks import integration_but
from scipy import sparse
from sklearn.datasets import load_wine

import vae_tf
from vae_tf import likelihoods, networks, posteriors, priors
from vae_tf.networks import Moments
from vae_tf_onnx import Decoder, Encoder, export

UNITS = np.array([1e-3, 1.0, 40.0, 1e6])
OFFSETS = np.array([0.0, -3.0, 1e3, 1e8])


def table(n=300, seed=0):
    """Correlated columns in units from 0.001 to a million."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((n, 1))
    return (OFFSETS + UNITS * (0.8 * common + 0.6 * rng.standard_normal((n, 4)))).astype(np.float32)


def make(x, standardise=None, scale="per_dimension", seed=0, hidden=(16,), **arguments):
    keras.utils.set_random_seed(seed)
    likelihood = likelihoods.Gaussian(x.shape[1], scale=scale, **arguments)
    vae = vae_tf.VAE(
        networks.mlp_encoder(x.shape[1], posteriors.DiagonalNormal(2), hidden=hidden, standardise=standardise),
        networks.mlp_decoder(2, likelihood, hidden=hidden, standardise=standardise),
        priors.StandardNormal(2),
    )
    vae.compile(keras.optimizers.Adam(3e-3))
    return vae


# --- moments -------------------------------------------------------------------------------------------


def test_the_moments_of_a_table_are_those_of_its_columns(tmp_path):
    x = table(5000)
    np.save(tmp_path / "x.npy", x)
    frame = pd.DataFrame(x, columns=["a", "b", "c", "d"])
    for data in (x, frame, sparse.csr_matrix(x), tf.constant(x), np.load(tmp_path / "x.npy", mmap_mode="r")):
        moments = Moments.of(data)
        np.testing.assert_allclose(moments.mean, x.mean(axis=0, dtype=np.float64), rtol=1e-9)
        np.testing.assert_allclose(moments.std, x.std(axis=0, dtype=np.float64), rtol=1e-9)
        assert (moments.low, moments.high) == (x.min(), x.max())
    assert Moments.of(frame).names == ("a", "b", "c", "d")
    assert Moments.of(x[:, 0]).mean.shape == (1,)
    some = Moments.of(x, most=100)
    assert np.all(np.abs(some.mean - moments.mean) < 0.5 * moments.std)
    np.testing.assert_allclose(some.std, x[np.linspace(0, 4999, 100).astype(int)].std(axis=0, dtype=float), rtol=1e-9)


def test_the_moments_of_images_are_a_mean_image_and_a_scale_for_each_channel():
    x = np.random.default_rng(0).integers(0, 256, (3000, 20, 20, 3)).astype(np.uint8)  # several blocks of float64
    x[..., 1] //= 4
    moments = Moments.of(x)
    mean = x.mean(axis=0, dtype=np.float64)
    np.testing.assert_allclose(moments.mean, mean, rtol=1e-12)
    expected = np.sqrt(np.square(x - mean).mean(axis=(0, 1, 2)))
    np.testing.assert_allclose(moments.std, np.broadcast_to(expected, (20, 20, 3)), rtol=1e-12)


def test_data_without_moments_are_refused():
    x = table()
    with pytest.raises(TypeError, match="standardise: expected data that can be indexed"):
        Moments.of(tf.data.Dataset.from_tensor_slices(x).batch(8))
    with pytest.raises(ValueError, match="standardise: expected finite numbers, received 1 values"):
        Moments.of(np.where(np.arange(x.size).reshape(x.shape) == 7, np.nan, x))
    with pytest.raises(ValueError, match=r"standardise: expected examples of shape \(3,\), those of the network, rec"):
        make(x[:, :3], standardise=x)
    stamps = pd.DataFrame({"height": x[:, 1], "time": 1e9 + np.arange(300.0)})
    with pytest.raises(ValueError, match="values that float32 tells apart, received 'time', whose spread is lost"):
        Moments.of(stamps)


def test_a_constant_column_is_named_where_its_density_has_no_end_and_taken_elsewhere():
    x = table()
    x[:, 2] = 7.1
    frame = pd.DataFrame(x, columns=list("abcd"))
    for scale in ("per_dimension", "per_pixel"):
        with pytest.raises(ValueError, match="one value throughout in 'c'"):
            make(x, standardise=frame, scale=scale)
        with pytest.raises(ValueError, match="one value throughout in column 2"):
            make(x, standardise=x, scale=scale)
    vae = make(x, standardise=x, scale="optimal")
    assert np.isfinite(vae.evaluate(x, verbose=0, return_dict=True)["elbo"])
    counts = np.zeros((10, 3))
    counts[:, 0] = np.arange(10)
    decoder = networks.mlp_decoder(2, likelihoods.Poisson(3), hidden=(), standardise=counts)
    np.testing.assert_allclose(decoder(np.zeros((1, 2))).mean(), [[4.5, 1e-5, 1e-5]], rtol=0.2)


# --- the map -------------------------------------------------------------------------------------------


def test_log_p_is_that_of_the_standardised_data_minus_the_sum_of_the_log_scales():
    x = table()
    moments = Moments.of(x)
    ours = make(x, standardise=x, min_scale=1e-9)
    by_hand = make(x, min_scale=1e-6)
    z = (x.astype(np.float64) - moments.mean) / moments.std
    raw = np.random.default_rng(0).standard_normal((50, 2)).astype(np.float32)
    pairs = zip(ours.decoder.trainable_weights, by_hand.decoder.trainable_weights, strict=True)
    for mine, theirs in ((mine, theirs) for mine, theirs in pairs if "log_scale" not in mine.name):
        theirs.assign(mine)
    inner = np.array(by_hand.decoder(raw).log_prob(z[:50].astype(np.float32)))
    np.testing.assert_allclose(ours.decoder(raw).log_prob(x[:50]), inner - np.log(moments.std).sum(), rtol=1e-3)


def test_scales_start_at_those_of_the_data():
    x = table()
    std = x.std(axis=0, dtype=np.float64)
    np.testing.assert_allclose(make(x, standardise=x).likelihood.scale, std, rtol=1e-5)
    overall = np.sqrt(np.mean(std**2))
    for scale in ("learned", "optimal"):
        assert float(make(x, standardise=x, scale=scale).likelihood.scale) == pytest.approx(overall, rel=1e-5)
    vae = make(x, standardise=x, scale="per_pixel")
    at_zero = vae.likelihood.parameters_of(vae.decoder(np.zeros((1, 2), np.float32)))["scale"]
    np.testing.assert_allclose(at_zero[0], std, rtol=1e-4)
    np.testing.assert_allclose(vae.likelihood.scale, std, rtol=1e-5)
    assert float(likelihoods.Gaussian(2, 0.5).scale) == 0.5
    fixed = likelihoods.Gaussian(4, 0.5)
    networks.mlp_decoder(2, fixed, standardise=x)
    assert float(fixed.scale) == 0.5


def test_the_floor_of_a_scale_gives_way_to_small_units_unless_it_was_chosen():
    x = 1e-5 * table()[:, :2]
    likelihood = make(x, standardise=x).likelihood
    assert likelihood.min_scale < 1e-3 * x.std(axis=0).min() * 1.01
    np.testing.assert_allclose(likelihood.scale, x.std(axis=0), rtol=1e-4)
    constraint = likelihood.scaling.log_scale.constraint
    np.testing.assert_allclose(np.exp(constraint(np.float32([-99.0]))), likelihood.min_scale, rtol=1e-4)
    with pytest.raises(ValueError, match="min_scale: expected a floor below the scale of every dimension"):
        make(x, standardise=x, min_scale=0.1)
    with pytest.raises(ValueError, match="min_scale"):
        likelihoods.Gaussian(2, min_scale=0.0)


@pytest.mark.parametrize("scale", integration_but(["per_dimension", "per_pixel"], "per_pixel"))
def test_a_standardised_model_is_saved_loaded_and_exported_with_its_units(tmp_path, scale):
    x = table()[:, :3]
    vae = make(x, standardise=x, scale=scale)
    vae.fit(x, epochs=2, verbose=0)
    vae.save(tmp_path / "vae.keras")
    again = vae_tf.load(tmp_path / "vae.keras")
    np.testing.assert_array_equal(again.reconstruct(x), vae.reconstruct(x))
    assert again.evaluate(x, verbose=0) == vae.evaluate(x, verbose=0)
    assert again.likelihood.min_scale == vae.likelihood.min_scale
    if scale == "per_pixel":
        bundle = export(vae, tmp_path / "bundle")
        np.testing.assert_allclose(Encoder(bundle).encode(x), vae.encode(x), atol=1e-4)
        means = Decoder(bundle).decode(vae.encode(x))
        np.testing.assert_allclose(means / UNITS[:3], vae.reconstruct(x) / UNITS[:3], rtol=1e-4, atol=1e-3)


# --- what it is worth ----------------------------------------------------------------------------------


@pytest.mark.integration
def test_raw_wine_reaches_what_wine_standardised_by_hand_reaches():
    x = load_wine().data[np.random.default_rng(0).permutation(178)].astype(np.float32)
    train, test = x[:142], x[142:]
    moments = Moments.of(train)
    z_train, z_test = (((part - moments.mean) / moments.std).astype(np.float32) for part in (train, test))
    ours, by_hand = make(train, standardise=train, hidden=(64,)), make(z_train, hidden=(64,))
    results = {}
    for name, vae, fitted, held_out in (("ours", ours, train, test), ("by hand", by_hand, z_train, z_test)):
        vae.fit(fitted, epochs=60, verbose=0)
        results[name] = vae.evaluate(held_out, verbose=0, return_dict=True)["elbo"]
    jacobian = -np.log(moments.std).sum()
    assert results["ours"] == pytest.approx(results["by hand"] + jacobian, abs=0.1)
    assert results["by hand"] > -19


def test_fit_warns_once_where_the_scale_starts_far_from_the_data():
    x = load_wine().data.astype(np.float32)
    vae = make(x)
    with pytest.warns(UserWarning, match="sigma starts far from the scale of the data.*standardise=x_train") as caught:
        vae.fit(x, epochs=1, verbose=0)
    assert len(caught) == 1
    vae.fit(x, epochs=1, verbose=0)  # a warning would be an error
    learned = make(1e-4 * x, scale="learned")
    with pytest.warns(UserWarning, match="sigma starts far"):
        learned.fit(1e-4 * x / x.std(), epochs=1, verbose=0)


@pytest.mark.parametrize("scale", ["learned", "per_dimension", "per_pixel", "optimal", 0.1])
def test_fit_does_not_warn_of_the_scale_of_images_or_of_networks_in_the_units_of_the_data(scale):
    x = vae_tf.data.load("digits")[0][:64].reshape(64, 64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make(x, scale=scale, hidden=()).likelihood.compare_scale(x)
        if isinstance(scale, str):
            x = x[:, x.std(axis=0) > 0]
            make(1e3 * x, standardise=1e3 * x, scale=scale, hidden=()).likelihood.compare_scale(1e3 * x)
