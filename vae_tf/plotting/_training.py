"""Pictures of a training run: its loss, its sigma, its images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vae_tf.plotting._axes import lines


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
    """Images `[n, H, W, C]` above their reconstructions E[x|z]."""
    n = len(x)
    figure = Figure(figsize=(max(0.75 * n, 4), 2.2), layout="constrained")
    axes = figure.subplots(2, 1)
    for ax, images, title in zip(axes, (x, mean), ("test images x", "reconstructions E[x|z]"), strict=True):
        image_grid(ax, images, columns=n)
        ax.set_title(title, fontsize=10)
    return figure


def samples(mean: np.ndarray, draws: np.ndarray) -> Figure:
    """Samples from the model, `[n, H, W, C]` each: the means E[x|z] beside draws x ~ p(x|z), noise included."""
    figure = Figure(figsize=(8, 4.3), layout="constrained")
    titles = ("E[x|z], z ~ p(z)", "x ~ p(x|z), the same z, with the noise of sigma")
    for ax, images, title in zip(figure.subplots(1, 2), (mean, draws), titles, strict=True):
        image_grid(ax, images)
        ax.set_title(title, fontsize=10)
    return figure


def overview(history: Mapping[str, Sequence[float]], x: np.ndarray, mean: np.ndarray, draws: np.ndarray) -> Figure:
    """A run in one picture: loss, sigma (if there is one) and residual, reconstructions, and samples.

    Args:
        history: A history as for `curves`, with `rmse`.
        x: Images `[n, H, W, C]`.
        mean: Reconstructions of these images, `[n, H, W, C]`.
        draws: Samples `[m, H, W, C]`.
    """
    figure = Figure(figsize=(12, 3.2), layout="constrained")
    loss, sigma, pairs, samples_ax = figure.subplots(1, 4, width_ratios=(1.2, 1.2, 1, 1))
    lines(loss, history, {"loss": "training", "val_loss": "test"}, "-ELBO (nats per example)")
    unit = "sigma (units of the data)" if "sigma" in history else "residual (units of the data)"
    lines(sigma, history, {"sigma": "sigma", "rmse": "residual (rmse)"}, unit, log=True)
    image_grid(pairs, np.stack([x, mean], axis=1).reshape(-1, *x.shape[1:]), columns=6)
    image_grid(samples_ax, draws)
    second = "sigma follows the residual" if "sigma" in history else "The residual x - E[x|z]"
    titles = ("What is minimised", second, "x, E[x|z], x, E[x|z], ...", "Samples x ~ p(x|z)")
    for ax, title in zip((loss, sigma, pairs, samples_ax), titles, strict=True):
        ax.set_title(title, fontsize=10)
    return figure


def image_grid(ax: Axes, images: np.ndarray, *, columns: int | None = None) -> None:
    """Draws images `[n, H, W, C]`, clipped to [0, 1], as one grid with a white pixel between them."""
    n, height, width, channels = images.shape
    columns = columns or int(np.ceil(np.sqrt(n)))
    rows = -(-n // columns)
    grid = np.ones((rows * (height + 1) - 1, columns * (width + 1) - 1, channels))
    for i, image in enumerate(np.clip(images, 0, 1)):
        top, left = i // columns * (height + 1), i % columns * (width + 1)
        grid[top : top + height, left : left + width] = image
    ax.imshow(grid if channels == 3 else grid[..., 0], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    ax.set_axis_off()
