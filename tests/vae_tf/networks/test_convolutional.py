"""Convolutional networks of any height, width, depth and number of channels."""

import numpy as np
import pytest
import tf_keras as keras

import vae_tf
from vae_tf import likelihoods, networks, posteriors, priors
from vae_tf_onnx import Decoder, Encoder, export

SHAPES = [
    (1, 1, 1),
    (1, 7, 2),
    (2, 1, 4),
    (3, 3, 3),
    (7, 5, 1),
    (8, 8, 1),
    (12, 16, 3),
    (17, 4, 2),
    (31, 30, 3),
    (33, 47, 4),
]


def pair(shape, scale="optimal", **arguments):
    encoder = networks.conv_encoder(shape, posteriors.DiagonalNormal(2), **arguments)
    return encoder, networks.conv_decoder(2, likelihoods.Gaussian(shape, scale=scale), **arguments)


def images(shape, n=5):
    return np.random.default_rng(0).random((n, *shape), np.float32)


@pytest.mark.parametrize("shape", SHAPES)
def test_images_of_any_size_come_back_in_their_shape(shape):
    x = images(shape)
    encoder, decoder = pair(shape, scale="per_pixel", filters=(3, 4), hidden=5)
    p = decoder(encoder(x).mean())
    assert p.mean().shape == x.shape
    assert p.log_prob(x).shape == (5,)


@pytest.mark.parametrize("depth", range(6))
def test_the_filters_decide_the_depth(depth):
    x = images((33, 47, 4))
    encoder, decoder = pair(x.shape[1:], filters=(2,) * depth, hidden=3)
    assert decoder(encoder(x).mean()).mean().shape == x.shape
    for network, kind in ((encoder, keras.layers.Conv2D), (decoder, keras.layers.Conv2DTranspose)):
        assert sum(type(layer) is kind for layer in network.layers) == depth


@pytest.mark.parametrize(("side", "halvings"), [(1, 1), (8, 1), (9, 1), (28, 2), (32, 2), (33, 3), (64, 3), (100, 4)])
def test_by_default_images_are_halved_until_they_are_small(side, halvings):
    encoder = networks.conv_encoder((side, 1, 1), posteriors.DiagonalNormal(1), hidden=1)
    counts = [layer.filters for layer in encoder.layers if isinstance(layer, keras.layers.Conv2D)]
    assert counts == [32, 64, 128, 128][:halvings]


LONG = pytest.mark.integration
EXTRAS = [
    ((1, 1, 1), (2,), {}),
    pytest.param((9, 7, 3), (4, 8), {"residual": 1, "normalization": "batch"}, marks=LONG),
    pytest.param((9, 7, 3), (16, 8), {"residual": 2, "normalization": "group", "activation": "silu"}, marks=LONG),
    pytest.param((5, 6, 1), (4,), {"residual": 1, "normalization": "layer"}, marks=LONG),
    pytest.param((5, 6, 2), (), {}, marks=LONG),
]


@pytest.mark.parametrize(("shape", "filters", "extra"), EXTRAS)
def test_they_train_are_saved_and_exported(tmp_path, shape, filters, extra):
    keras.utils.set_random_seed(0)
    x = images(shape, n=40)
    encoder, decoder = pair(shape, filters=filters, hidden=6, **extra)
    vae = vae_tf.VAE(encoder, decoder, priors.StandardNormal(2))
    vae.compile(keras.optimizers.Adam(1e-2))
    loss = vae.fit(x, batch_size=20, epochs=4, verbose=0).history["loss"]
    assert loss[-1] < loss[0]
    vae.save(tmp_path / "vae.keras")
    again = vae_tf.load(tmp_path / "vae.keras")
    np.testing.assert_array_equal(again.reconstruct(x), vae.reconstruct(x))
    bundle = export(vae, tmp_path / "bundle")  # which compares the graphs with the model at batch 1, 3 and 17
    np.testing.assert_allclose(Encoder(bundle).encode(x), vae.encode(x), atol=1e-5)
    np.testing.assert_allclose(Decoder(bundle).decode(vae.encode(x)), vae.reconstruct(x), atol=1e-5)


@pytest.mark.parametrize("normalization", ["batch", "group", "layer"])
def test_blocks_and_normalisation_are_there_on_request(normalization):
    encoder, decoder = pair((9, 7, 3), filters=(4, 8), hidden=6, residual=2, normalization=normalization)
    for network, between in ((encoder, 2), (decoder, 1)):
        kinds = [type(layer).__name__ for layer in network.layers]
        assert kinds.count("Add") == 4
        assert sum("Normalization" in kind for kind in kinds) == between + 8
    x = images((9, 7, 3))
    assert np.isfinite(decoder(encoder(x, training=True).mean(), training=True).mean()).all()


def test_what_is_wrong_is_said_at_once():
    q = posteriors.DiagonalNormal(2)
    with pytest.raises(ValueError, match=r"event_shape of a convolutional network: expected \(H, W, C\)"):
        networks.conv_encoder((8, 8), q)
    with pytest.raises(ValueError, match="filters: expected a whole number of at least 1"):
        networks.conv_encoder((8, 8, 1), q, filters=(4, 0))
    with pytest.raises(ValueError, match="residual: expected a whole number of at least 1"):
        networks.conv_encoder((8, 8, 1), q, residual=-1)
    with pytest.raises(ValueError, match="normalization: expected one of 'batch', 'group', 'layer'"):
        networks.conv_encoder((8, 8, 1), q, normalization="instance")
