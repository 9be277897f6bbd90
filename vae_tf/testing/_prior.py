"""The contract of a prior."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from vae_tf.posteriors import DiagonalNormal
from vae_tf.priors import Prior
from vae_tf.testing._common import check_config, check_moments, plane, plane_moments, require


def check_prior(make: Callable[[], Prior], *, num_samples: int = 4000, seed: int = 0) -> None:
    """Checks a prior against itself, and its closed-form KL, if it has one, against draws.

    - the density integrates to 1 +- 1e-3, and the draws of `from_noise` and `distribution().sample` have its law;
    - the closed form of KL(q || p) is the average over draws of log q(z|x) - log p(z);
    - `log_prob` has finite values and gradients at 0 and +-50;
    - the configuration and the weights make the same prior again.

    Args:
        make: Function that returns a new prior of two latents, attached to an encoder if it needs one.
        num_samples: Number of draws in the statistical tests.
        seed: Seed of the draws.
    """
    prior, rng = make(), np.random.default_rng(seed)
    require(prior.latent_dim == 2, "make returns a prior of two latents")
    require(tuple(prior.distribution().event_shape) == (2,), "event_shape is [D]")
    require(tuple(prior.distribution().batch_shape) == (), "batch_shape is []")
    _check_law(prior, num_samples, rng)
    _check_closed_form(prior, num_samples, rng)
    _check_extremes(prior)
    check_config(prior)
    clone = make()
    clone.set_weights(prior.get_weights())
    z = prior.from_noise(prior.noise(rng, 5))
    np.testing.assert_array_equal(clone.log_prob(z), prior.log_prob(z), err_msg="the weights hold all there is")


def _check_law(prior: Prior, num_samples: int, rng: np.random.Generator) -> None:
    ours = np.asarray(prior.from_noise(prior.noise(rng, num_samples)))
    require(ours.shape == (num_samples, 2), "from_noise returns [n, D]")
    theirs = np.asarray(prior.distribution().sample(num_samples, seed=1))
    grid, area = plane(theirs.mean(axis=0), theirs.std(axis=0))
    total, mean, covariance = plane_moments(grid, prior.log_prob(grid), area)
    require(abs(total - 1) < 1e-3, f"the density integrates to 1, not {total:.6f}")
    for draws, what in ((ours, "from_noise"), (theirs, "sample")):
        check_moments(draws, mean, covariance, what)


def _check_closed_form(prior: Prior, num_samples: int, rng: np.random.Generator) -> None:
    posterior = DiagonalNormal(2)
    q = posterior(rng.normal(size=(3, 4)).astype(np.float32))
    z, log_q = posterior.draw(rng.standard_normal((num_samples, 3, 2), np.float32), posterior.parameters_of(q))
    ratio = np.asarray(log_q - prior.log_prob(z), np.float64)
    require(ratio.shape == (num_samples, 3), "log_prob takes leading sample axes")
    closed = prior.closed_form(q)
    if closed is not None:
        error = 6 * ratio.std(axis=0) / np.sqrt(num_samples)  # six standard errors: p < 2e-9
        require((np.abs(ratio.mean(axis=0) - closed) < error).all(), "the closed form of the KL is its sampled value")


def _check_extremes(prior: Prior) -> None:
    z = tf.constant([[0.0, 0.0], [50.0, 50.0], [-50.0, -50.0]])
    with tf.GradientTape() as tape:
        tape.watch(z)
        log_prob = prior.log_prob(z)
    require(np.isfinite(log_prob).all(), "log_prob is finite at 0 and +-50")
    require(np.isfinite(tape.gradient(log_prob, z)).all(), "its gradient is finite there")
