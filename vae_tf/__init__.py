"""Variational autoencoders whose loss is -log p(x|z) plus KL, in nats, with sigma in plain sight.

Modules are imported on first use, so that `vae-tf --help` and `vae_tf.equivalence` need no TensorFlow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

__version__ = "0.1.0"

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
        testing,
    )
    from vae_tf.linear import LinearVAE
    from vae_tf.objectives import negative_log_prob
    from vae_tf.saving import load
    from vae_tf.vae import VAE

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
    "testing",
]

_CLASSES_AND_FUNCTIONS = {
    "linear": ["LinearVAE"],
    "objectives": ["negative_log_prob"],
    "saving": ["load"],
    "vae": ["VAE"],
}

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submodules={name for name in __all__ if name.islower()} - {"load", "negative_log_prob"},
    submod_attrs=_CLASSES_AND_FUNCTIONS,
)
