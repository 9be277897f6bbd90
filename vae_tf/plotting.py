"""Pictures of data, of models and of training, as matplotlib figures that nothing shows or closes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

__all__ = [
    "active_units",
    "collapse_curve",
    "curves",
    "gaps",
    "image_grid",
    "information",
    "kl_per_latent",
    "overview",
    "reconstructions",
    "samples",
    "units_history",
]


def curves(history: Mapping[str, Sequence[float]]) -> Figure:
    """The loss in nats per example, and sigma beside the residual, by epoch.

    Args:
        history: what `fit(...).history` holds; `val_loss`, `sigma` and `rmse` are drawn where they are there.
    """
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    with_scale = "sigma" in history
    axes = figure.subplots(1, 3 if with_scale else 1, squeeze=False)[0]
    _lines(axes[0], history, {"loss": "training", "val_loss": "test"}, "-ELBO (nats per example)")
    if with_scale:
        _lines(axes[1], history, {"sigma": "sigma", "rmse": "residual (rmse)"}, "sigma (units of the data)", log=True)
        _lines(
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
    """Draws from the prior, `[n, H, W, C]` each: their mean E[x|z] beside x ~ p(x|z), noise included."""
    figure = Figure(figsize=(8, 4.3), layout="constrained")
    titles = ("E[x|z], z ~ p(z)", "x ~ p(x|z), the same z, with the noise of sigma")
    for ax, images, title in zip(figure.subplots(1, 2), (mean, draws), titles, strict=True):
        image_grid(ax, images)
        ax.set_title(title, fontsize=10)
    return figure


def overview(history: Mapping[str, Sequence[float]], x: np.ndarray, mean: np.ndarray, draws: np.ndarray) -> Figure:
    """A run in one picture: loss, sigma (where there is one) and residual, reconstructions, and samples.

    Args:
        history: as for `curves`, with `rmse`.
        x: images `[n, H, W, C]`.
        mean: their reconstructions, `[n, H, W, C]`.
        draws: samples `[m, H, W, C]`.
    """
    figure = Figure(figsize=(12, 3.2), layout="constrained")
    loss, sigma, pairs, samples_ax = figure.subplots(1, 4, width_ratios=(1.2, 1.2, 1, 1))
    _lines(loss, history, {"loss": "training", "val_loss": "test"}, "-ELBO (nats per example)")
    unit = "sigma (units of the data)" if "sigma" in history else "residual (units of the data)"
    _lines(sigma, history, {"sigma": "sigma", "rmse": "residual (rmse)"}, unit, log=True)
    image_grid(pairs, np.stack([x, mean], axis=1).reshape(-1, *x.shape[1:]), columns=6)
    image_grid(samples_ax, draws)
    second = "sigma follows the residual" if "sigma" in history else "The residual x - E[x|z]"
    titles = ("What is minimised", second, "x, E[x|z], x, E[x|z], ...", "Samples x ~ p(x|z)")
    for ax, title in zip((loss, sigma, pairs, samples_ax), titles, strict=True):
        ax.set_title(title, fontsize=10)
    return figure


def kl_per_latent(kl: np.ndarray) -> Figure:
    """The mean KL of each latent, largest first, and the range of the middle 90 % of the examples.

    Args:
        kl: KL per latent in nats, `[n, D]`.
    """
    order = np.argsort(-kl.mean(axis=0))
    low, high = np.quantile(kl[:, order], [0.05, 0.95], axis=0)
    figure, ax = _axes()
    rank = np.arange(1, kl.shape[1] + 1)
    ax.bar(rank, kl[:, order].mean(axis=0), color="C0", alpha=0.6, label="mean over the examples")
    ax.vlines(rank, low, high, color="0.25", linewidth=1, label="5 % to 95 % of the examples")
    _finish(
        ax,
        "latents, most used first",
        "KL(q || p) (nats per example)",
        f"KL of each latent: {kl.mean(axis=0).sum():.3g} nats in all",
    )
    _ranks(ax, len(order))
    return figure


def active_units(variances: np.ndarray, threshold: float = 0.01) -> Figure:
    """The variance over the data of each latent's posterior mean, largest first, against the threshold.

    Args:
        variances: `[D]`.
        threshold: above which a latent is active.
    """
    values, active = np.sort(variances)[::-1], int(np.sum(variances > threshold))
    floor = min(value for value in (*values, threshold, 1.0) if value > 0) / 3
    figure, ax = _axes()
    rank = np.arange(1, len(values) + 1)
    parts = ((slice(active), "C0", "active"), (slice(active, None), "0.7", "inactive"))
    for part, color, label in (part for part in parts if len(values[part[0]])):
        ax.vlines(rank[part], floor, np.maximum(values[part], floor), color=color, linewidth=1)
        ax.plot(rank[part], np.maximum(values[part], floor), "o", markersize=4, color=color, label=label)
    ax.axhline(threshold, color="C3", linestyle="--", linewidth=1, label=f"threshold {threshold:g}")
    ax.set_yscale("log")
    ax.set_ylim(bottom=floor)
    _finish(
        ax,
        "latents, most used first",
        "variance of E[z|x]",
        f"{active} of {len(values)} units are active",
        below=figure,
    )
    _ranks(ax, len(values))
    return figure


def collapse_curve(eps: np.ndarray, share: np.ndarray) -> Figure:
    """The share of (eps, delta)-collapsed latents as a function of eps.

    Args:
        eps: `[m]`, in nats.
        share: `[m]`, in [0, 1].
    """
    figure, ax = _axes()
    ax.step(eps, share, where="post")
    ax.axvline(0.01, color="0.5", linestyle=":", linewidth=1, label="eps = 0.01")
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_ylim(-0.03, 1.03)
    _finish(ax, "eps (nats)", "share of latents", "Latents that are (eps, delta)-collapsed")
    return figure


def information(
    mutual_information: float, aggregate_kl: float, error: float = 0.0, log_n: float | None = None
) -> Figure:
    """The rate as one bar: mutual information, then the KL of the aggregate posterior.

    Args:
        mutual_information: in nats.
        aggregate_kl: in nats.
        error: standard error of where the two meet, in nats.
        log_n: the logarithm of the number of examples, which bounds the mutual information.
    """
    figure, ax = _axes((6.5, 2.4))
    ax.barh(0, mutual_information, label=f"I(x; z) = {mutual_information:.3g}", color="C0", xerr=error or None)
    ax.barh(0, aggregate_kl, left=mutual_information, label=f"KL(q(z) || p(z)) = {aggregate_kl:.3g}", color="C1")
    if log_n is not None:
        ax.axvline(log_n, color="0.3", linestyle="--", linewidth=1, label=f"log n = {log_n:.3g}, the bound of I(x; z)")
    ax.set_yticks([])
    ax.set_ylim(-0.5, 0.5)
    _finish(ax, "nats per example", "", f"The rate: {mutual_information + aggregate_kl:.4g} nats", below=figure)
    return figure


def gaps(amortisation: np.ndarray, approximation: np.ndarray) -> Figure:
    """log p(x) - ELBO of each example, stacked: what the encoder costs, and what the posterior's family costs.

    Args:
        amortisation: in nats, `[n]`.
        approximation: in nats, `[n]`.
    """
    order = np.argsort(-(amortisation + approximation))
    figure, ax = _axes()
    rank = np.arange(1, len(order) + 1)
    for name, values, color in (("approximation", approximation, "C0"), ("amortisation", amortisation, "C1")):
        bottom = 0 if name == "approximation" else approximation[order]
        label = f"{name} gap, mean {values.mean():.3g}"
        ax.bar(rank, values[order], bottom=bottom, width=1.0, color=color, label=label)
    _finish(ax, "examples, widest gap first", "log p(x) - ELBO (nats)", "Why the ELBO lies below log p(x)")
    _ranks(ax, len(order))
    return figure


def units_history(history: Mapping[str, Sequence[float]]) -> Figure:
    """Active and collapsed units by epoch, and the KL of the most and of the least used latent.

    Args:
        history: what `fit(...).history` holds after training with `callbacks.CollapseMonitor`.
    """
    with_kl = "kl_max" in history
    figure = Figure(figsize=(8.5 if with_kl else 5, 3.4), layout="constrained")
    axes = figure.subplots(1, 2 if with_kl else 1, squeeze=False)[0]
    _lines(axes[0], history, {"active_units": "active", "collapsed_units": "collapsed"}, "number of latents")
    axes[0].set_title("Latents in use")
    axes[0].yaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0].margins(y=0.08)
    if with_kl:
        _lines(axes[1], history, {"kl_max": "most used latent", "kl_min": "least used latent"}, "mean KL (nats)")
        axes[1].set_title("What they carry")
        axes[1].set_ylim(bottom=0)
    return figure


def image_grid(ax: Axes, images: np.ndarray, *, columns: int | None = None) -> None:
    """Draws images `[n, H, W, C]` in [0, 1] (clipped) as one grid, a pixel of white between them."""
    n, height, width, channels = images.shape
    columns = columns or int(np.ceil(np.sqrt(n)))
    rows = -(-n // columns)
    grid = np.ones((rows * (height + 1) - 1, columns * (width + 1) - 1, channels))
    for i, image in enumerate(np.clip(images, 0, 1)):
        top, left = i // columns * (height + 1), i % columns * (width + 1)
        grid[top : top + height, left : left + width] = image
    ax.imshow(grid if channels == 3 else grid[..., 0], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    ax.set_axis_off()


def _lines(
    ax: Axes, history: Mapping[str, Sequence[float]], labels: Mapping[str, str], unit: str, log: bool = False
) -> None:
    styles = iter(("-", "--"))
    for key, label in labels.items():
        if key in history:
            values = history[key]
            ax.plot(
                range(1, len(values) + 1), values, next(styles), label=label, marker="." if len(values) < 30 else ""
            )
    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_ylabel(unit)
    if log:
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter("{x:g}")
    ax.legend(frameon=False)
    ax.spines[["top", "right"]].set_visible(False)


def _axes(size: tuple[float, float] = (6.5, 3.4)) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots()


def _finish(ax: Axes, xlabel: str, ylabel: str, title: str, below: Figure | None = None) -> None:
    """Labels, title and legend: within the axes, or in one row below them, where it hides nothing."""
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    ax.set_title(title)
    if below is None:
        ax.legend(frameon=False, fontsize=8)
    else:
        below.legend(*ax.get_legend_handles_labels(), frameon=False, fontsize=8, loc="outside lower center", ncols=3)
    ax.spines[["top", "right"]].set_visible(False)


def _ranks(ax: Axes, count: int) -> None:
    """An axis of the whole numbers from 1 to `count`."""
    ax.set_xlim(0.3, count + 0.7)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
