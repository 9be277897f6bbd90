"""Checks that the three contracts share."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import tf_keras as keras
from scipy import stats

EXTREMES = (0.0, 50.0, -50.0)
"""Network outputs at which values and gradients must stay finite."""
FALSE_ALARM = 1e-6
"""Probability that a statistical check fails a correct layer. (With a fixed seed a check fails always or never.)"""


def require(condition: Any, clause: str) -> None:
    """Raises an AssertionError with the clause unless the condition holds."""
    if not condition:
        raise AssertionError(f"The contract is broken: {clause}")


def check_config(layer: Any) -> None:
    """Checks that the configuration is plain JSON and makes the same layer."""
    config = json.loads(json.dumps(layer.get_config()))
    require(type(layer).from_config(config).get_config() == layer.get_config(), "get_config round trip through JSON")


def saved_and_loaded(layer: keras.layers.Layer, input_shape: tuple[int, ...]) -> tuple[keras.Model, keras.Model]:
    """A model of this layer alone, and the model that its `.keras` file gives when loaded in safe mode."""
    model = keras.Sequential([keras.layers.InputLayer(input_shape), layer])
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        return model, keras.models.load_model(path)


def check_moments(draws: np.ndarray, mean: np.ndarray, covariance: np.ndarray, what: str) -> None:
    """Checks by z-tests, with Bonferroni's correction, that draws `[n, D]` have this mean and covariance."""
    centred = draws.astype(np.float64) - mean
    products = centred[:, :, None] * centred[:, None, :] - covariance
    for name, values in (("mean", centred), ("covariance", products.reshape(len(draws), -1))):
        error = np.abs(values.mean(axis=0)) / (values.std(axis=0) / np.sqrt(len(draws)) + 1e-6)
        limit = stats.norm.isf(FALSE_ALARM / 2 / values.shape[1])
        require(error.max() < limit, f"{what}: the {name} of draws is that of log_prob ({error.max():.1f} errors off)")


def plane(mean: np.ndarray, deviation: np.ndarray, points: int = 401, width: float = 9.0) -> tuple[np.ndarray, float]:
    """A grid over two latents, `[points^2, 2]` float32, and the area of a cell."""
    axes = [np.linspace(m - width * s, m + width * s, points) for m, s in zip(mean, deviation, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2).astype(np.float32)
    return grid, float(np.prod([axis[1] - axis[0] for axis in axes]))


def plane_moments(grid: np.ndarray, log_prob: np.ndarray, area: float) -> tuple[float, np.ndarray, np.ndarray]:
    """Integral, mean and covariance of a density over two latents."""
    weights = np.exp(np.asarray(log_prob, np.float64)) * area
    total = float(weights.sum())
    mean = weights @ grid / total
    centred = grid - mean
    return total, mean, (centred * weights[:, None]).T @ centred / total
