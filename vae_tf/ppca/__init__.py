"""Probabilistic PCA, the linear model for which everything is known exactly. It needs numpy and scipy only.

The model is x = W z + mean + sigma eps, z ~ N(0, I_q), eps ~ N(0, I_d). The eigenvalues of the data's covariance
decide the rest: what the best sigma is, how many latents survive at a given sigma, and where training can get stuck.
"""

from vae_tf.ppca._linear_gaussian import LinearGaussian
from vae_tf.ppca._ppca import PPCA
from vae_tf.ppca._seen import NotFittedError
from vae_tf.ppca._solvers import covariance_eigenvalues
from vae_tf.ppca._spectrum import Curvature, Spectrum, StationaryPoint

__all__ = [
    "PPCA",
    "Curvature",
    "LinearGaussian",
    "NotFittedError",
    "Spectrum",
    "StationaryPoint",
    "covariance_eigenvalues",
]
