"""The graphs of a bundle as a server runs them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from vae_tf_onnx.bundle import FP32, GRAPHS, Bundle
from vae_tf_onnx.runtime import Graph
from vae_tf_onnx.serve._batching import Arrays, Batcher

_LOG = logging.getLogger("vae_tf_onnx.serve")
_DYNAMIC = "int8-dynamic"


@dataclass(frozen=True)
class ServedGraph:
    """A graph, and whether requests may share its runs.

    Attributes:
        graph: The graph.
        joins: Whether rows of several requests may go into one run. They may not in int8-dynamic, which takes the range
            of its activations from all rows of a run: one caller's large numbers would spoil another's answer.
    """

    graph: Graph
    joins: bool = True

    def batcher(
        self, *, max_rows: int, executor: Executor, on_run: Callable[[int, int], None] | None = None
    ) -> Batcher:
        """A batcher that runs this graph for many callers; see Batcher."""
        return Batcher(self._run, max_rows=max_rows if self.joins else 1, executor=executor, on_run=on_run)

    def _run(self, inputs: Arrays) -> Arrays:
        return self.graph.run(*(inputs[name] for name in self.graph.input_shapes))


def load_graphs(bundle: Bundle, *, variant: str, threads: int) -> list[ServedGraph]:
    """Every graph that a bundle holds, in this variant if the graph has it, else in fp32.

    Raises:
        BundleError: For a bundle that is damaged or newer.
        ValueError: For a variant that no graph has, or fewer threads than one.
    """
    if threads < 1:
        raise ValueError(f"threads: expected 1 or more, received {threads}. Pass 1 for each core to use.")
    names = [name for name in GRAPHS if bundle.holds(name)]
    having = [name for name in names if bundle.holds(name, variant)]
    if not having:
        raise ValueError(
            f"variant: expected one that the bundle {bundle.folder} holds, received {variant!r}. Pass fp32."
        )
    if len(having) < len(names):
        _LOG.warning("In fp32, without %s: %s", variant, ", ".join(sorted(set(names) - set(having))))
    variants = {name: variant if name in having else FP32 for name in names}
    return [
        ServedGraph(Graph(bundle, name, variant=variants[name], threads=threads), _DYNAMIC not in variants[name])
        for name in names
    ]
