"""How much of a request a graph can need: known before any of it is read."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

_SPARE_BYTES, _SPARE_SIGNS = 2**16, 2**10
"""For all that is no number: names, shapes, parameters, outputs."""
_BYTES = 32
"""Of one number in JSON, with what stands around it."""
_MAX_LISTS = 2**18
"""Each costs as much time and memory as ten numbers."""
_LARGE = 2**16
"""Bytes whose decoding would keep the event loop from other requests for more than a moment."""
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Capacity:
    """The most that one request to a graph can need.

    Attributes:
        num_bytes: of its body.
        signs: of each JSON sign: what opens a list, parts two values, opens an object, or encloses a string.
    """

    num_bytes: int
    signs: dict[bytes, int]

    def excess(self, content: bytes) -> str | None:
        """What JSON has too much of, found by counting, before it is parsed; None where there is nothing."""
        for sign, limit in self.signs.items():
            count = content.count(sign)
            if count > limit:
                return f"expected JSON with at most {limit} times {sign.decode()}, received {count}"
        return None


def capacity(shapes: Iterable[tuple[int, ...]], max_rows: int, max_body_bytes: int) -> Capacity:
    """The most that `max_rows` rows of inputs of these shapes need: flat, nested as the shape is, or in binary."""
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
    """What `decode` gives for these arguments; in a thread where there is much to decode."""
    if num_bytes > _LARGE:
        return await asyncio.to_thread(decode, *arguments)
    return decode(*arguments)
