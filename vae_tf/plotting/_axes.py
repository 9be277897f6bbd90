"""Parts that the axes of all pictures have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vae_tf import _checks


def lines(
    ax: Axes, history: Mapping[str, Sequence[float]], labels: Mapping[str, str], unit: str, log: bool = False
) -> None:
    """Columns of a history by epoch, those of `labels` that it has; a ValueError where it has none."""
    if not labels.keys() & history.keys():
        raise ValueError(
            _checks.problem(
                "history",
                expected=f"one of {', '.join(labels)}",
                received=", ".join(history) or "nothing",
                remedy="Pass what fit(...).history holds.",
            )
        )
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


def new_axes(size: tuple[float, float] = (6.5, 3.4)) -> tuple[Figure, Axes]:
    """A figure of this size in inches, and its axes."""
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots()


def finish(ax: Axes, xlabel: str, ylabel: str, title: str, below: Figure | None = None) -> None:
    """Adds labels, title and legend: within the axes, or in a row of the figure `below`, where it hides nothing."""
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    ax.set_title(title)
    if below is None:
        ax.legend(frameon=False, fontsize=8)
    else:
        below.legend(*ax.get_legend_handles_labels(), frameon=False, fontsize=8, loc="outside lower center", ncols=3)
    ax.spines[["top", "right"]].set_visible(False)


def ranks(ax: Axes, count: int) -> None:
    """Makes the horizontal axis one of the whole numbers from 1 to `count`."""
    ax.set_xlim(0.3, count + 0.7)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
