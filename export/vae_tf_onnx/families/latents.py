"""Noise of priors and draws of normal posteriors, in numpy."""

from __future__ import annotations

import math

import numpy as np

from vae_tf_onnx.families._base import Array, Parameters


def normal_noise(rng: np.random.Generator, num_samples: int, latent_dim: int) -> Array:
    """Standard normal, `[num_samples, D]` float32."""
    return rng.standard_normal((num_samples, latent_dim), dtype=np.float32)


def mixture_noise(rng: np.random.Generator, num_samples: int, latent_dim: int) -> Array:
    """One uniform number, which picks the component, then D normal ones: `[num_samples, 1 + D]` float32."""
    uniform = rng.random((num_samples, 1), dtype=np.float32)
    return np.concatenate([uniform, normal_noise(rng, num_samples, latent_dim)], axis=1)


def normal_draw(noise: Array, p: Parameters) -> tuple[Array, Array]:
    """z `[B, D]`, and log q(z|x) in nats, `[B]` float64, of a normal with a scale, or with a triangular one."""
    if "scale_tril" in p:
        z = p["loc"] + np.einsum("bij,bj->bi", p["scale_tril"], noise)
        scale = np.diagonal(p["scale_tril"], axis1=1, axis2=2)
    else:
        z, scale = p["loc"] + p["scale"] * noise, p["scale"]
    squares = np.square(noise.astype(np.float64)) + math.log(2 * math.pi)
    return z, -0.5 * squares.sum(axis=-1) - np.log(scale.astype(np.float64)).sum(axis=-1)
