"""Sets that need no download, all with labels: colour patches, two tables and simulated counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from vae_tf.data import _frames
from vae_tf.data._simulation import simulate_counts

Labelled = tuple[Any, np.ndarray]
"""Examples, and their labels `[n]` in int64."""

_SEED = 0
_PATCH, _STRIDE, _CELL = 32, 8, 64  # pixels


def patches() -> tuple[Labelled, Labelled]:
    """Colour patches `[n, 32, 32, 3]`, uint8, of the two photographs that scikit-learn ships: 6,422 and 300.

    Label 0 is china.jpg, a temple; label 1 is flower.jpg. Each photograph of 427 x 640 pixels holds 6 x 10 cells of
    64 x 64. Six of these, chosen by a fixed seed, are test cells, and the 25 patches that lie within one, at steps of 8
    pixels, are test patches. Training patches lie at steps of 8 pixels wherever they touch no test cell. So no pixel
    is in a training patch and in a test patch, while patches of the same side overlap.
    """
    from sklearn.datasets import load_sample_images

    rng = np.random.default_rng(_SEED)
    sides: tuple[list[Any], list[Any]] = ([], [])
    for label, photograph in enumerate(load_sample_images().images):
        for side, images in zip(sides, _cut(photograph, rng), strict=True):
            side.append((images, np.full(len(images), label)))
    (x, y), test = (_joined(side) for side in sides)
    order = rng.permutation(len(x))
    return (x[order], y[order]), test


def _joined(parts: list[Any]) -> Labelled:
    images, labels = zip(*parts, strict=True)
    return np.concatenate(images), np.concatenate(labels)


def _cut(photograph: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The training and the test patches of a photograph `[H, W, 3]`."""
    height, width = photograph.shape[:2]
    cells = [(row, column) for row in range(height // _CELL) for column in range(width // _CELL)]
    held_out = {cells[i] for i in rng.permutation(len(cells))[: len(cells) // 10]}
    train, test = [], []
    for top in range(0, height - _PATCH + 1, _STRIDE):
        for left in range(0, width - _PATCH + 1, _STRIDE):
            corners = ((y, x) for y in (top, top + _PATCH - 1) for x in (left, left + _PATCH - 1))
            touched = {(y // _CELL, x // _CELL) for y, x in corners}
            patch = photograph[top : top + _PATCH, left : left + _PATCH]
            if not touched & held_out:
                train.append(patch)
            elif len(touched) == 1:
                test.append(patch)
    return np.stack(train), np.stack(test)


def wine() -> tuple[Labelled, Labelled]:
    """The 178 Italian wines of scikit-learn: 13 measurements in units from 1e-1 to 1e3; labels are 3 growers."""
    return _from_scikit_learn("load_wine")


def breast_cancer() -> tuple[Labelled, Labelled]:
    """The 569 tumours of scikit-learn: 30 measurements of cell nuclei; labels are 0, malignant, and 1, benign."""
    return _from_scikit_learn("load_breast_cancer")


def _from_scikit_learn(name: str) -> tuple[Labelled, Labelled]:
    from sklearn import datasets

    frame = getattr(datasets, name)(as_frame=True).frame
    return _frames.load(frame, labels="target")  # type: ignore[return-value]


def counts() -> tuple[Labelled, Labelled]:
    """Counts `[n, 200]` of 2,000 simulated cells in two batches, see `simulate_counts`; labels are their types."""
    import pandas as pd

    simulated = simulate_counts(seed=_SEED)
    names = [f"gene_{i:03d}" for i in range(simulated.counts.shape[1])]
    frame = pd.DataFrame(simulated.counts, columns=names)
    train, test = _frames.split(len(frame), 0.1, _SEED, "counts")
    first, second = ((frame.iloc[rows].astype(np.float32), simulated.cell_type[rows]) for rows in (train, test))
    return first, second


TABLES: dict[str, Callable[[], tuple[Labelled, Labelled]]] = {
    "wine": wine,
    "breast_cancer": breast_cancer,
    "counts": counts,
}
"""Functions that make training and test rows, with their labels, by the name of the table."""
