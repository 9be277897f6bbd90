"""Probabilistic PCA: the linear model of which everything is known exactly. Needs numpy and scipy only.

x = W z + mean + sigma eps, z ~ N(0, I_q), eps ~ N(0, I_d). What sigma is, how many latents survive at a given
sigma, where training can get stuck and where it cannot: all of it follows from the eigenvalues of the data.
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
