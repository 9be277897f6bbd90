"""Examples as pictures: images in a grid, and vectors as curves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from vae_tf import _checks
from vae_tf.plotting._arrays import drawable

_IMAGES = "images [n, H, W], or [n, H, W, C] with 1, 3 or 4 channels"
_EXAMPLES = "examples [n, ...]"
_CURVES = 8  # of vectors in one picture: more hide each other


def images_of(name: str, values: np.ndarray) -> np.ndarray:
    """The images `[n, H, W, C]`, C = 1, 3 or 4, or a ValueError; 8-bit ones as they are stored are brought to [0, 1].

    Images of type uint8 that hold nothing but 0 and 1 are binary ones, and stay.
    """
    values = drawable(name, values, _IMAGES)
    images = values[..., None] if values.ndim == 3 else values
    if images.ndim != 4 or images.shape[-1] not in (1, 3, 4):
        if values.ndim == 2:
            remedy = f"Reshape vectors that are images: {name}.reshape(-1, 28, 28, 1), say."
        else:
            remedy = f"Show one channel: {name}[..., :1], say."
        raise ValueError(_checks.problem(name, expected=_IMAGES, received=_shape(values), remedy=remedy))
    return images / 255 if images.dtype == np.uint8 and images.max() > 1 else images


def draw_images(ax: Axes, images: np.ndarray, columns: int | None = None) -> None:
    """Draws images in [0, 1] (clipped) as one grid, a pixel of white between them; see `plotting.image_grid`."""
    images = images_of("images", images)
    n, height, width, channels = images.shape
    columns = int(np.ceil(np.sqrt(n))) if columns is None else _checks.positive_int("columns", columns)
    rows = -(-n // columns)
    grid = np.ones((rows * (height + 1) - 1, columns * (width + 1) - 1, channels))
    for i, image in enumerate(np.clip(images, 0, 1)):
        top, left = i // columns * (height + 1), i % columns * (width + 1)
        grid[top : top + height, left : left + width] = image
    ax.imshow(grid[..., 0] if channels == 1 else grid, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    ax.set_axis_off()


def draw_vectors(ax: Axes, groups: Sequence[tuple[str, np.ndarray, str]]) -> None:
    """Draws the first vectors of each group `[n, d]` as curves over the dimensions, example i in one colour in all.

    Args:
        ax: Where to draw.
        groups: The label, the vectors and the line style of each group.
    """
    for label, vectors, style in groups:
        for i, vector in enumerate(vectors[:_CURVES]):
            marker = "." if len(vector) < 30 else ""
            position = np.arange(1, len(vector) + 1)
            ax.plot(position, vector, style, color=f"C{i}", linewidth=1, marker=marker, label=label if i == 0 else None)
    ax.set_xlabel("dimension")
    ax.legend(frameon=False, fontsize=8)
    ax.spines[["top", "right"]].set_visible(False)


def are_vectors(**groups: np.ndarray) -> bool:
    """Whether all groups are vectors `[n, d]`; a ValueError where they are neither all vectors nor all images.

    The shapes of their examples must be the same; `x` and `mean` belong together one by one.
    """
    arrays = {name: drawable(name, values, _EXAMPLES) for name, values in groups.items()}
    (first, expected), *others = arrays.items()
    for name, values in others:
        paired = name == "mean" and first == "x" and len(values) != len(expected)
        if values.shape[1:] != expected.shape[1:] or paired:
            sizes = ", ".join(map(str, expected.shape if paired else expected.shape[1:]))
            raise ValueError(
                _checks.problem(
                    name,
                    expected=f"shape [{sizes}], as {first} has" if paired else f"shape [n, {sizes}], as {first} has",
                    received=_shape(values),
                    remedy="Pass what the model makes of the same examples.",
                )
            )
    if expected.ndim == 2:
        return True
    for name, values in arrays.items():
        images_of(name, values)
    return False


def _shape(array: np.ndarray) -> str:
    return f"shape {list(array.shape)}"
