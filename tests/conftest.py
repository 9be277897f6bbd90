"""What several test files share: small data, small models, and the one import of TensorFlow."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import pytest
import tf_keras as keras

import vae_tf

SCALES = (0.3, "learned", "optimal", "per_dimension", "per_pixel")
SHAPE = (8, 8, 1)


@pytest.fixture(scope="session")
def digits():
    """Real images: [1500, 8, 8, 1] and [297, 8, 8, 1] in [0, 1]."""
    return vae_tf.data.load("digits")


@pytest.fixture
def make_vae():
    """A small compiled VAE; keyword arguments choose its parts."""

    def make(likelihood=None, *, latent_dim=4, network="mlp", seed=0, objective=None, compile=True, **arguments):
        keras.utils.set_random_seed(seed)
        likelihood = likelihood or vae_tf.likelihoods.Gaussian(SHAPE, scale="optimal")
        sizes = {"hidden": (32,)} if network == "mlp" else {"hidden": 32, "filters": (4, 8)}
        encoder = getattr(vae_tf.networks, f"{network}_encoder")
        decoder = getattr(vae_tf.networks, f"{network}_decoder")
        vae = vae_tf.VAE(
            encoder(likelihood.event_shape, vae_tf.posteriors.DiagonalNormal(latent_dim), **sizes),
            decoder(latent_dim, likelihood, **sizes),
            vae_tf.priors.StandardNormal(latent_dim),
            objective,
            seed=seed,
        )
        if compile:
            vae.compile("adam", **arguments)
        return vae

    return make


def make_likelihood(name):
    """A fresh likelihood for `SHAPE`: a Gaussian of that scale, or "bernoulli"."""
    if name == "bernoulli":
        return vae_tf.likelihoods.Bernoulli(SHAPE)
    return vae_tf.likelihoods.Gaussian(SHAPE, scale=name)


def binary(x):
    return (np.asarray(x) > 0.5).astype(np.float32)
