"""The most that a request to a graph can need, known before any of the request is read."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

_SPARE_BYTES, _SPARE_SIGNS = 2**16, 2**10
"""Room for everything that is no number: names, shapes, parameters, outputs."""
_BYTES = 32
"""The most bytes of one number in JSON, with the signs around it."""
_MAX_LISTS = 2**18
"""The most lists in a request, because a list costs as much time and memory as ten numbers."""
_LARGE = 2**16
"""Decoding more bytes than this would keep the event loop from other requests for more than a moment."""
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Capacity:
    """The most that one request to a graph can need.

    Attributes:
        num_bytes: Most bytes of its body.
        signs: Most occurrences of each JSON sign that opens a list, separates two values, opens an object, or
            encloses a string.
    """

    num_bytes: int
    signs: dict[bytes, int]

    def excess(self, content: bytes) -> str | None:
        """A text that says what this JSON has too much of, found by counting before it is parsed; None if it fits."""
        for sign, limit in self.signs.items():
            count = content.count(sign)
            if count > limit:
                return f"expected JSON with at most {limit} times {sign.decode()}, received {count}"
        return None


def capacity(shapes: Iterable[tuple[int, ...]], max_rows: int, max_body_bytes: int) -> Capacity:
    """The most that `max_rows` rows of inputs of these shapes need, whether they are flat, nested or binary."""
    numbers = lists = 0
    for shape in shapes:
        numbers += max_rows * math.prod(shape)
        lists += 1 + max_rows * sum(math.prod(shape[:axis]) for axis in range(len(shape)))
    lists = min(lists, _MAX_LISTS) + _SPARE_SIGNS
    return Capacity(
        num_bytes=min(max_body_bytes, _BYTES * numbers + _SPARE_BYTES),
        signs={b"[": lists, b",": numbers + lists, b"{": _SPARE_SIGNS, b'"': 8 * _SPARE_SIGNS},
    )


async def decoded(num_bytes: int, decode: Callable[..., _Result], *arguments: object) -> _Result:
    """The value of `decode` for these arguments, computed in a thread if there is much to decode."""
    if num_bytes > _LARGE:
        return await asyncio.to_thread(decode, *arguments)
    return decode(*arguments)
