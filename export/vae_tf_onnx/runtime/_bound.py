"""A graph at one batch size, with its inputs and outputs in fixed buffers on the device."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime

from vae_tf_onnx.errors import ProviderError
from vae_tf_onnx.runtime._graph import Graph, as_rows
from vae_tf_onnx.runtime._session import CUDA


class Bound:
    """A graph that runs on the same buffers again and again: nothing is allocated, and a GPU may replay its launches.

    A GPU saves the launches. Fetching large outputs from it can take far longer than computing them, so name the ones
    that are needed.

    Args:
        graph: Graph of a bundle, on any provider.
        batch: Number of rows of every run.
        cuda_graph: Whether the GPU records the kernels of its first run and replays them from then on. onnxruntime
            allows it for graphs that lie entirely on the GPU.

    Raises:
        ValueError: For a batch size below 1, or one other than the fixed batch size of the bundle.
        ProviderError: For `cuda_graph` on a provider other than CUDA.
        BundleError: For `cuda_graph` if onnxruntime does not allow it for this graph.
    """

    def __init__(self, graph: Graph, batch: int, *, cuda_graph: bool = False) -> None:
        fixed = graph.bundle.batch
        if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1 or (fixed or batch) != batch:
            expected = "a whole number of at least 1" if fixed is None else f"{fixed}, that of the bundle"
            raise ValueError(f"batch: expected {expected}, received {batch!r}. Pass {fixed or 32}.")
        self._shapes = graph.input_shapes
        self._session, device = _session_and_device(graph, cuda_graph)
        self._binding = self._session.io_binding()
        self._inputs = {source: _buffer((batch, *shape), device, np.float32) for source, shape in self._shapes.items()}
        self._outputs = {
            output.name: _buffer((batch, *output.shape[1:]), device, np.float32)
            for output in self._session.get_outputs()
        }
        for source, buffer in self._inputs.items():
            self._binding.bind_ortvalue_input(source, buffer)
        for output, buffer in self._outputs.items():
            self._binding.bind_ortvalue_output(output, buffer)
        self.batch = batch

    def run(self, *inputs: Any, names: list[str] | None = None) -> dict[str, np.ndarray]:
        """Runs the graph on inputs of `batch` rows, as Graph.run does. The outputs are copies.

        Args:
            *inputs: Inputs of the graph.
            names: Names of the outputs to fetch; the others stay on the device. None fetches all.

        Raises:
            ValueError: For inputs of another shape than `[batch, *shape]`.
        """
        for (source, buffer), given in zip(self._inputs.items(), inputs, strict=True):
            rows = as_rows(source, given, self._shapes[source])
            if len(rows) != self.batch:
                raise ValueError(f"{source}: expected {self.batch} rows, received {len(rows)}. Bind that batch size.")
            buffer.update_inplace(rows)
        self._session.run_with_iobinding(self._binding)
        return {name: _fetched(self._outputs[name]) for name in names or self._outputs}


def _session_and_device(graph: Graph, cuda_graph: bool) -> tuple[onnxruntime.InferenceSession, tuple[str, int]]:
    options = graph.session.get_provider_options()
    if CUDA not in options:
        if cuda_graph:
            remedy = f'Open the graph with providers=["{CUDA}"], or leave cuda_graph out.'
            raise ProviderError(f"{CUDA}, for cuda_graph", str(graph.session.get_providers()), remedy)
        return graph.session, ("cpu", 0)
    device = int(options[CUDA]["device_id"])
    session = graph.session
    if cuda_graph:
        session = graph.open([(CUDA, options[CUDA] | {"enable_cuda_graph": "1"})])
    return session, ("cuda", device)


def _fetched(buffer: onnxruntime.OrtValue) -> np.ndarray:
    array = buffer.numpy()
    return array.copy() if buffer.device_name() == "cpu" else array  # from a GPU, it is a copy already


def _buffer(shape: tuple[int, ...], device: tuple[str, int], dtype: type) -> onnxruntime.OrtValue:
    return onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, dtype, *device)
