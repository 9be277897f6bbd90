"""Small models, and other pieces that several test files share."""

import importlib.util

import numpy as np
import tf_keras as keras

import vae_tf

SCALES = (0.3, "learned", "optimal", "per_dimension", "per_pixel")
SHAPE = (8, 8, 1)


def make_vae(
    likelihood=None,
    *,
    latent_dim=4,
    network="mlp",
    seed=0,
    objective=None,
    posterior=vae_tf.posteriors.DiagonalNormal,
    prior=vae_tf.priors.StandardNormal,
    **compile_arguments,
):
    """A small compiled VAE."""
    keras.utils.set_random_seed(seed)
    likelihood = likelihood or vae_tf.likelihoods.Gaussian(SHAPE, scale="optimal")
    sizes = {"hidden": (32,)} if network == "mlp" else {"hidden": 32, "filters": (4, 8)}
    encoder = getattr(vae_tf.networks, f"{network}_encoder")
    decoder = getattr(vae_tf.networks, f"{network}_decoder")
    vae = vae_tf.VAE(
        encoder(likelihood.event_shape, posterior(latent_dim), **sizes),
        decoder(latent_dim, likelihood, **sizes),
        prior(latent_dim),
        objective,
        seed=seed,
    )
    vae.compile("adam", **compile_arguments)
    return vae


def make_likelihood(name):
    """A fresh likelihood for `SHAPE`: a Gaussian of that scale, or "bernoulli"."""
    if name == "bernoulli":
        return vae_tf.likelihoods.Bernoulli(SHAPE)
    return vae_tf.likelihoods.Gaussian(SHAPE, scale=name)


def binary(x):
    """Images of 0 and 1."""
    return (np.asarray(x) > 0.5).astype(np.float32)


def load_file(path):
    """The module in a file that is in no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def raw_inputs(likelihood, n=5, seed=0):
    """Outputs of a network for a likelihood, `[n, *P]`."""
    return np.random.default_rng(seed).normal(size=(n, *likelihood.parameter_shape)).astype(np.float32)
