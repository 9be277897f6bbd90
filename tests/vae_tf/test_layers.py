"""log(1 + x) before an encoder: its values, files and refusals."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from scipy import sparse
from tiny import Again

import vae_tf
from vae_tf import likelihoods, networks, posteriors, priors

COUNTS = np.random.default_rng(0).poisson(5, size=(64, 4)).astype(np.float32) ** 4
BELOW = np.where(np.arange(64)[:, None] == 40, -0.5, COUNTS)


def vae_of(likelihood, transform="log1p"):
    keras.utils.set_random_seed(0)
    vae = vae_tf.VAE(
        networks.mlp_encoder((4,), posteriors.DiagonalNormal(2), hidden=(8,), transform=transform),
        networks.mlp_decoder(2, likelihood, hidden=(8,)),
        priors.StandardNormal(2),
    )
    vae.compile("adam")
    return vae


@pytest.fixture(scope="module")
def gaussian():
    """A VAE whose likelihood takes negative numbers, and whose encoder does not, in its first state."""
    return Again(lambda: vae_of(likelihoods.Gaussian((4,))))


def test_the_encoder_sees_the_logarithm(gaussian):
    vae, plain = gaussian(), vae_of(likelihoods.Gaussian((4,)), transform=None)
    plain.encoder.set_weights(vae.encoder.get_weights())
    np.testing.assert_allclose(vae.encode(COUNTS), plain.encode(np.log1p(COUNTS)), rtol=1e-5)
    assert COUNTS.max() > 1e4


@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_under_mixed_precision_counts_beyond_its_range_pass(network):
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        make = getattr(networks, f"{network}_encoder")
        encoder = make((4, 4, 1), posteriors.DiagonalNormal(2), transform="log1p")
        mean = encoder(np.full((1, 4, 4, 1), 1e6, np.float32)).mean()
    finally:
        keras.mixed_precision.set_global_policy(before)
    assert np.isfinite(mean).all()


def test_files_and_graphs_hold_the_transform(tmp_path):
    from vae_tf_onnx import Encoder, Scorer, export

    vae = vae_of(likelihoods.ZeroInflatedNegativeBinomial((4,), library_size=True))
    vae.fit(COUNTS, verbose=0)
    vae.save(tmp_path / "vae.keras")
    loaded = vae_tf.load(tmp_path / "vae.keras")
    np.testing.assert_array_equal(loaded.encode(COUNTS), vae.encode(COUNTS))
    bundle = export(vae, tmp_path / "bundle", graphs=("decoder", "encoder", "scorer"))
    np.testing.assert_allclose(Encoder(bundle).encode(COUNTS), vae.encode(COUNTS), rtol=1e-4, atol=1e-5)
    noise = np.zeros((64, 2), np.float32)
    terms = vae_tf.bound.bound(vae, tf.constant(COUNTS), noise[None])[0]
    np.testing.assert_allclose(Scorer(bundle).score(COUNTS, noise).elbo, terms.elbo, rtol=1e-4)


ENTRIES = {
    "fit": lambda vae, x: vae.fit(x, verbose=0),
    "evaluate": lambda vae, x: vae.evaluate(x, verbose=0),
    "validation": lambda vae, x: vae.fit(COUNTS, validation_data=x, verbose=0),
    "predict": lambda vae, x: vae.predict(x, verbose=0),
    "encode": lambda vae, x: vae.encode(x),
    "reconstruct": lambda vae, x: vae.reconstruct(x),
    "elbo": lambda vae, x: vae_tf.evaluation.elbo(vae, x, progress=False),
    "batch": lambda vae, x: vae.train_on_batch(x),
    "encoder": lambda vae, x: vae.encoder(tf.constant(x, tf.float32)),
    "denoising": lambda vae, x: vae.fit(x, COUNTS, verbose=0),
    "terms": lambda vae, x: vae.terms(x),
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_negative_numbers_are_refused_by_every_entry(entry, gaussian):
    with pytest.raises(ValueError, match=r"transform='log1p': expected numbers of at least 0, received .*\. Leave"):
        ENTRIES[entry](gaussian(), BELOW)


@pytest.mark.parametrize("entry", ["fit", "evaluate", "encode"])
def test_negative_numbers_in_a_later_batch_are_refused(entry, gaussian):
    batches = tf.data.Dataset.from_tensor_slices(np.float32(BELOW)).batch(16)
    with pytest.raises(ValueError, match="expected numbers of at least 0, received"):
        ENTRIES[entry](gaussian(), batches)


def test_without_the_transform_negative_numbers_are_numbers():
    vae = vae_of(likelihoods.Gaussian((4,)), transform=None)
    assert np.isfinite(vae.fit(BELOW, verbose=0).history["loss"]).all()


@pytest.mark.parametrize("transform", ["log", "none", True, 1])
def test_unknown_transforms(transform):
    for make, shape in ((networks.mlp_encoder, (4,)), (networks.conv_encoder, (4, 4, 1))):
        with pytest.raises(ValueError, match="transform: expected one of 'log1p'"):
            make(shape, posteriors.DiagonalNormal(2), transform=transform)


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_matrix])
def test_what_standardises_acts_on_the_logarithm(container):
    standardised = {"hidden": (8,), "standardise": container(COUNTS)}
    encoder = networks.mlp_encoder((4,), posteriors.DiagonalNormal(2), transform="log1p", **standardised)
    inner = keras.Sequential(encoder.layers[:2])(COUNTS).numpy()
    np.testing.assert_allclose(inner.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(inner.std(axis=0), 1, rtol=1e-4)


def test_small_integers_are_standardised_in_full_precision():
    counts = np.random.default_rng(0).integers(0, 255, size=(3000, 1)).astype(np.uint8)
    moments = networks.Moments.of(counts, transform="log1p")
    np.testing.assert_allclose(moments.mean, np.log1p(counts.astype(np.float64)).mean(axis=0), rtol=1e-9)


def test_moments_of_other_data_are_refused():
    moments = networks.Moments.of(COUNTS)
    with pytest.raises(ValueError, match=r"moments of data with transform='log1p', received transform=None"):
        networks.mlp_encoder((4,), posteriors.DiagonalNormal(2), transform="log1p", standardise=moments)
    with pytest.raises(ValueError, match="expected numbers of at least 0"):
        networks.Moments.of(BELOW, transform="log1p")


def test_for_data_takes_the_logarithm_of_counts():
    def begins_with(x, **arguments):
        return networks.for_data(x, 2, **arguments)[0].layers[0].name

    counts = {"likelihood": likelihoods.Poisson((4,))}
    assert begins_with(COUNTS, **counts) == "log1p"
    assert begins_with(COUNTS, transform=None, **counts) == begins_with(COUNTS) == "standardise"
    assert begins_with(COUNTS, transform="log1p") == "log1p"
    with pytest.raises(ValueError, match="transform: expected one of"):
        networks.for_data(COUNTS, 2, transform="sqrt")
