"""The pictures of a run: those of images, and those of tables, whose columns have units of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from vae_tf import plotting
from vae_tf.vae import VAE

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["of_images", "of_table", "scale_by_column"]

_LOSS = ("loss", "val_loss")


def of_images(
    history: Mapping[str, Sequence[float]],
    x: np.ndarray,
    vae: VAE,
    means: np.ndarray,
    draws: np.ndarray,
    white: float,
) -> dict[str, Figure]:
    """Figures by title: an overview, the curves, reconstructions and samples.

    Args:
        history: Logs by name, with one number for each epoch.
        x: Test images, `[n, H, W, C]`; the first eighteen are shown.
        vae: The model.
        means: Means E[x|z], z ~ p(z), `[m, H, W, C]`.
        draws: Draws x ~ p(x|z) of the same z.
        white: The value of white in all these images.
    """
    mean = vae.reconstruct(x[:18]) / white
    x, means, draws = x[:18] / white, means / white, draws / white
    return {
        "Overview": plotting.overview(history, x, mean, draws[:36]),
        "Curves": plotting.curves(history),
        "Reconstructions": plotting.reconstructions(x[:10], mean[:10]),
        "Samples": plotting.samples(means, draws),
    }


def of_table(
    history: Mapping[str, Sequence[float]], train: pd.DataFrame, test: pd.DataFrame, vae: VAE, draws: np.ndarray
) -> dict[str, Figure]:
    """Figures by title: the loss, the predictions and marginals of columns, and sigma by column where there is one.

    Args:
        history: Logs by name, with one number for each epoch.
        train: Training rows.
        test: Test rows.
        vae: The model.
        draws: Draws x ~ p(x|z), z ~ p(z), `[m, d]`.
    """
    names, x = list(test.columns), test.to_numpy()
    figures = {
        "Curves": plotting.curves({name: history[name] for name in _LOSS}),  # residuals of all columns have no unit
        "Predictions": plotting.predictions(x, vae.reconstruct(test), names),
        "Marginals": plotting.marginals(train.to_numpy(), draws, names),
    }
    scale = scale_by_column(vae)
    if scale is not None:
        figures["Sigma by column"] = plotting.column_scales(
            scale, train.to_numpy().std(axis=0, dtype=np.float64), names
        )
    return figures


def scale_by_column(vae: VAE) -> np.ndarray | None:
    """The scale of the likelihood for each dimension, `[d]`, in the units of the data; None where it has none."""
    scale = getattr(vae.likelihood, "scale", None)
    return None if scale is None else np.broadcast_to(np.asarray(scale, np.float64), vae.event_shape).ravel()
