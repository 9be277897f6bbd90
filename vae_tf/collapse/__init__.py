"""Posterior collapse: functions that find the latents in use, the information they carry, and the cause of the rest.

`linear_prediction` takes data alone. The functions that take a `vae_tf.VAE` and data `[n, *E]` look at `chunk_size`
examples at a time, are deterministic given their seed, and return numpy arrays or objects that hold them.
"""

from vae_tf.collapse._advice import advice, advise
from vae_tf.collapse._gap import Gap, amortisation_gap, approximation_gap
from vae_tf.collapse._information import Information, information
from vae_tf.collapse._latents import (
    EPS_GRID,
    active_units,
    collapse_curve,
    collapse_threshold,
    collapsed,
    kl_or_none,
    kl_per_latent,
    posterior_mean_variance,
)
from vae_tf.collapse._prediction import LinearPrediction, linear_prediction
from vae_tf.collapse._report import Report, diagnose
from vae_tf.ppca import covariance_eigenvalues

__all__ = [
    "EPS_GRID",
    "Gap",
    "Information",
    "LinearPrediction",
    "Report",
    "active_units",
    "advice",
    "advise",
    "amortisation_gap",
    "approximation_gap",
    "collapse_curve",
    "collapse_threshold",
    "collapsed",
    "covariance_eigenvalues",
    "diagnose",
    "information",
    "kl_or_none",
    "kl_per_latent",
    "linear_prediction",
    "posterior_mean_variance",
]
