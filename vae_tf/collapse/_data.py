"""Data and posteriors, one chunk at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf import _checks
from vae_tf.data.adapter import Table
from vae_tf.vae import VAE


def subset(x: Table, at_most: int, seed: int = 0) -> np.ndarray:
    """`x` itself, or `at_most` of its examples, drawn without replacement and kept in order."""
    if len(x) <= at_most:
        return x[:]
    return x[np.sort(np.random.default_rng(seed).choice(len(x), at_most, replace=False))]


def posteriors(vae: VAE, x: Table | np.ndarray, chunk_size: int) -> Iterator[tuple[tf.Tensor, tfd.Distribution]]:
    """Pairs of data in the VAE's precision, `[b, *E]`, and their q(z|x), for b <= chunk_size examples at a time."""
    chunk_size = _checks.positive_int("chunk_size", chunk_size)
    for start in range(0, len(x), chunk_size):
        part = tf.cast(x[start : start + chunk_size], vae.likelihood.compute_dtype)
        yield part, vae.encoder(part, training=False)
