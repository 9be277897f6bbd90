"""The table that `vae-tf evaluate` prints."""

from __future__ import annotations

from typing import Any

import numpy as np

from vae_tf import data, evaluation
from vae_tf.evaluation._estimates import HEADER, aligned
from vae_tf.vae import VAE

_ELBO_DRAWS = 100  # beyond these the ELBO's error is that of the finite test set


def table(vae: VAE, train: np.ndarray, x: np.ndarray, num_samples: int, **options: Any) -> str:
    """ELBO, log-likelihood and bits per dimension of one model, with standard errors; or a note why not bits.

    Args:
        vae: the model.
        train: training data, which say how many grey levels there are.
        x: test data `[n, *E]`.
        num_samples: draws of z for each example; of the ELBO at most 100.
        **options: `chunk_size` and `seed`.

    Raises:
        ValueError: see evaluation.log_likelihood.
    """
    log_likelihood = evaluation.log_likelihood(vae, x, num_samples, **options)
    elbo = evaluation.elbo(vae, x, min(num_samples, _ELBO_DRAWS), **options)
    rows, note = {"ELBO": elbo, "log-likelihood": log_likelihood}, ""
    try:
        if log_likelihood.measure == "density":
            levels = data.levels(train)
            rows["bits per dimension"] = evaluation.bits_per_dim(vae, x, num_samples, levels=levels, **options)
        else:
            rows["bits per dimension"] = log_likelihood.in_bits(vae.likelihood.dims)
    except ValueError as error:
        note = f"\nNo bits per dimension. {error}"
    return aligned([["test images", *HEADER], *([name, *row.cells()] for name, row in rows.items())]) + note
