"""Images that are read when they are indexed: they take no memory until then."""

from __future__ import annotations

import abc
from collections.abc import Iterator
from typing import Any

import numpy as np
from tqdm import tqdm

__all__ = ["LazyImages", "progress"]

_BLOCK_BYTES = 16 * 2**20
BETWEEN = np.concatenate([[0.0, 1.0, 1e-30], np.random.default_rng(0).random(509)]).astype(np.float32)
"""Numbers that stand for all those in [0, 1], beside one another: 0, 1, nearly 0, and 509 on no grid."""


class LazyImages(abc.ABC):
    """Images `[n, H, W, C]`, float32 in [0, 1], that are read when they are indexed.

    `images[index]` is an array; an index is a whole number, a slice, an array of whole numbers or of bools, or a tuple
    that begins with one of them. `fit`, `evaluate` and all else that takes data reads them a batch at a time, and
    shuffles them as it shuffles an array. `np.asarray(images)` reads them all.

    Attributes:
        shape: Shape `(n, H, W, C)`.
        dtype: Always float32.
        values: Numbers of which every pixel is one, or that stand for all numbers in [0, 1]; a check of single values
            that they pass, every image passes.
        are_levels: Whether the `values` are a list of all that there can be, as of 8-bit images.
    """

    def __init__(self, shape: tuple[int, ...], values: np.ndarray | None = None) -> None:
        self.shape = tuple(int(size) for size in shape)
        self.dtype = np.dtype(np.float32)
        self.are_levels = values is not None
        self.values = BETWEEN if values is None else values

    @abc.abstractmethod
    def _read(self, numbers: np.ndarray) -> np.ndarray:
        """The images of these numbers, `[b]` int64, as float32 `[b, H, W, C]`."""

    @property
    def ndim(self) -> int:
        """The number of axes, 4."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of values."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        """Bytes that all images would take as an array."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"LazyImages(shape={self.shape}, dtype={self.dtype})"

    def __getitem__(self, index: Any) -> np.ndarray:
        if isinstance(index, tuple):
            first, *rest = index
            images = self[first]
            return images[tuple(rest) if images.ndim < self.ndim else (slice(None), *rest)]
        numbers = self._numbers(index)
        images = self._read(np.atleast_1d(numbers))
        return images if numbers.ndim else images[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("Images that are read when they are indexed cannot be an array without a copy.")
        return self.read().astype(self.dtype if dtype is None else dtype, copy=False)

    def part(self, index: Any) -> LazyImages:
        """Some of the images, in the order of the index, not read yet."""
        return _Part(self, self._numbers(index))

    def blocks(self, title: str | None = None) -> Iterator[np.ndarray]:
        """All images in order, in arrays of at most 16 MiB (or of one image).

        Args:
            title: Text before the progress bar; None shows none.
        """
        step = max(1, _BLOCK_BYTES * len(self) // self.nbytes)
        with progress(len(self), title) as bar:
            for start in range(0, len(self), step):
                block = self[start : start + step]
                yield block
                bar.update(len(block))

    def read(self, title: str | None = None) -> np.ndarray:
        """All images, as an array.

        Args:
            title: Text before the progress bar; None shows none.
        """
        images = np.empty(self.shape, self.dtype)
        start = 0
        for block in self.blocks(title):
            images[start : start + len(block)] = block
            start += len(block)
        return images

    def as_levels(self, peak: float) -> LazyImages:
        """The same images as whole numbers from 0 to `peak`, the number of white; still float32."""
        return _Levels(self, peak)

    def _numbers(self, index: Any) -> np.ndarray:
        """The numbers of the images that an index names, `[]` or `[b]` int64."""
        if index is Ellipsis:
            index = slice(None)
        if isinstance(index, slice):
            return np.arange(*index.indices(len(self)))
        numbers = np.asarray(index)
        if numbers.dtype.kind == "b" and numbers.shape == (len(self),):
            return np.flatnonzero(numbers)
        if numbers.size == 0 and numbers.ndim == 1:
            return numbers.astype(np.int64)
        if numbers.dtype.kind not in "iu" or numbers.ndim > 1:
            raise IndexError(
                f"expected a whole number, a slice or an array of whole numbers [b], received {index!r:.80}"
            )
        numbers = numbers.astype(np.int64)
        if numbers.min() < -len(self) or numbers.max() >= len(self):
            raise IndexError(f"expected numbers of images below {len(self)}, received {index!r:.80}")
        return np.where(numbers < 0, numbers + len(self), numbers)


class _Part(LazyImages):
    """Some images of others, in an order of their own."""

    def __init__(self, images: LazyImages, numbers: np.ndarray) -> None:
        super().__init__((len(numbers), *images.shape[1:]), images.values if images.are_levels else None)
        self._images, self._chosen = images, numbers

    def _read(self, numbers: np.ndarray) -> np.ndarray:
        return self._images[self._chosen[numbers]]

    def part(self, index: Any) -> LazyImages:
        """See LazyImages.part."""
        return _Part(self._images, self._chosen[self._numbers(index)])


class _Levels(LazyImages):
    """Images whose values are the numbers of their levels."""

    def __init__(self, images: LazyImages, peak: float) -> None:
        super().__init__(images.shape)
        self._images, self._peak = images, np.float32(peak)
        self.are_levels, self.values = images.are_levels, np.rint(images.values * self._peak)

    def _read(self, numbers: np.ndarray) -> np.ndarray:
        return np.rint(self._images[numbers] * self._peak)

    def part(self, index: Any) -> LazyImages:
        """See LazyImages.part."""
        return _Levels(self._images.part(index), float(self._peak))


def progress(total: int, title: str | None, unit: str = " images") -> tqdm:
    """A progress bar with the remaining time on standard error, where that is a terminal and there is a title."""
    return tqdm(total=total, desc=title, unit=unit, disable=True if title is None else None, leave=False, delay=1)
