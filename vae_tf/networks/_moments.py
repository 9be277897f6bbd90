"""Means and standard deviations of data, in one pass over blocks of them, for networks that work in their units."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vae_tf import _checks
from vae_tf._layers import transformed_data
from vae_tf.data.streams import is_stream
from vae_tf.data.tables import Table, check_finite

_PART = 2**20
"""Greatest count of numbers that are converted to float64 at a time."""
_STEPS = 8
"""Smallest standard deviation in units of the distance between float32 numbers at the mean."""


@dataclass(frozen=True)
class Moments:
    """The statistics of training data that networks need to work in their units.

    Attributes:
        mean: Mean of each dimension over the examples, `[*E]` float64.
        std: Standard deviation about it, `[*E]` float64: for a table that of each column, for images and all other
            data with several axes one for each channel, taken over all positions. 0 where nothing varies.
        low: Smallest value.
        high: Largest value.
        names: Names of the columns where the data have names.
        transform: Transform of the data that all this is said of; None for the data as they are.
    """

    mean: np.ndarray
    std: np.ndarray
    low: float
    high: float
    names: tuple[str, ...] | None = None
    transform: str | None = None

    @classmethod
    def of(
        cls,
        data: Any,
        event_shape: tuple[int, ...] | None = None,
        what: str = "standardise",
        transform: str | None = None,
        *,
        most: int | None = None,
    ) -> Moments:
        """The moments of training data, read a block at a time; sums are in float64.

        Args:
            data: Examples `[n, *E]` in an array, a memory map, a data frame, a scipy.sparse matrix or another container
                that can be indexed; moments are returned as they are.
            event_shape: Shape that one example must have; None takes that of the data.
            what: Name of the data in messages.
            transform: "log1p" for the moments of log(1 + x); None for those of x.
            most: Number of examples to read at most, evenly spread over all; None reads all.

        Raises:
            TypeError: For data that are no numbers, or that cannot be indexed.
            ValueError: For examples of another shape, values that are not finite, and a dimension whose values float32
                cannot tell apart.
        """
        if isinstance(data, Moments):
            _check_shape(data.mean.shape, event_shape, what)
            if data.transform != transform:
                expected, received = f"moments of data with transform={transform!r}", f"transform={data.transform!r}"
                remedy = "Pass the training data themselves, or Moments.of(x, transform=...)."
                raise ValueError(_checks.problem(what, expected=expected, received=received, remedy=remedy))
            return data
        if is_stream(data):
            expected, remedy = "data that can be indexed, such as an array", "Pass some thousand examples as an array."
            received = f"a {type(data).__name__}"
            raise TypeError(_checks.problem(what, expected=expected, received=received, remedy=remedy))
        table = Table(data, what)
        table = table.as_column() if len(table.shape) == 1 else table
        _check_shape(table.shape[1:], event_shape, what)
        columns = getattr(data, "columns", None) if len(table.shape) == 2 else None
        names = None if columns is None else tuple(map(str, columns))
        moments = cls(*_in_one_pass(table, what, transform, most), names, transform)
        moments._check_resolution(what)
        return moments

    @property
    def units(self) -> np.ndarray:
        """The standard deviations `[*E]`, with 1 where nothing varies."""
        return np.where(self.std > 0, self.std, 1.0)

    def named(self, chosen: np.ndarray) -> str:
        """The first few of the chosen dimensions, `[*E]` bool, in words."""
        places = np.argwhere(chosen)
        names = [self._name(tuple(int(i) for i in place)) for place in places[:5]]
        return ", ".join(names) + (f" and {len(places) - 5} more" if len(places) > 5 else "")

    def _name(self, place: tuple[int, ...]) -> str:
        if len(place) > 1:
            return str(place)
        return repr(self.names[place[0]]) if self.names else f"column {place[0]}"

    def _check_resolution(self, what: str) -> None:
        blurred = (self.std > 0) & (self.std < _STEPS * np.spacing(np.abs(self.mean).astype(np.float32)))
        if blurred.any():
            raise ValueError(
                _checks.problem(
                    what,
                    expected="values that float32 tells apart",
                    received=f"{self.named(blurred)}, whose spread is lost beside its mean",
                    remedy="Subtract an offset from it first.",
                )
            )


def _check_shape(shape: Sequence[int], event_shape: tuple[int, ...] | None, what: str) -> None:
    if event_shape is not None and tuple(shape) != event_shape:
        raise ValueError(
            _checks.problem(
                what,
                expected=f"examples of shape {event_shape}, those of the network",
                received=f"{tuple(shape)}",
                remedy="Pass the training data as `fit` takes them.",
            )
        )


def _in_one_pass(
    table: Table, what: str, transform: str | None, most: int | None
) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Means, standard deviations, lowest and highest value; the parts are merged as Chan et al. 1979 do."""
    count, mean, square = 0, np.zeros(table.shape[1:]), np.zeros(table.shape[1:])
    low, high = np.inf, -np.inf
    for block in _parts(table, what, most):
        part = transformed_data(block, transform)
        low, high = min(low, float(part.min())), max(high, float(part.max()))
        wide = part.astype(np.float64)
        ours, total = wide.mean(axis=0), count + len(part)
        step = ours - mean
        square += np.square(wide - ours).sum(axis=0) + np.square(step) * (count * len(part) / total)
        mean += step * (len(part) / total)
        count = total
    variance = square / count
    variance[variance <= (1e-12 * mean) ** 2] = 0.0
    positions = tuple(range(len(mean.shape) - 1))
    std = np.sqrt(variance.mean(axis=positions, keepdims=True)) if positions else np.sqrt(variance)
    return mean, np.broadcast_to(std, mean.shape), low, high


def _parts(table: Table, what: str, most: int | None) -> Iterator[np.ndarray]:
    size = max(1, _PART // math.prod(table.shape[1:]))
    if most is not None and len(table) > most:
        places = np.linspace(0, len(table) - 1, most).astype(np.int64)
        blocks: Iterator[np.ndarray] = (table[places[start : start + size]] for start in range(0, most, size))
    else:
        blocks = table.blocks()
    for block in blocks:
        check_finite(block, what)
        yield from (block[start : start + size] for start in range(0, len(block), size))
