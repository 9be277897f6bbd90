"""The timing of several calls side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

_CALLS_PER_BLOCK = 10
_SECONDS_PER_BLOCK = 0.05


def interleaved(contenders: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, np.ndarray]:
    """The seconds of single calls, an array of at least `rounds` numbers for each contender.

    The contenders take turns, so that a disturbance of the machine meets all of them. A turn is one call that is not
    counted, and then ten that are, or as many as fit into 50 ms.

    Args:
        contenders: Functions to call, by name.
        rounds: Number of turns of each.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, call in contenders.items():
            seconds[name] += _block(call)
    return {name: np.array(values) for name, values in seconds.items()}


def _block(call: Callable[[], Any]) -> list[float]:
    call()
    seconds: list[float] = []
    while len(seconds) < _CALLS_PER_BLOCK and sum(seconds) < _SECONDS_PER_BLOCK:
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return seconds
