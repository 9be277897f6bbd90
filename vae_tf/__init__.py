"""Variational autoencoders whose loss is -log p(x|z) plus KL, in nats, with sigma in plain sight.

Modules are imported on first use, so that `vae-tf --help` and `vae_tf.equivalence` need no TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_MODULES = frozenset(
    {
        "callbacks",
        "collapse",
        "data",
        "equivalence",
        "evaluation",
        "likelihoods",
        "networks",
        "objectives",
        "plotting",
        "posteriors",
        "ppca",
        "priors",
    }
)
_NAMES = {
    "LinearVAE": "vae_tf.linear_vae",
    "VAE": "vae_tf.vae",
    "load": "vae_tf.saving",
    "negative_log_prob": "vae_tf.objectives",
}

__all__ = [
    "VAE",
    "LinearVAE",
    "callbacks",
    "collapse",
    "data",
    "equivalence",
    "evaluation",
    "likelihoods",
    "load",
    "negative_log_prob",
    "networks",
    "objectives",
    "plotting",
    "posteriors",
    "ppca",
    "priors",
]

if TYPE_CHECKING:
    from vae_tf import (
        callbacks,
        collapse,
        data,
        equivalence,
        evaluation,
        likelihoods,
        networks,
        objectives,
        plotting,
        posteriors,
        ppca,
        priors,
    )
    from vae_tf.linear_vae import LinearVAE
    from vae_tf.objectives import negative_log_prob
    from vae_tf.saving import load
    from vae_tf.vae import VAE


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"vae_tf.{name}")
    if name in _NAMES:
        value = getattr(importlib.import_module(_NAMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'vae_tf' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
