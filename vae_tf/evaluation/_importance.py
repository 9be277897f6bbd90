"""Sums over many draws of z for each example, a bounded number of (example, draw) pairs at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from vae_tf import _checks
from vae_tf.bound import bound
from vae_tf.vae import VAE

_CHUNK_SIZE = 4096

BoundPerDraw = Callable[[np.ndarray, np.ndarray], tf.Tensor]


def bound_per_draw(vae: VAE, *, closed_form: bool) -> BoundPerDraw:
    """A compiled function (x `[B, *E]`, noise `[K, B, D]`) -> the bound at each draw, `[K, B]`, in nats.

    Args:
        vae: The model. The function reads its weights when it is called, not when it is made.
        closed_form: False for `log w = log p(x|z) + log p(z) - log q(z|x)`; True for `log p(x|z) - KL(q || p)`,
            for a prior that has the KL in closed form.
    """
    dtype = vae.posterior.compute_dtype
    specs = (
        tf.TensorSpec((None, *vae.event_shape), vae.likelihood.compute_dtype),
        tf.TensorSpec((None, None, vae.latent_dim), tf.float32),
    )

    @tf.function(input_signature=specs)
    def compute(x: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        terms, _ = bound(vae, x, tf.cast(noise, dtype))
        return terms.elbo_per_draw if closed_form else terms.log_weights

    return compute.get_concrete_function()  # traced once, here: TensorFlow warns of functions made in a loop


class Mean:
    """A running mean over draws, and its standard error; `add` takes values `[K, B]`."""

    def __init__(self) -> None:
        self.count = 0
        self.shift = self.first = self.second = np.zeros(())

    def add(self, values: np.ndarray) -> None:
        """Takes in the values of further draws."""
        if not self.count:
            mean = values.mean(axis=0)
            self.shift = np.where(np.isfinite(mean), mean, 0.0)  # close to the mean, so that the squares keep digits
        self.count += len(values)
        self.first = self.first + (values - self.shift).sum(axis=0)
        self.second = self.second + np.square(values - self.shift).sum(axis=0)

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard error, `[B]` each; the error of a single draw is nan."""
        mean = self.first / self.count
        with np.errstate(invalid="ignore"):
            variance = self.second / self.count - mean**2
        return self.shift + mean, _standard_error(variance, self.count)


class LogMeanExp:
    """The running logarithm of the mean of exp(values), with its standard error by the delta method.

    `add` takes values `[K, B]`.
    """

    def __init__(self) -> None:
        self.count = 0
        self.peak, self.first, self.second = np.array(-np.inf), np.zeros(()), np.zeros(())

    def add(self, values: np.ndarray) -> None:
        """Takes in the values of further draws."""
        peak = np.maximum(self.peak, values.max(axis=0))
        finite = np.where(np.isneginf(peak), 0.0, peak)
        shrink, weights = np.exp(self.peak - finite), np.exp(values - finite)
        self.count += len(values)
        self.first = self.first * shrink + weights.sum(axis=0)
        self.second = self.second * shrink**2 + np.square(weights).sum(axis=0)
        self.peak = peak

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """log mean w and sd(w) / (sqrt(K) mean w), `[B]` each; the error of a single draw is nan."""
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = self.first / self.count
            relative = self.second / self.count / mean**2 - 1
            value = np.where(np.isneginf(self.peak), -np.inf, self.peak + np.log(mean))
        return value, _standard_error(relative, self.count)


def _standard_error(variance: np.ndarray, count: int) -> np.ndarray:
    """The standard error of the mean of `count` draws, from their variance with divisor `count`."""
    if count == 1:
        return np.full_like(variance, np.nan)
    return np.sqrt(np.maximum(variance, 0.0) / (count - 1))


@dataclass
class Pass:
    """One pass over data, with the arguments that every quantity has, checked.

    Attributes:
        vae: The model.
        x: Data `[n, *E]` in any container that `fit` takes; afterwards a table of them.
        num_samples: Draws of z for each example.
        chunk_size: Largest number of (example, draw) pairs in one call; None takes 4096 for a likelihood of one
            parameter for each dimension, and fewer for others.
        seed: Seed of the draws: the noise of example i comes from `numpy.random.default_rng([seed, i])`.
        progress: Whether to show a progress bar where the error output is a terminal.
    """

    vae: VAE
    x: Any
    num_samples: int
    chunk_size: int | None
    seed: int
    progress: bool

    def __post_init__(self) -> None:
        if not isinstance(self.vae, VAE):
            remedy = "Load a file first: vae_tf.load(path)."
            raise TypeError(
                _checks.problem("vae", expected="a VAE", received=f"a {type(self.vae).__name__}", remedy=remedy)
            )
        self.x = self.vae.adapter.examples(self.x)
        self.num_samples = _checks.positive_int("num_samples", self.num_samples)
        per_dimension = math.prod(self.vae.likelihood.parameter_shape) / self.vae.likelihood.dims
        default = max(1, int(_CHUNK_SIZE / per_dimension))
        self.pairs = default if self.chunk_size is None else _checks.positive_int("chunk_size", self.chunk_size)
        self.seed = _checks.seed(self.seed)

    def examples(self, start: int, stop: int) -> np.ndarray:
        """Examples as they are, `[B, *E]`, in the precision of the likelihood."""
        return self.x[start:stop].astype(self.vae.likelihood.compute_dtype)

    def accumulate(
        self,
        compute: BoundPerDraw,
        examples: Callable[[int, int], np.ndarray],
        total: type[Mean | LogMeanExp],
        title: str,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Value and standard error of each example, `[n]` float64.

        Args:
            compute: See `bound_per_draw`.
            examples: The data from `start` to `stop`, as `compute` is to see them.
            total: What is made of the values at the draws of an example.
            title: Title of the progress bar.
        """
        count, pieces = len(self.x), -(-self.num_samples // self.pairs)
        edges = [self.num_samples * i // pieces for i in range(pieces + 1)]
        batch = max(1, self.pairs // self.num_samples)
        values, errors = np.empty(count), np.empty(count)
        bar = tqdm(total=count * self.num_samples, desc=title, unit="draw", unit_scale=True, disable=self._silent)
        with bar:
            for start in range(0, count, batch):
                stop = min(start + batch, count)
                x, streams = examples(start, stop), [np.random.default_rng([self.seed, i]) for i in range(start, stop)]
                sums = total()
                for draws in np.diff(edges):
                    noise = [rng.standard_normal((draws, self.vae.latent_dim), dtype=np.float32) for rng in streams]
                    sums.add(compute(x, np.stack(noise, axis=1)).numpy().astype(np.float64))
                    bar.update(int(draws) * (stop - start))
                values[start:stop], errors[start:stop] = sums.result()
        return values, errors

    @property
    def _silent(self) -> bool | None:
        return None if self.progress else True  # None lets tqdm look whether it writes to a terminal
