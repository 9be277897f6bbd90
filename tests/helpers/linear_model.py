"""A linear VAE whose weights are set by hand, so that all measures of collapse are known."""

import numpy as np

import vae_tf
from vae_tf.posteriors import DiagonalNormal, FullCovarianceNormal
from vae_tf.priors import StandardNormal

SIGMA = 0.5

DIMS, LATENTS = 6, 3

RNG = np.random.default_rng(0)

W = RNG.normal(size=(DIMS, LATENTS))

M = W.T @ W + SIGMA**2 * np.eye(LATENTS)

C = W @ W.T + SIGMA**2 * np.eye(DIMS)

V = np.linalg.solve(M, W.T)

SCALE = SIGMA / np.sqrt(np.diag(M))  # of the best diagonal posterior

X = (RNG.normal(size=(700, LATENTS)) @ W.T + SIGMA * RNG.normal(size=(700, DIMS))).astype(np.float32)


def raw(scale):
    """What softplus turns into these scales, less their floor."""
    return np.log(np.expm1(np.asarray(scale, np.float64) - 1e-5))


def linear_vae(encoder_weights=V, scale=SCALE, *, decoder_weights=W, full=False, prior=None, objective=None):
    """x = W z + sigma eps, and z|x normal around V x: with its best scale, or its exact covariance."""
    latents, dims = encoder_weights.shape
    vae = vae_tf.VAE(
        vae_tf.networks.mlp_encoder((dims,), (FullCovarianceNormal if full else DiagonalNormal)(latents), hidden=()),
        vae_tf.networks.mlp_decoder(latents, vae_tf.likelihoods.Gaussian((dims,), SIGMA), hidden=()),
        prior or StandardNormal(latents),
        objective,
    )
    outputs = raw(scale)
    if full:
        tril = np.linalg.cholesky(SIGMA**2 * np.linalg.inv(M))
        tril[np.diag_indices(latents)] = raw(np.diag(tril))
        outputs = tril[np.tril_indices(latents)]
    kernel = np.concatenate([encoder_weights.T, np.zeros((dims, len(outputs)))], axis=1)
    vae.encoder.set_weights([kernel, np.concatenate([np.zeros(latents), outputs])])
    vae.decoder.layers[0].set_weights([decoder_weights.T, np.zeros(dims)])
    return vae


def kl_to_standard(mean, scale):
    return (scale**2 + mean**2 - 1) / 2 - np.log(scale)
