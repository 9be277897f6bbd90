"""The contract that every likelihood keeps, for the tests of those who write one. Raises AssertionError."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import tensorflow as tf
import tf_keras as keras

from vae_tf.likelihoods import Likelihood

__all__ = ["check_likelihood"]

Reference = Callable[[Likelihood, np.ndarray, dict[str, np.ndarray]], np.ndarray]


def check_likelihood(make: Callable[[], Likelihood], reference: Reference, *, seed: int = 0) -> None:
    """Checks shapes, values, gradients, unknown batch sizes and the `.keras` round trip of a likelihood.

    Args:
        make: returns a new likelihood.
        reference: (likelihood, x `[B, *E]`, parameters by name) -> log p(x|z) in nats per example, `[B]`,
            computed independently of TensorFlow.
        seed: of the inputs.
    """
    for batch in (1, 3, 17):
        _check_log_prob(make(), reference, np.random.default_rng(seed), batch)
    _check_gradient(make(), seed)
    _check_round_trip(make(), seed)


def _draw(likelihood: Likelihood, rng: np.random.Generator, batch: int) -> tuple[np.ndarray, np.ndarray]:
    inputs = rng.normal(size=(batch, *likelihood.parameter_shape)).astype(np.float32)
    p = likelihood(inputs)
    noise = likelihood.noise(rng, batch)
    return inputs, np.asarray(likelihood.observe(noise, likelihood.parameters_of(p)))


def _check_log_prob(likelihood: Likelihood, reference: Reference, rng: np.random.Generator, batch: int) -> None:
    inputs, x = _draw(likelihood, rng, batch)
    p = likelihood(inputs)
    _require(x.shape == (batch, *likelihood.event_shape), "observe returns [B, *E]")
    _require(tuple(p.batch_shape) == (batch,), "batch_shape is [B]")
    _require(tuple(p.event_shape) == likelihood.event_shape, "event_shape is E")
    parameters = {
        name: np.broadcast_to(value, x.shape).astype(np.float32) for name, value in likelihood.parameters_of(p).items()
    }
    np.testing.assert_allclose(p.log_prob(x), reference(likelihood, x, parameters), rtol=1e-5)
    np.testing.assert_allclose(p.mean(), parameters["mean"], rtol=1e-6, err_msg="the parameter `mean` is E[x|z]")
    flat = likelihood(inputs.reshape(batch, -1))
    np.testing.assert_allclose(flat.log_prob(x), p.log_prob(x), rtol=1e-6, err_msg="flat network outputs")


def _check_gradient(likelihood: Likelihood, seed: int) -> None:
    _, x = _draw(likelihood, np.random.default_rng(seed), 2)
    for magnitude in (0.0, 50.0, -50.0):
        inputs = tf.fill((2, *likelihood.parameter_shape), magnitude)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = -likelihood(inputs).log_prob(x)
        gradient = tape.gradient(loss, inputs)
        _require(bool(np.isfinite(gradient).all()), f"the gradient is finite at network outputs of {magnitude:g}")


def _check_round_trip(likelihood: Likelihood, seed: int) -> None:
    config = json.loads(json.dumps(likelihood.get_config()))
    _require(type(likelihood).from_config(config).get_config() == likelihood.get_config(), "get_config round trip")
    model = keras.Sequential([keras.layers.InputLayer(likelihood.parameter_shape), likelihood])
    inputs, x = _draw(likelihood, np.random.default_rng(seed), 3)
    likelihood.update(model(inputs), x)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        loaded = keras.models.load_model(path)
    np.testing.assert_array_equal(loaded(inputs).log_prob(x), model(inputs).log_prob(x))


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise AssertionError(f"A likelihood's contract: {what}")
