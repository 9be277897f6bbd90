"""The contract of a likelihood."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf
from scipy import integrate, stats

from vae_tf.likelihoods import Likelihood
from vae_tf.testing._common import EXTREMES, FALSE_ALARM, check_config, require, saved_and_loaded

Reference = Callable[[Likelihood, np.ndarray, dict[str, np.ndarray]], np.ndarray]


def check_likelihood(
    make: Callable[[], Likelihood],
    reference: Reference,
    *,
    support: np.ndarray | None = None,
    num_samples: int = 4000,
    seed: int = 0,
) -> None:
    """Checks a likelihood against an independent computation, and against itself.

    - `log_prob` equals the reference to 1e-5 relative, for batches of 1, 3 and 17 and for network outputs of 0 and
      +-50; at these outputs its gradient is finite;
    - a mass sums to 1 +- 1e-6, a density integrates to 1 +- 1e-4;
    - `mean` is the expectation, and the draws of `observe` and of `p.sample` have the law of `log_prob`;
    - flat network outputs and unknown batch sizes work, and the configuration and the `.keras` file give the same
      likelihood again.

    Args:
        make: Function that returns a new likelihood. The check makes one of a single dimension from its configuration.
        reference: Function (likelihood, x `[B, *E]`, parameters by name, each `[B, *E, ...]`) -> log p(x|z) in nats
            per example, `[B]`, computed independently of TensorFlow.
        support: Values of one dimension, sorted: all values of a mass (up to where it is negligible), or a fine grid
            over the support of a bounded density; the real numbers by default.
        num_samples: Number of draws in the test of their law.
        seed: Seed of the inputs and the draws.
    """
    for batch in (1, 3, 17):
        _check_log_prob(make(), reference, np.random.default_rng(seed), batch)
    _check_extremes(make(), reference, support, seed)
    _check_law(make(), support, num_samples, seed)
    _check_saving(make(), seed)


def _inputs(likelihood: Likelihood, rng: np.random.Generator, batch: int) -> np.ndarray:
    return rng.normal(size=(batch, *likelihood.parameter_shape)).astype(np.float32)


def _observed(likelihood: Likelihood, inputs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    parameters = likelihood.parameters_of(likelihood(inputs))
    return np.array(likelihood.observe(likelihood.noise(rng, len(inputs)), parameters))


def _arrays(likelihood: Likelihood, inputs: np.ndarray) -> dict[str, np.ndarray]:
    """The parameters, each broadcast to `[B, *E, ...]`."""
    full = (len(inputs), *likelihood.event_shape)
    values = {name: np.asarray(value) for name, value in likelihood.parameters_of(likelihood(inputs)).items()}
    return {name: np.broadcast_to(v, (*full, *v.shape[len(full) :])).astype(np.float32) for name, v in values.items()}


def _check_log_prob(likelihood: Likelihood, reference: Reference, rng: np.random.Generator, batch: int) -> None:
    inputs = _inputs(likelihood, rng, batch)
    p, x = likelihood(inputs), _observed(likelihood, inputs, rng)
    require(x.shape == (batch, *likelihood.event_shape), "observe returns [B, *E]")
    require(tuple(p.batch_shape) == (batch,), "batch_shape is [B]")
    require(tuple(p.event_shape) == likelihood.event_shape, "event_shape is E")
    expected = reference(likelihood, x, _arrays(likelihood, inputs))
    np.testing.assert_allclose(p.log_prob(x), expected, rtol=1e-5, err_msg="log_prob is the reference's")
    flat = likelihood(inputs.reshape(batch, -1))
    np.testing.assert_allclose(flat.log_prob(x), p.log_prob(x), rtol=1e-6, err_msg="flat network outputs")
    several = p.log_prob(np.stack([x, x]))
    np.testing.assert_allclose(several, np.stack([p.log_prob(x)] * 2), rtol=1e-6, err_msg="leading sample axes")


def _check_extremes(likelihood: Likelihood, reference: Reference, support: np.ndarray | None, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for magnitude in EXTREMES:
        inputs = np.full((2, *likelihood.parameter_shape), magnitude, np.float32)
        x = _observed(likelihood, inputs, rng)
        if support is not None:
            x[1] = rng.choice(support[[0, -1]], size=x[1].shape)
        expected = reference(likelihood, x, _arrays(likelihood, inputs))
        outputs = tf.constant(inputs)
        with tf.GradientTape() as tape:
            tape.watch(outputs)
            log_prob = likelihood(outputs).log_prob(x)
        np.testing.assert_allclose(log_prob, expected, rtol=1e-5, err_msg=f"log_prob at network outputs {magnitude:g}")
        gradient = tape.gradient(log_prob, outputs)
        require(np.isfinite(gradient).all(), f"the gradient is finite at network outputs of {magnitude:g}")


def _check_law(likelihood: Likelihood, support: np.ndarray | None, num_samples: int, seed: int) -> None:
    """Checks the total, the mean and the draws of one dimension."""
    single = type(likelihood).from_config(likelihood.get_config() | {"event_shape": [1]})
    rng = np.random.default_rng(seed)
    inputs = _inputs(single, rng, 1)
    p = single(inputs)
    mass = single.measure != "density"
    if support is None:
        support = float(p.mean()[0, 0]) + np.sinh(np.linspace(-14, 14, 40001))
    values = np.asarray(support, np.float32)
    log_prob = np.asarray(p.log_prob(values.reshape(-1, 1, 1)), np.float64)[:, 0]
    density, values = np.exp(log_prob), values.astype(np.float64)
    total, mean = ((np.sum(f) if mass else integrate.trapezoid(f, values)) for f in (density, density * values))
    require(abs(total - 1) < (1e-6 if mass else 1e-4), f"the total is 1, not {total:.8f}")
    expected = np.asarray(single.mean(single.parameters_of(p)))[0, 0]
    tolerance = 1e-5 if mass else 1e-3
    require(
        abs(mean - expected) < tolerance * max(1, abs(expected)), f"mean is E[x|z] = {mean:.7g}, not {expected:.7g}"
    )
    np.testing.assert_allclose(p.mean()[0, 0], expected, rtol=1e-5, err_msg="p.mean() is mean(parameters)")
    repeated = np.repeat(inputs, num_samples, axis=0)
    for draws in (_observed(single, repeated, rng), p.sample(num_samples, seed=seed)):
        _check_draws(np.asarray(draws, np.float64).ravel(), values, density, mass)


def _check_draws(draws: np.ndarray, values: np.ndarray, density: np.ndarray, mass: bool) -> None:
    """Tests draws by Kolmogorov's test for a density, and by a chi-squared test for a mass (8 or more draws a cell)."""
    if not mass:
        cdf = np.concatenate([[0.0], integrate.cumulative_trapezoid(density, values)])
        p_value = stats.kstest(draws, lambda x: np.interp(x, values, cdf)).pvalue
        require(p_value > FALSE_ALARM, f"draws have the law of log_prob (Kolmogorov: p = {p_value:.1e})")
        return
    index = np.abs(draws[:, None] - values).argmin(axis=1)
    require(np.allclose(values[index], draws, atol=1e-4), "draws lie in the support")
    expected = density * len(draws)
    cell = np.floor(np.cumsum(expected) / 8 - 1e-9).clip(0, max(len(draws) // 8 - 1, 0)).astype(int)
    observed, wanted = (np.bincount(cell, weights) for weights in (np.bincount(index, minlength=len(values)), expected))
    used = wanted > 1e-3
    statistic = np.sum((observed[used] - wanted[used]) ** 2 / wanted[used])
    p_value = stats.chi2.sf(statistic, max(used.sum() - 1, 1))
    require(observed[~used].sum() == 0 and p_value > FALSE_ALARM, f"draws have the law of log_prob (p = {p_value:.1e})")


def _check_saving(likelihood: Likelihood, seed: int) -> None:
    check_config(likelihood)
    inputs = _inputs(likelihood, np.random.default_rng(seed), 3)
    x = _observed(likelihood, inputs, np.random.default_rng(seed))
    likelihood.update(likelihood(inputs), x)
    model, loaded = saved_and_loaded(likelihood, likelihood.parameter_shape)
    np.testing.assert_array_equal(loaded(inputs).log_prob(x), model(inputs).log_prob(x), err_msg=".keras round trip")
    unknown = tf.function(lambda i, x: model(i).log_prob(x), reduce_retracing=True)
    signature = [tf.TensorSpec((None, *value.shape[1:])) for value in (inputs, x)]
    traced = unknown.get_concrete_function(*signature)(tf.constant(inputs), tf.constant(x, tf.float32))
    np.testing.assert_allclose(traced, model(inputs).log_prob(x), rtol=1e-5, err_msg="unknown batch size")
