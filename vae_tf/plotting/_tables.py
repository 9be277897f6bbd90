"""Pictures of tables: what a model makes of each column, in the column's own units."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vae_tf import _checks
from vae_tf.plotting._arrays import drawable
from vae_tf.plotting._axes import finish, new_axes

_PANELS = 16
_BARS = 40
_POINTS = 1000
_BINS = 30


def predictions(x: np.ndarray, mean: np.ndarray, columns: Sequence[str] | None = None) -> Figure:
    """E[x|z] against x, a panel for each of the first sixteen columns; perfect reconstructions lie on the diagonal.

    The title of a panel says which share of the column's variance is explained, 1 - mean (x - E[x|z])^2 / var(x).

    Args:
        x: Rows of a table, `[n, d]`; evenly spread ones are drawn, at most 1,000.
        mean: Their reconstructions, of the same shape.
        columns: Names of the d columns; None numbers them.

    Raises:
        ValueError: For other shapes, no examples, or values that are NaN or infinite.
    """
    x, mean, names = _tables(("x", x), ("mean", mean), columns)
    if len(x) != len(mean):
        remedy = "Pass what the model makes of the same examples."
        raise ValueError(
            _checks.problem("mean", expected=f"{len(x)} rows, as x has", received=len(mean), remedy=remedy)
        )
    figure, panels = _grid(names)
    shown = np.unique(np.linspace(0, len(x) - 1, _POINTS).astype(int))
    for i, ax in enumerate(panels):
        true, predicted = x[:, i].astype(np.float64), mean[:, i].astype(np.float64)
        size, alpha = (6, 0.8) if len(shown) < 200 else (4, 0.4)
        ax.plot(true[shown], predicted[shown], ".", markersize=size, alpha=alpha, markeredgewidth=0)
        low, high = min(true.min(), predicted.min()), max(true.max(), predicted.max())
        ax.plot([low, high], [low, high], color="0.6", linewidth=1, zorder=0)
        variance = true.var()
        share = f"{1 - np.square(true - predicted).mean() / variance:.0%} explained" if variance > 0 else "constant"
        ax.set_title(f"{_short(names[i])}\n{share}", fontsize=8)
    figure.suptitle(f"Reconstructions, and the share of the variance that they explain{_of(names)}", fontsize=11)
    figure.supxlabel("x, in the units of the column", fontsize=9)
    figure.supylabel("E[x|z]", fontsize=9)
    return figure


def marginals(x: np.ndarray, draws: np.ndarray, columns: Sequence[str] | None = None) -> Figure:
    """Histograms of the data and of samples, a panel for each of the first sixteen columns, on bins of the data.

    Samples that lie beyond the bins are counted in the title: so wide tails do not hide the rest.

    Args:
        x: Rows of a table, `[n, d]`.
        draws: Draws x ~ p(x|z), z ~ p(z), `[m, d]`.
        columns: Names of the d columns; None numbers them.

    Raises:
        ValueError: As `predictions`.
    """
    x, draws, names = _tables(("x", x), ("draws", draws), columns)
    figure, panels = _grid(names)
    for i, ax in enumerate(panels):
        edges = _edges(x[:, i])
        for values, label, color in ((x[:, i], "data", "0.6"), (draws[:, i], "samples x ~ p(x|z)", "C0")):
            heights = np.histogram(values, edges)[0] / len(values)
            filled = label == "data"
            ax.stairs(heights, edges, fill=filled, color=color, alpha=0.6 if filled else 1, label=label)
        beyond = np.mean((draws[:, i] < edges[0]) | (draws[:, i] > edges[-1]))
        ax.set_title(_short(names[i]) + (f"\n{beyond:.0%} of the samples beyond" if beyond > 0.01 else ""), fontsize=8)
        ax.set_yticks([])
    figure.suptitle(f"Marginal distributions{_of(names)}", fontsize=11)
    figure.legend(
        *panels[0].get_legend_handles_labels(), frameon=False, fontsize=8, loc="outside lower center", ncols=2
    )
    return figure


def column_scales(scale: np.ndarray, std: np.ndarray, columns: Sequence[str] | None = None) -> Figure:
    """Sigma of each column beside the standard deviation of the data, in the units of each, on a logarithmic axis.

    Where sigma is near the standard deviation, the latents say nothing of the column; how far it lies below is what
    they explain. At most forty columns are drawn.

    Args:
        scale: Sigma of each column, `[d]`, above 0.
        std: Standard deviation of each column, `[d]`; 0 of a constant one is not drawn.
        columns: Names of the d columns; None numbers them.

    Raises:
        ValueError: For other or unequal shapes, values that are NaN or infinite, or a scale that is not above 0.
    """
    scale, std, names = _tables(("scale", np.asarray(scale)[None]), ("std", np.asarray(std)[None]), columns)
    if not (scale > 0).all():
        received, remedy = f"{scale.min():g}", "Pass the scale of the likelihood."
        raise ValueError(_checks.problem("scale", expected="numbers above 0", received=received, remedy=remedy))
    count = min(len(names), _BARS)
    figure, ax = new_axes((7.5, 1.4 + 0.24 * count))
    place = np.arange(count)
    sigma, spread = scale[0, :count].astype(np.float64), std[0, :count].astype(np.float64)
    there = spread > 0
    ax.hlines(
        place[there], np.minimum(sigma, spread)[there], np.maximum(sigma, spread)[there], color="0.8", linewidth=2
    )
    ax.plot(spread[there], place[there], "o", color="0.5", markersize=5, label="standard deviation of the data")
    ax.plot(sigma, place, "o", color="C0", markersize=5, label="sigma")
    ax.set_xscale("log")
    ax.set_yticks(place, [_short(name) for name in names[:count]], fontsize=8)
    ax.set_ylim(count - 0.4, -0.6)
    of = f" (the first {count} of {len(names)} columns)" if count < len(names) else ""
    finish(ax, "units of each column", "", f"What the latents leave unexplained{of}", below=figure)
    return figure


def _tables(
    first: tuple[str, np.ndarray], second: tuple[str, np.ndarray], columns: Sequence[str] | None
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Two named tables with the same columns, and the names of these."""
    (name, values), (other, others) = first, second
    x, y = drawable(name, values, "rows [n, d]", axes=2), drawable(other, others, "rows [n, d]", axes=2)
    names = [f"column {i + 1}" for i in range(x.shape[1])] if columns is None else [str(one) for one in columns]
    for what, count in ((other, y.shape[1]), ("columns", len(names))):
        if count != x.shape[1]:
            remedy = "Pass those of the same table."
            expected = f"{x.shape[1]} columns, as {name} has"
            raise ValueError(_checks.problem(what, expected=expected, received=count, remedy=remedy))
    return x, y, names


