"""The contract of a posterior."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from vae_tf.posteriors import Posterior
from vae_tf.priors import StandardNormal
from vae_tf.testing._common import (
    EXTREMES,
    check_config,
    check_moments,
    plane,
    plane_moments,
    require,
    saved_and_loaded,
)


def check_posterior(make: Callable[[], Posterior], *, num_samples: int = 4000, seed: int = 0) -> None:
    """Checks a posterior against itself, and its closed-form KL, if it has one, against draws.

    - `draw` returns log q(z|x) at its own draws; these have the law of `log_prob`, which integrates to 1 +- 1e-3;
    - the closed-form KL to the standard normal is the average over draws of log q(z|x) - log p(z);
    - values and gradients are finite at network outputs of 0 and +-50;
    - unknown batch sizes work, and the configuration and the `.keras` file give the same posterior again.

    Args:
        make: Function that returns a new posterior. The check makes one of two latents from its configuration.
        num_samples: Number of draws in the statistical tests.
        seed: Seed of the inputs and the draws.
    """
    rng = np.random.default_rng(seed)
    for batch in (1, 3, 17):
        _check_draw(make(), rng, batch)
    _check_law(make(), num_samples, rng)
    _check_closed_form(make(), num_samples, rng)
    _check_extremes(make())
    _check_saving(make(), rng)


def _inputs(posterior: Posterior, rng: np.random.Generator, batch: int) -> np.ndarray:
    return rng.normal(size=(batch, *posterior.parameter_shape)).astype(np.float32)


def _noise(posterior: Posterior, rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal((*shape, posterior.latent_dim), dtype=np.float32)


def _check_draw(posterior: Posterior, rng: np.random.Generator, batch: int) -> None:
    q = posterior(_inputs(posterior, rng, batch))
    require(tuple(q.batch_shape) == (batch,), "batch_shape is [B]")
    require(tuple(q.event_shape) == (posterior.latent_dim,), "event_shape is [D]")
    for samples in ((), (2,)):
        z, log_q = posterior.draw(_noise(posterior, rng, *samples, batch), posterior.parameters_of(q))
        require(z.shape == (*samples, batch, posterior.latent_dim), "draws are [*K, B, D]")
        np.testing.assert_allclose(log_q, q.log_prob(z), rtol=1e-4, atol=1e-3, err_msg="draw returns log q at z")


def _check_law(posterior: Posterior, num_samples: int, rng: np.random.Generator) -> None:
    pair = type(posterior).from_config(posterior.get_config() | {"latent_dim": 2})
    q = pair(_inputs(pair, rng, 1))
    ours, _ = pair.draw(_noise(pair, rng, num_samples, 1), pair.parameters_of(q))
    theirs = np.asarray(q.sample(num_samples, seed=1))[:, 0]
    grid, area = plane(theirs.mean(axis=0), theirs.std(axis=0))
    total, mean, covariance = plane_moments(grid, q.log_prob(grid[:, None])[:, 0], area)
    require(abs(total - 1) < 1e-3, f"the density integrates to 1, not {total:.6f}")
    for draws, what in ((np.asarray(ours)[:, 0], "draw"), (theirs, "sample")):
        check_moments(draws, mean, covariance, what)


def _check_closed_form(posterior: Posterior, num_samples: int, rng: np.random.Generator) -> None:
    prior = StandardNormal(posterior.latent_dim)
    q = posterior(_inputs(posterior, rng, 3))
    closed = prior.closed_form(q)
    if closed is None:
        return
    z, log_q = posterior.draw(_noise(posterior, rng, num_samples, 3), posterior.parameters_of(q))
    ratio = np.asarray(log_q - prior.log_prob(z), np.float64)
    error = 6 * ratio.std(axis=0) / np.sqrt(num_samples)  # six standard errors: p < 2e-9
    require((np.abs(ratio.mean(axis=0) - closed) < error).all(), "the closed form of the KL is its sampled value")


def _check_extremes(posterior: Posterior) -> None:
    noise = np.ones((2, posterior.latent_dim), np.float32)
    for magnitude in EXTREMES:
        inputs = tf.fill((2, *posterior.parameter_shape), magnitude)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            z, log_q = posterior.draw(noise, posterior.parameters_of(posterior(inputs)))
            total = tf.reduce_sum(z) + tf.reduce_sum(log_q)
        values = (z, log_q, tape.gradient(total, inputs))
        require(all(np.isfinite(value).all() for value in values), f"all is finite at network outputs {magnitude:g}")


def _check_saving(posterior: Posterior, rng: np.random.Generator) -> None:
    check_config(posterior)
    inputs = _inputs(posterior, rng, 3)
    model, loaded = saved_and_loaded(posterior, posterior.parameter_shape)
    z = model(inputs).sample(seed=1)
    np.testing.assert_array_equal(loaded(inputs).log_prob(z), model(inputs).log_prob(z), err_msg=".keras round trip")
    traced = tf.function(lambda i, z: model(i).log_prob(z)).get_concrete_function(
        *(tf.TensorSpec((None, *value.shape[1:])) for value in (inputs, z))
    )(tf.constant(inputs), z)
    np.testing.assert_allclose(traced, model(inputs).log_prob(z), rtol=1e-5, err_msg="unknown batch size")
