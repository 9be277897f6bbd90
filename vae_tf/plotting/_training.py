"""A run: its loss, its sigma, its images or vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vae_tf.plotting._axes import lines, new_axes
from vae_tf.plotting._examples import are_vectors, draw_images, draw_vectors, images_of


def curves(history: Mapping[str, Sequence[float]]) -> Figure:
    """The loss in nats per example, and sigma beside the residual, by epoch.

    Args:
        history: The dictionary `fit(...).history`; `val_loss`, `sigma` and `rmse` are drawn if it has them.
    """
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    with_scale = "sigma" in history
    axes = figure.subplots(1, 3 if with_scale else 1, squeeze=False)[0]
    lines(axes[0], history, {"loss": "training", "val_loss": "test"}, "-ELBO (nats per example)")
    if with_scale:
        lines(axes[1], history, {"sigma": "sigma", "rmse": "residual (rmse)"}, "sigma (units of the data)", log=True)
        lines(
            axes[2],
            history,
            {"mse_scale": "1/(2 sigma²)", "optimal_mse_scale": "1/(2 rmse²)"},
            "1/(2 sigma²)",
            log=True,
        )
        axes[1].set_title("sigma, the noise of p(x|z)")
        axes[2].set_title("factor of the squared error")
    axes[0].set_title("What is minimised")
    return figure


def reconstructions(x: np.ndarray, mean: np.ndarray) -> Figure:
    """Images above their reconstructions E[x|z]; vectors as curves, each with its reconstruction dashed.

    Args:
        x: Images `[n, H, W]` or `[n, H, W, C]`, C = 1, 3 or 4, in [0, 1] (clipped) or 8-bit; or vectors `[n, d]`,
            of which the first eight are drawn.
        mean: Their reconstructions, of the same shape.

    Raises:
        ValueError: For other shapes, no examples, or values that are NaN or infinite.
    """
    if are_vectors(x=x, mean=mean):
        figure, ax = new_axes()
        draw_vectors(ax, [("test vectors x", np.asarray(x), "-"), ("reconstructions E[x|z]", np.asarray(mean), "--")])
        ax.set_title("test vectors x and their reconstructions E[x|z]", fontsize=10)
        return figure
    n = len(x)
    figure = Figure(figsize=(max(0.75 * n, 4), 2.2), layout="constrained")
    axes = figure.subplots(2, 1)
    for ax, images, title in zip(axes, (x, mean), ("test images x", "reconstructions E[x|z]"), strict=True):
        draw_images(ax, images, columns=n)
        ax.set_title(title, fontsize=10)
    return figure


def samples(mean: np.ndarray, draws: np.ndarray) -> Figure:
    """Draws from the prior: their mean E[x|z] beside x ~ p(x|z), noise included.

    Args:
        mean: Images or vectors, as for `reconstructions`.
        draws: Draws x ~ p(x|z), of the same shape.

    Raises:
        ValueError: As `reconstructions`.
    """
    vectors = are_vectors(mean=mean, draws=draws)
    figure = Figure(figsize=(8, 4.3), layout="constrained")
    titles = ("E[x|z], z ~ p(z)", "x ~ p(x|z), the same z, with the noise of sigma")
    for ax, examples, title in zip(figure.subplots(1, 2), (mean, draws), titles, strict=True):
        if vectors:
            draw_vectors(ax, [("one curve for each z", np.asarray(examples), "-")])
        else:
            draw_images(ax, examples)
        ax.set_title(title, fontsize=10)
    return figure


def overview(history: Mapping[str, Sequence[float]], x: np.ndarray, mean: np.ndarray, draws: np.ndarray) -> Figure:
    """A run in one picture: loss, sigma (if there is one) and residual, reconstructions, and samples.

    Args:
        history: Logs as for `curves`, with `rmse` among them.
        x: Images or vectors, as for `reconstructions`.
        mean: Their reconstructions, of the same shape.
        draws: Samples of the model, as many as you like.

    Raises:
        ValueError: As `reconstructions` and `curves`.
    """
    vectors = are_vectors(x=x, mean=mean, draws=draws)
    figure = Figure(figsize=(12, 3.2), layout="constrained")
    loss, sigma, pairs, samples_ax = figure.subplots(1, 4, width_ratios=(1.2, 1.2, 1, 1))
    lines(loss, history, {"loss": "training", "val_loss": "test"}, "-ELBO (nats per example)")
    unit = "sigma (units of the data)" if "sigma" in history else "residual (units of the data)"
    lines(sigma, history, {"sigma": "sigma", "rmse": "residual (rmse)"}, unit, log=True)
    if vectors:
        draw_vectors(pairs, [("x", np.asarray(x), "-"), ("E[x|z]", np.asarray(mean), "--")])
        draw_vectors(samples_ax, [("x ~ p(x|z)", np.asarray(draws), "-")])
    else:
        draw_images(pairs, _alternating(images_of("x", x), images_of("mean", mean)), columns=6)
        draw_images(samples_ax, draws)
    second = "sigma follows the residual" if "sigma" in history else "The residual x - E[x|z]"
    titles = (
        "What is minimised",
        second,
        "x and E[x|z]" if vectors else "x, E[x|z], x, E[x|z], ...",
        "Samples x ~ p(x|z)",
    )
    for ax, title in zip((loss, sigma, pairs, samples_ax), titles, strict=True):
        ax.set_title(title, fontsize=10)
    return figure


def image_grid(ax: Axes, images: np.ndarray, *, columns: int | None = None) -> None:
    """Draws images as one grid, a pixel of white between them.

    Args:
        ax: Where to draw.
        images: Images `[n, H, W]` or `[n, H, W, C]`, C = 1, 3 (RGB) or 4 (with opacity), in [0, 1]: what lies outside
            is clipped. Those of type uint8 are in 0..255, or 0 and 1.
        columns: Images in a row; None makes about as many rows as columns.

    Raises:
        ValueError: For other shapes, no images, values that are NaN or infinite, or less than one column.
    """
    draw_images(ax, images, columns)


def _alternating(x: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Each image `[H, W, C]` before its reconstruction: `[2 n, H, W, C]`."""
    return np.stack([x, mean], axis=1).reshape(-1, *x.shape[1:])