def _grid(names: list[str]) -> tuple[Figure, list[Axes]]:
    count = min(len(names), _PANELS)
    columns = min(count, 4)
    rows = -(-count // columns)
    figure = Figure(figsize=(max(2.4 * columns, 5.5), 1.0 + 2.0 * rows), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for ax in panels[:count]:
        ax.tick_params(labelsize=7)
        ax.spines[["top", "right"]].set_visible(False)
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
            axis.get_offset_text().set_fontsize(7)
    for ax in panels[count:]:
        ax.set_visible(False)
    return figure, panels[:count]


def _edges(x: np.ndarray) -> np.ndarray:
    """Edges of ten to thirty bins over the middle 99 % of the data and a little more; whole numbers keep whole bins."""
    x = x.astype(np.float64)
    bins = int(np.clip(np.sqrt(len(x)), 10, _BINS))
    low, high = np.quantile(x, [0.005, 0.995])
    margin = 0.1 * (high - low)
    low, high = max(low - margin, x.min()), min(high + margin, x.max())
    if (x == np.rint(x)).all():
        width = max(1, int(np.ceil((high - low + 1) / bins)))
        return np.arange(np.floor(low), np.ceil(high) + width + 1, width) - 0.5
    if low == high:
        low, high = low - max(abs(low), 1) / 2, high + max(abs(high), 1) / 2
    return np.linspace(low, high, bins + 1)


def _of(names: list[str]) -> str:
    return f" (the first {_PANELS} of {len(names)} columns)" if len(names) > _PANELS else ""


def _short(name: str) -> str:
    return name if len(name) <= 28 else f"{name[:25]}..."
