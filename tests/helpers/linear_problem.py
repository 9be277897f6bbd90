"""A small problem for LinearVAE: images whose covariance has eigenvalues well apart."""

import numpy as np
import tf_keras as keras

import vae_tf

SHAPE, DIMS, LATENT_DIM, COUNT = (3, 4), 12, 4, 300


def problem():
    """Rows, covariance, mean."""
    rng = np.random.default_rng(0)
    axes, _ = np.linalg.qr(rng.standard_normal((DIMS, DIMS)))
    scales = np.array([2.0, 1.5, 1.1, 0.8, *np.full(DIMS - 4, 0.3)])
    rows = rng.standard_normal((COUNT, DIMS)) * scales @ axes.T + rng.standard_normal(DIMS)
    return rows, np.cov(rows.T, ddof=0), rows.mean(axis=0)


def images(rows):
    return rows.reshape(-1, *SHAPE).astype(np.float32)


def make(scale="optimal", *, learning_rate=0.02, objective=None, seed=0):
    keras.utils.set_random_seed(seed)
    vae = vae_tf.LinearVAE(LATENT_DIM, SHAPE, scale=scale, objective=objective, seed=seed)
    vae.compile(keras.optimizers.Adam(learning_rate))
    return vae
