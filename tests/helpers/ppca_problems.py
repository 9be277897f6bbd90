"""Random data of which the eigenpairs are known beforehand, for the tests of vae_tf.ppca."""

from dataclasses import dataclass

import hypothesis
import numpy as np
from hypothesis import strategies

KINDS = ("q < d", "q = d - 1", "n < d", "repeated eigenvalues", "a constant pixel")
SETTINGS = hypothesis.settings(deadline=None, max_examples=30, derandomize=True)


@dataclass(frozen=True)
class Problem:
    """Data whose covariance, n in its denominator, is axes.T @ diag(eigenvalues) @ axes."""

    kind: str
    x: np.ndarray
    latent_dim: int
    eigenvalues: np.ndarray
    covariance: np.ndarray
    rng: np.random.Generator

    @property
    def dims(self):
        return self.x.shape[1]

    @property
    def scale(self):
        """Of a squared pixel."""
        return self.eigenvalues[0]

    def between(self, count=3):
        """So many sigma^2 between the smallest positive eigenvalue and beyond the largest, equal to none."""
        positive = self.eigenvalues[self.eigenvalues > 1e-9 * self.scale]
        return np.exp(self.rng.uniform(np.log(0.7 * positive[-1]), np.log(1.4 * positive[0]), count))


def build(kind, seed):
    rng = np.random.default_rng(seed)
    dims = int(rng.integers(5, 9)) if kind == "n < d" else int(rng.integers(3, 8))
    n = int(rng.integers(4, dims)) if kind == "n < d" else int(rng.integers(dims + 2, 30))
    rank = {"n < d": n - 1, "a constant pixel": dims - 1}.get(kind, dims)
    eigenvalues = np.sort(rng.choice([0.3, 1.0, 4.0], rank) if "repeated" in kind else rng.uniform(0.1, 5, rank))[::-1]
    eigenvalues = eigenvalues * rng.choice([0.01, 1.0, 100.0])
    axes = np.zeros((rank, dims))
    varying = np.arange(dims - (kind == "a constant pixel"))
    axes[:, varying] = np.linalg.qr(rng.standard_normal((len(varying), rank)))[0].T
    noise = rng.standard_normal((n, rank))
    white = np.linalg.qr(noise - noise.mean(axis=0))[0] * np.sqrt(n)  # mean 0, covariance I
    x = white * np.sqrt(eigenvalues) @ axes + rng.normal(size=dims) * np.sqrt(eigenvalues[0])
    latent_dim = dims - 1 if kind == "q = d - 1" else int(rng.integers(1, rank))
    padded = np.concatenate([eigenvalues, np.zeros(dims - rank)])
    return Problem(kind, x, latent_dim, padded, axes.T * eigenvalues @ axes, rng)


def problems(kinds=KINDS):
    """A hypothesis strategy."""
    return strategies.builds(build, strategies.sampled_from(kinds), strategies.integers(0, 2**31 - 1))


N, D, Q = 60, 8, 3


def example():
    """60 rows of 8 dimensions, for 3 latents, whatever the eigenvalues."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((N, D)) * np.geomspace(4, 0.3, D) @ rng.standard_normal((D, D)) + 5
