"""Parts of the data: all examples, or those to train and those to test on, with their labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from vae_tf._checks import problem
from vae_tf.data._decoded import decode_all
from vae_tf.data._decoding import Preparation
from vae_tf.data.lazy import LazyImages

__all__ = ["Part", "Request", "decoded", "split"]


@dataclass(frozen=True)
class Request:
    """A user's wishes for the data, however they are stored.

    Attributes:
        labels: Whether labels are wanted.
        preparation: Way from an image file to an example.
        skip: Whether files that cannot be read are left out.
    """

    labels: bool
    preparation: Preparation
    skip: bool


@dataclass(frozen=True)
class Part:
    """Examples that belong together: all of them, or the training or the test examples.

    Attributes:
        what: Name in messages.
        x: The examples.
        y: Labels `[n]`; None where they are not wanted.
    """

    what: str
    x: LazyImages
    y: np.ndarray | None = None

    def take(self, numbers: np.ndarray) -> Part:
        """Some of the examples, in this order."""
        return replace(self, x=self.x.part(numbers), y=None if self.y is None else self.y[numbers])


class Collection(Protocol):
    """Images that are somewhere, in some form, one by one."""

    def __len__(self) -> int: ...

    def name(self, number: int) -> str:
        """The name of an image in messages."""

    def pixels(self, number: int) -> np.ndarray:
        """The pixels of an image, `[H, W, C]`, uint8 or float32 in [0, 1]."""

    def label(self, number: int) -> int:
        """The label of an image."""


def decoded(what: str, collections: Mapping[str, Collection], request: Request) -> list[Part]:
    """The parts that the images of collections make; all of them have one size and as many channels."""
    edges = np.cumsum([0, *map(len, collections.values())])
    every = list(collections.values())

    def place(number: int) -> tuple[Collection, int]:
        which = int(np.searchsorted(edges, number, "right")) - 1
        return every[which], int(number - edges[which])

    def pixels(number: int) -> np.ndarray:
        collection, inside = place(number)
        return collection.pixels(inside)

    def name(number: int) -> str:
        collection, inside = place(number)
        return collection.name(inside)

    if edges[-1] == 0:
        raise _error(what, "at least 2 images, to train and to test", "none", "Add some.")
    images, good = decode_all(int(edges[-1]), pixels, name, what=what, skip=request.skip)
    parts = []
    for number, (title, collection) in enumerate(collections.items()):
        chosen = np.flatnonzero((good >= edges[number]) & (good < edges[number + 1]))
        if len(chosen) == 0:
            raise _error(title, "an image that can be read", "none", "Repair the files.")
        inside = good[chosen] - edges[number]
        labels = np.array([collection.label(int(one)) for one in inside]) if request.labels else None
        parts.append(Part(title, images.part(chosen), labels))
    return parts


def split(part: Part, share: float, seed: int) -> list[Part]:
    """Training and test examples: the last ones in an order of all that depends on the seed and on their number."""
    count = len(part.x)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
        raise _error("test_fraction", "a number between 0 and 1", repr(share), "Pass test_fraction=0.1, say.")
    if count < 2:
        raise _error(part.what, "at least 2 images, to train and to test", count, "Add some: this is too few.")
    test = min(max(1, int(count * share + 1e-6)), count - 1)
    order = np.random.default_rng(seed).permutation(count)
    return [part.take(order[:-test]), part.take(order[-test:])]


def _error(what: str, expected: str, received: object, remedy: str) -> ValueError:
    return ValueError(problem(what, expected=expected, received=received, remedy=remedy))
