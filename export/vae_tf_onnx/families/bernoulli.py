"""Bernoulli in numpy."""

from __future__ import annotations

import numpy as np

from vae_tf_onnx.families._base import Array, Config, Family, Parameters, uniform_noise


def bernoulli(config: Config) -> Family:
    """See vae_tf.likelihoods.Bernoulli."""
    return Family({"mean": (), "logits": ()}, uniform_noise, _observe, _log_prob)


def _observe(noise: Array, p: Parameters) -> Array:
    return (noise < p["mean"]).astype(np.float32)


def _log_prob(x: Array, p: Parameters) -> Array:
    if np.any((x < 0) | (x > 1)):
        raise ValueError(
            f"Data for Bernoulli: expected values in [0, 1], received [{x.min():g}, {x.max():g}]. Scale them to [0, 1]."
        )
    logits = p["logits"].astype(np.float64)
    return x * logits - np.logaddexp(0.0, logits)
