"""Images that are decoded when they are read: those of a folder, of records, of other libraries."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from vae_tf._checks import problem
from vae_tf.data._decoding import BROKEN, scaled
from vae_tf.data.lazy import LazyImages, progress

__all__ = ["DecodedImages", "decode_all"]

KEPT_BYTES = 256 * 2**20
"""Memory of the decoded pixels that are kept, so that the same images need not be decoded in each epoch."""
_TASK_BYTES = 16 * 2**20
"""Pixels that a thread decodes at a time; of small images it decodes 16."""
_REMEDY = "Repair the file, take it out, or skip such files: on_error='skip', or --on-error skip."


class DecodedImages(LazyImages):
    """Images of one shape that are decoded when they are indexed, in several threads.

    Args:
        get: Function from the number of an image to its pixels, `[H, W, C]`; see `_decoding.decode`.
        name: Function from the number of an image to its name in messages.
        shape: Shape `(n, H, W, C)`.
        values: As for LazyImages.
        kept: Pixels of the first images, which are not decoded again.
    """

    def __init__(
        self,
        get: Callable[[int], np.ndarray],
        name: Callable[[int], str],
        shape: tuple[int, ...],
        values: np.ndarray | None,
        kept: list[np.ndarray],
    ) -> None:
        super().__init__(shape, values)
        self._get, self._name, self._kept = get, name, kept

    def _read(self, numbers: np.ndarray) -> np.ndarray:
        images = np.empty((len(numbers), *self.shape[1:]), self.dtype)
        missing = [place for place, number in enumerate(numbers) if number >= len(self._kept)]
        for place, number in enumerate(numbers):
            if number < len(self._kept):
                images[place] = scaled(self._kept[number])
        for places, parts in _in_threads(self._again, missing, numbers, _task(self.size // len(self))):
            for place, pixels in zip(places, parts, strict=True):
                images[place] = scaled(pixels)
        return images

    def _again(self, number: int) -> np.ndarray:
        """The pixels of an image that was decoded before."""
        try:
            pixels = self._get(number)
        except BROKEN as error:
            raise _broken(self._name(number), error) from error
        if pixels.shape[:2] != self.shape[1:3] or pixels.shape[2] not in (1, self.shape[3]):
            received, remedy = f"{pixels.shape}", "Do not change the data while they are being read."
            expected = f"an image of shape {self.shape[1:]}, as it had at first"
            raise ValueError(problem(self._name(number), expected=expected, received=received, remedy=remedy))
        return pixels


def _task(image_bytes: int) -> int:
    """Images that a thread decodes at a time."""
    return min(16, max(1, _TASK_BYTES // image_bytes))


def _in_threads(
    get: Callable[[int], Any], places: list[int], numbers: np.ndarray, task_size: int
) -> Iterator[tuple[list[int], list[Any]]]:
    """Places, and what `get` returns for the numbers there, a task of images at a time and in order."""
    tasks = [places[start : start + task_size] for start in range(0, len(places), task_size)]
    run = lambda task: [get(int(numbers[place])) for place in task]  # noqa: E731
    if len(tasks) < 2:
        yield from ((task, run(task)) for task in tasks)
        return
    with ThreadPoolExecutor(_threads()) as pool:
        try:
            yield from zip(tasks, pool.map(run, tasks), strict=True)
        finally:
            pool.shutdown(cancel_futures=True)


def _threads() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def decode_all(
    count: int, get: Callable[[int], np.ndarray], name: Callable[[int], str], *, what: str, skip: bool
) -> tuple[DecodedImages, np.ndarray]:
    """Decodes all images once; returns them, and the numbers of those that could be decoded, `[n]`.

    Args:
        count: Number of images.
        get: As for DecodedImages.
        name: As for DecodedImages.
        what: Name of the whole in messages.
        skip: Whether images that cannot be decoded are left out, with a warning that counts them.

    Raises:
        ValueError: For an image that cannot be decoded, or has another size than the first.
    """
    found = _Found(what, name)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")  # of what it repairs, or of sizes that are refused here
        for number, pixels in _attempts(count, get, what):
            if not isinstance(pixels, np.ndarray):
                if not skip:
                    raise _broken(name(number), pixels) from pixels
                found.bad.append((number, pixels))
            else:
                found.add(number, pixels)
    good = found.good()
    chosen = get if len(good) == count else lambda place: get(int(good[place]))
    names = name if len(good) == count else lambda place: name(int(good[place]))
    shape = (len(good), *found.size, found.channels)
    return DecodedImages(chosen, names, shape, found.values(), found.kept), good


class _Found:
    """The shape, the values and the first pixels of images that are decoded once, and those that cannot be."""

    def __init__(self, what: str, name: Callable[[int], str]) -> None:
        self.what, self.name = what, name
        self.numbers: list[int] = []
        self.bad: list[tuple[int, Exception]] = []
        self.kept: list[np.ndarray] = []
        self.size: tuple[int, int] = (0, 0)
        self.channels = 1
        self._is_deep, self._levels = False, np.zeros(256, bool)

    def add(self, number: int, pixels: np.ndarray) -> None:
        """Takes in an image."""
        if not self.numbers:
            self.size = (pixels.shape[0], pixels.shape[1])
        elif pixels.shape[:2] != self.size:
            raise self._other_size(number, pixels)
        if len(self.kept) == len(self.numbers) and (len(self.kept) + 1) * pixels.nbytes <= KEPT_BYTES:
            self.kept.append(pixels)
        self.numbers.append(number)
        self.channels = max(self.channels, pixels.shape[2])
        if pixels.dtype == np.uint8:
            self._levels[pixels.reshape(-1)] = True
        else:
            self._is_deep = True

    def good(self) -> np.ndarray:
        """The numbers of the images that could be decoded, after a warning of the others."""
        if not self.numbers:
            number, error = self.bad[0]
            raise _broken(self.name(number), error) from error
        if self.bad:
            number, error = self.bad[0]
            total = len(self.bad) + len(self.numbers)
            text = f"{len(self.bad)} of {total} images were skipped, the first {self.name(number)} ({error})"
            warnings.warn(f"{self.what}: {text}.", UserWarning, stacklevel=2)
        return np.array(self.numbers)

    def values(self) -> np.ndarray | None:
        """The values that the pixels have, or None where there are 16 bits."""
        return None if self._is_deep else scaled(np.flatnonzero(self._levels).astype(np.uint8))

    def _other_size(self, number: int, pixels: np.ndarray) -> ValueError:
        height, width = self.size
        expected = f"{width} x {height} pixels, as {os.path.basename(self.name(self.numbers[0]))} has"
        received = f"{pixels.shape[1]} x {pixels.shape[0]}"
        remedy = "Pass size=64, say, or --size 64, to resize them all."
        return ValueError(problem(self.name(number), expected=expected, received=received, remedy=remedy))


def _attempts(count: int, get: Callable[[int], np.ndarray], what: str) -> Iterator[tuple[int, np.ndarray | Exception]]:
    """The number of each image, and its pixels or the error of decoding it, with a progress bar."""

    def attempt(number: int) -> np.ndarray | Exception:
        try:
            return get(number)
        except BROKEN as error:
            return error

    numbers, start, size = np.arange(count), 0, 1
    with progress(count, f"Reading {what}") as bar:
        while start < count:
            places = list(range(start, min(start + 64 * size, count)))  # no more than these wait in memory
            for task, results in _in_threads(attempt, places, numbers, size):
                yield from zip(task, results, strict=True)
                bar.update(len(task))
                largest = max((result.nbytes for result in results if isinstance(result, np.ndarray)), default=1)
            start, size = start + len(places), _task(largest)


def _broken(name: str, error: Exception) -> ValueError:
    received = f"{error}" if type(error) is ValueError else f"{type(error).__name__} ({error})"
    return ValueError(problem(name, expected="an image that Pillow can read", received=received, remedy=_REMEDY))
