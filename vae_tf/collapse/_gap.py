"""The two gaps between the ELBO and log p(x): one due to the encoder, one due to the posterior's family."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from vae_tf import _checks
from vae_tf.bound import bound
from vae_tf.vae import VAE


@dataclass(frozen=True)
class Gap:
    """The result of `amortisation_gap`, in nats per example.

    Attributes:
        elbo_before: ELBO at the encoder's posterior, `[n]`.
        elbo_after: ELBO at the refined posterior, `[n]`, on the same draws.
    """

    elbo_before: np.ndarray
    elbo_after: np.ndarray

    @property
    def gap(self) -> np.ndarray:
        """The amortisation gap `elbo_after - elbo_before`, `[n]`."""
        return self.elbo_after - self.elbo_before


def amortisation_gap(
    vae: VAE,
    x: Any,
    *,
    steps: int = 200,
    num_samples: int | None = None,
    learning_rate: float = 0.05,
    seed: int = 0,
    chunk_size: int = 64,
) -> Gap:
    """The gain in ELBO when q(z|x) is refined for each example, in nats: `max_q ELBO(q) - ELBO(q(z|x))`.

    The input of the posterior layer is optimised, starting from the output of the network, by Adam with a learning
    rate that falls to 0 along a cosine. The decoder, the prior and the weights of the posterior layer itself (those of
    a flow) stay as they are. The method works for every posterior.

    Expectations over q are averages over whitened draws of the noise, which have mean 0 and covariance I exactly. So
    they are exact where log p(x|z) is quadratic in z, as it is for a linear decoder with Gaussian noise. One set of
    draws serves to optimise, and to choose between start and end for each example. A second set, independent of the
    first, serves to report both. So the choice does not bias the gap, and the gap may come out slightly negative.

    Args:
        vae: Model whose encoder is a functional or Sequential Keras model.
        x: Data `[n, *E]`.
        steps: Number of optimizer steps.
        num_samples: Number of draws of z, at least D + 1; None takes 2 (D + 1), and at least 32.
        learning_rate: Learning rate of the first step, in units of the layer's input.
        seed: Seed of the draws.
        chunk_size: Number of examples at a time; it does not change the result.

    Raises:
        ValueError: For a subclassed encoder, fewer than D + 1 draws, or data the VAE cannot take.

    References:
        Cremer, Li, Duvenaud 2018, arXiv 1801.03558.
    """
    x, chunk_size = vae.adapter.examples(x), min(_checks.positive_int("chunk_size", chunk_size), len(x))
    network, rng = _network(vae), np.random.default_rng(_checks.seed(seed))
    count = max(32, 2 * (vae.latent_dim + 1)) if num_samples is None else num_samples
    chosen, reported = whitened(rng, count, vae.latent_dim), whitened(rng, count, vae.latent_dim)
    dtype, data_dtype = vae.posterior.compute_dtype, vae.likelihood.compute_dtype
    specs = [
        tf.TensorSpec((chunk_size, *vae.posterior.parameter_shape), dtype),
        tf.TensorSpec((chunk_size, *x.shape[1:]), data_dtype),
        tf.TensorSpec(chosen.shape, dtype),
    ]
    elbo = tf.function(partial(_elbo, vae)).get_concrete_function(*specs)
    ascend = _ascent(elbo, specs, steps, learning_rate)
    chosen, reported = tf.cast(chosen, dtype), tf.cast(reported, dtype)
    before, after = [], []
    for start in range(0, len(x), chunk_size):
        part = x[np.arange(start, start + chunk_size) % len(x)]  # all chunks have the same shape
        part = tf.cast(part, data_dtype)
        first = tf.reshape(tf.cast(network(part, training=False), dtype), specs[0].shape)
        last = ascend(first, part, chosen)
        better = elbo(last, part, chosen) > elbo(first, part, chosen)
        before.append(elbo(first, part, reported))
        after.append(elbo(tf.where(better[:, None], last, first), part, reported))
    return Gap(np.concatenate(before)[: len(x)], np.concatenate(after)[: len(x)])


def approximation_gap(log_likelihood: np.ndarray, refined: Gap) -> np.ndarray:
    """`log p(x) - max_q ELBO(q)`, in nats per example, `[n]`: the cost of the posterior's family.

    For a linear decoder of weights W with noise sigma and a diagonal posterior it is
    `(sum_i log M_ii - log|M|) / 2`, M = W^T W + sigma^2 I.

    Args:
        log_likelihood: The value of log p(x) in nats, `[n]`, exact or estimated.
        refined: Result of `amortisation_gap` for the same examples.

    Raises:
        ValueError: If the two have different lengths.

    References:
        Cremer, Li, Duvenaud 2018, arXiv 1801.03558.
    """
    log_likelihood = np.asarray(log_likelihood)
    if log_likelihood.shape != refined.elbo_after.shape:
        raise ValueError(
            _checks.problem(
                "log_likelihood",
                expected=f"shape {refined.elbo_after.shape}, that of the gap",
                received=f"shape {log_likelihood.shape}",
                remedy="Pass log p(x) of the same examples, in the same order.",
            )
        )
    return log_likelihood - refined.elbo_after


def whitened(rng: np.random.Generator, num_samples: int, latent_dim: int) -> np.ndarray:
    """Standard normal draws `[S, D]`, moved and sheared to have mean 0 and covariance I exactly.

    Raises:
        ValueError: For fewer than D + 1 draws.
    """
    if _checks.positive_int("num_samples", num_samples) <= latent_dim:
        raise ValueError(
            _checks.problem(
                "num_samples",
                expected=f"at least {latent_dim + 1}, one more than the latents",
                received=str(num_samples),
                remedy="Fewer draws cannot have the covariance of the noise.",
            )
        )
    noise = rng.standard_normal((num_samples, latent_dim))
    noise -= noise.mean(axis=0)
    cholesky = np.linalg.cholesky(noise.T @ noise / num_samples)
    return np.linalg.solve(cholesky, noise.T).T.astype(np.float32)


def _network(vae: VAE) -> keras.Model:
    """The encoder without its posterior layer."""
    encoder = vae.encoder
    if not (isinstance(encoder, keras.Sequential) or getattr(encoder, "_is_graph_network", False)):
        raise ValueError(
            _checks.problem(
                "The encoder",
                expected="a functional or Sequential Keras model, whose last layer can be taken off",
                received=f"{type(encoder).__name__}, a subclassed model",
                remedy="Write it as keras.Model(inputs, posterior(outputs)).",
            )
        )
    return keras.Model(encoder.inputs, vae.posterior.input)


def _elbo(vae: VAE, inputs: tf.Tensor, x: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
    """The ELBO in nats per example, `[B]`, from inputs of the posterior layer, data `[B, *E]` and noise `[S, D]`."""
    same_for_all = tf.broadcast_to(noise[:, None], (noise.shape[0], x.shape[0], noise.shape[1]))
    return bound(vae, x, same_for_all, q=vae.posterior.from_outputs(inputs))[0].elbo


def _ascent(
    elbo: Callable[..., tf.Tensor], specs: list[tf.TensorSpec], steps: int, learning_rate: float
) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]:
    """A function (start `[B, ...]`, x, noise) -> inputs of greater ELBO, `[B, ...]`, optimised for each example."""
    steps = _checks.positive_int("steps", steps)
    decay = keras.optimizers.schedules.CosineDecay(_checks.positive_float("learning_rate", learning_rate), steps)
    optimizer = keras.optimizers.Adam(decay, jit_compile=False)
    inputs = tf.Variable(tf.zeros(specs[0].shape, specs[0].dtype))
    optimizer.build([inputs])
    fresh = [variable.numpy() for variable in optimizer.variables]

    @tf.function
    def steps_of_adam(x: tf.Tensor, noise: tf.Tensor) -> None:
        for _ in tf.range(steps):
            with tf.GradientTape() as tape:
                loss = -tf.reduce_sum(elbo(inputs, x, noise))
            optimizer.apply_gradients([(tape.gradient(loss, inputs), inputs)])

    climb = steps_of_adam.get_concrete_function(*specs[1:])

    def ascend(start: tf.Tensor, x: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        for variable, value in zip(optimizer.variables, fresh, strict=True):
            variable.assign(value)
        inputs.assign(start)
        climb(x, noise)
        return tf.identity(inputs)

    return ascend
