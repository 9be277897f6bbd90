"""Pictures of the latents, of the information that they carry, and of the gap between ELBO and log p(x)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vae_tf import _checks
from vae_tf.plotting._arrays import drawable
from vae_tf.plotting._axes import finish, lines, new_axes, ranks


def kl_per_latent(kl: np.ndarray) -> Figure:
    """The mean KL of each latent, largest first, and the range of the middle 90 % of the examples.

    Args:
        kl: KL per latent in nats, `[n, D]`.

    Raises:
        ValueError: For another shape, or values that are NaN or infinite.
    """
    kl = drawable("kl", kl, "KL per latent [n, D]", axes=2)
    order = np.argsort(-kl.mean(axis=0))
    low, high = np.quantile(kl[:, order], [0.05, 0.95], axis=0)
    figure, ax = new_axes()
    rank = np.arange(1, kl.shape[1] + 1)
    ax.bar(rank, kl[:, order].mean(axis=0), color="C0", alpha=0.6, label="mean over the examples")
    ax.vlines(rank, low, high, color="0.25", linewidth=1, label="5 % to 95 % of the examples")
    finish(
        ax,
        "latents, most used first",
        "KL(q || p) (nats per example)",
        f"KL of each latent: {kl.mean(axis=0).sum():.3g} nats in all",
    )
    ranks(ax, len(order))
    return figure


def active_units(variances: np.ndarray, threshold: float = 0.01) -> Figure:
    """The variance over the data of each latent's posterior mean, largest first, against the threshold.

    Args:
        variances: The variance of each latent's posterior mean, `[D]`.
        threshold: The variance above which a latent is active.

    Raises:
        ValueError: For another shape, or values that are NaN or infinite.
    """
    variances = drawable("variances", variances, "one variance for each latent, [D]", axes=1)
    values, active = np.sort(variances)[::-1], int(np.sum(variances > threshold))
    floor = min(value for value in (*values, threshold, 1.0) if value > 0) / 3
    figure, ax = new_axes()
    rank = np.arange(1, len(values) + 1)
    parts = ((slice(active), "C0", "active"), (slice(active, None), "0.7", "inactive"))
    for part, color, label in (part for part in parts if len(values[part[0]])):
        ax.vlines(rank[part], floor, np.maximum(values[part], floor), color=color, linewidth=1)
        ax.plot(rank[part], np.maximum(values[part], floor), "o", markersize=4, color=color, label=label)
    ax.axhline(threshold, color="C3", linestyle="--", linewidth=1, label=f"threshold {threshold:g}")
    ax.set_yscale("log")
    ax.set_ylim(bottom=floor)
    finish(
        ax,
        "latents, most used first",
        "variance of E[z|x]",
        f"{active} of {len(values)} units are active",
        below=figure,
    )
    ranks(ax, len(values))
    return figure


def collapse_curve(eps: np.ndarray, share: np.ndarray) -> Figure:
    """The share of (eps, delta)-collapsed latents as a function of eps.

    Args:
        eps: Thresholds of the KL, `[m]`, in nats.
        share: Share of collapsed latents at each threshold, `[m]`, in [0, 1].

    Raises:
        ValueError: For other or unequal shapes, or values that are NaN or infinite.
    """
    eps, share = _pair(("eps", eps), ("share", share))
    figure, ax = new_axes()
    ax.step(eps, share, where="post")
    ax.axvline(0.01, color="0.5", linestyle=":", linewidth=1, label="eps = 0.01")
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_ylim(-0.03, 1.03)
    finish(ax, "eps (nats)", "share of latents", "Latents that are (eps, delta)-collapsed")
    return figure


def information(
    mutual_information: float, aggregate_kl: float, error: float = 0.0, log_n: float | None = None
) -> Figure:
    """The rate as one bar of two parts: the mutual information, then the KL of the aggregate posterior.

    Args:
        mutual_information: Mutual information in nats.
        aggregate_kl: KL of the aggregate posterior in nats.
        error: Standard error of the point where the two parts meet, in nats.
        log_n: Logarithm of the number of examples, which bounds the mutual information.
    """
    figure, ax = new_axes((6.5, 2.4))
    ax.barh(0, mutual_information, label=f"I(x; z) = {mutual_information:.3g}", color="C0", xerr=error or None)
    ax.barh(0, aggregate_kl, left=mutual_information, label=f"KL(q(z) || p(z)) = {aggregate_kl:.3g}", color="C1")
    if log_n is not None:
        ax.axvline(log_n, color="0.3", linestyle="--", linewidth=1, label=f"log n = {log_n:.3g}, the bound of I(x; z)")
    ax.set_yticks([])
    ax.set_ylim(-0.5, 0.5)
    finish(ax, "nats per example", "", f"The rate: {mutual_information + aggregate_kl:.4g} nats", below=figure)
    return figure


def gaps(amortisation: np.ndarray, approximation: np.ndarray) -> Figure:
    """log p(x) - ELBO of each example, in two stacked parts: the approximation gap, and the amortisation gap on it.

    Args:
        amortisation: In nats, `[n]`.
        approximation: In nats, `[n]`.

    Raises:
        ValueError: For other or unequal shapes, or values that are NaN or infinite.
    """
    amortisation, approximation = _pair(("amortisation", amortisation), ("approximation", approximation))
    order = np.argsort(-(amortisation + approximation))
    figure, ax = new_axes()
    rank = np.arange(1, len(order) + 1)
    for name, values, color in (("approximation", approximation, "C0"), ("amortisation", amortisation, "C1")):
        bottom = 0 if name == "approximation" else approximation[order]
        label = f"{name} gap, mean {values.mean():.3g}"
        ax.bar(rank, values[order], bottom=bottom, width=1.0, color=color, label=label)
    finish(ax, "examples, widest gap first", "log p(x) - ELBO (nats)", "Why the ELBO lies below log p(x)")
    ranks(ax, len(order))
    return figure


def units_history(history: Mapping[str, Sequence[float]]) -> Figure:
    """Active and collapsed units by epoch, and the KL of the most and of the least used latent.

    Args:
        history: The dictionary `fit(...).history` after training with `callbacks.CollapseMonitor`.
    """
    with_kl = "kl_max" in history
    figure = Figure(figsize=(8.5 if with_kl else 5, 3.4), layout="constrained")
    axes = figure.subplots(1, 2 if with_kl else 1, squeeze=False)[0]
    lines(axes[0], history, {"active_units": "active", "collapsed_units": "collapsed"}, "number of latents")
    axes[0].set_title("Latents in use")
    axes[0].yaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0].margins(y=0.08)
    if with_kl:
        lines(axes[1], history, {"kl_max": "most used latent", "kl_min": "least used latent"}, "mean KL (nats)")
        axes[1].set_title("What they carry")
        axes[1].set_ylim(bottom=0)
    return figure


def _pair(first: tuple[str, np.ndarray], second: tuple[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Two named arrays `[n]` of one length, or a ValueError."""
    a, b = (drawable(name, values, "numbers [n]", axes=1) for name, values in (first, second))
    if len(a) != len(b):
        remedy = "Pass both of the same examples."
        expected, received = f"{len(a)} numbers, as {first[0]} has", str(len(b))
        raise ValueError(_checks.problem(second[0], expected=expected, received=received, remedy=remedy))
    return a, b
