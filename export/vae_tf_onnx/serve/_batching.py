"""The batching of requests: those that wait for the same graph go through it together."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

Arrays = dict[str, np.ndarray]
RunGraph = Callable[[Arrays], Arrays]


@dataclass(frozen=True)
class _Request:
    inputs: Arrays
    rows: int
    answer: asyncio.Future[Arrays]


class Batcher:
    """A graph that runs for many callers, one run at a time: a run takes all requests that wait when it starts.

    No request waits for others to come. A run that fails is repeated one caller at a time, so that an error reaches
    only the callers whose own inputs raise it.

    Args:
        run: Function of inputs `[B, ...]` by name that returns outputs `[B, ...]` by name.
        max_rows: Most rows of one run, in whole requests. A larger request runs alone; with 1 every request does.
        executor: Executor whose thread runs the graph.
        on_run: Function that is told the number of requests and the number of rows of each run.
    """

    def __init__(
        self, run: RunGraph, *, max_rows: int, executor: Executor, on_run: Callable[[int, int], None] | None = None
    ) -> None:
        self._run = run
        self._max_rows = max_rows
        self._executor = executor
        self._on_run = on_run
        self._waiting: deque[_Request] = deque()
        self._worker: asyncio.Task[None] | None = None

    async def __call__(self, inputs: Arrays) -> Arrays:
        """The outputs for these inputs, which all have the same number of rows.

        Raises:
            Exception: Whatever `run` raises for these inputs alone.
        """
        loop = asyncio.get_running_loop()
        request = _Request(inputs, len(next(iter(inputs.values()))), loop.create_future())
        self._waiting.append(request)
        if self._worker is None:
            self._worker = loop.create_task(self._work())
        return await request.answer

    async def _work(self) -> None:
        try:
            while batch := self._take():
                await self._answer(batch)
        finally:
            self._worker = None

    def _take(self) -> list[_Request]:
        """The next requests in the order in which they came, without those whose callers have gone."""
        batch: list[_Request] = []
        rows = 0
        while self._waiting and (not batch or rows + self._waiting[0].rows <= self._max_rows):
            request = self._waiting.popleft()
            if not request.answer.done():
                batch.append(request)
                rows += request.rows
        return batch

    async def _answer(self, batch: list[_Request]) -> None:
        if self._on_run is not None:
            self._on_run(len(batch), sum(request.rows for request in batch))
        parts = [request.inputs for request in batch]
        try:
            run = asyncio.get_running_loop().run_in_executor(self._executor, _run_together, self._run, parts)
            outputs = await run
        except Exception as error:  # whatever a run raises belongs to its callers
            await self._fail(batch, error)
            return
        for request, output in zip(batch, outputs, strict=True):
            if not request.answer.done():
                request.answer.set_result(output)

    async def _fail(self, batch: list[_Request], error: Exception) -> None:
        if len(batch) > 1:
            for request in batch:
                await self._answer([request])
        elif not batch[0].answer.done():
            batch[0].answer.set_exception(error)


def _run_together(run: RunGraph, parts: Sequence[Arrays]) -> list[Arrays]:
    """The outputs for each part, from one joint run."""
    ends = list(itertools.accumulate(len(next(iter(part.values()))) for part in parts))
    joint = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if len(parts) > 1 else parts[0]
    outputs = run(joint)
    for name, value in outputs.items():
        if len(value) != ends[-1]:
            raise ValueError(f"{name}: expected {ends[-1]} rows, received {len(value)}. Export the model again.")
    slices = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
    return [{name: value[rows] for name, value in outputs.items()} for rows in slices]
