"""One ONNX graph of a bundle, with its inputs checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnxruntime

from vae_tf_onnx.bundle import FP32, Bundle, open_bundle
from vae_tf_onnx.errors import BundleError
from vae_tf_onnx.runtime._parts import likelihood_of, prior_noise_of
from vae_tf_onnx.runtime._session import Providers, graph_error, open_session

_OUTPUTS = {
    "decoder": {"mean"},
    "encoder": {"loc"},
    "prior": {"z"},
    "posterior": {"z", "log_prob"},
    "observation": {"x"},
    "sampler": set(),
    "reconstructor": {"mean"},
    "scorer": {"elbo", "distortion", "rate"},
}
"""The outputs that each graph must have; some have more."""


class Graph:
    """One ONNX graph of a bundle: named inputs `[B, *shape]` -> named outputs, each with first axis B.

    A bundle of a fixed batch size takes any number of rows too. They are run in parts of that size, and the last
    part is filled up.

    Args:
        bundle: Folder of the bundle, or an opened bundle.
        name: Name of the graph: "decoder" (z -> parameters of p(x|z)), "encoder" (x -> parameters of q(z|x)),
            "sampler" (prior_noise, observation_noise -> x), "reconstructor" (x, noise -> mean), "scorer" (x, noise ->
            elbo, distortion, rate), "prior" (noise -> z), "posterior" (x, noise -> z, log q(z|x)) or "observation"
            (the likelihood's parameters, observation_noise -> x).
        variant: Precision or format, one of `vae_tf_onnx.bundle.VARIANTS`, or "fp32".
        threads: Number of threads of onnxruntime for one run; None leaves the choice to it. More threads than free
            cores are slow.
        providers: Execution providers of onnxruntime, the preferred one first, each a name or (name, options); None
            means the CPU.

    Raises:
        BundleError: For a bundle that is damaged, newer, or without that graph.
        ProviderError: If the preferred provider is not available.
    """

    def __init__(
        self,
        bundle: str | Path | Bundle,
        name: str,
        *,
        variant: str = FP32,
        threads: int | None = None,
        providers: Providers | None = None,
    ) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
        self.name = name
        self._file = self.bundle.file(name, variant)
        self._threads, self._providers = threads, providers
        self.session = self.open(providers)
        self.output_names = [output.name for output in self.session.get_outputs()]
        received = {tensor.name: tuple(tensor.shape[1:]) for tensor in self.session.get_inputs()}
        self.input_shapes = {source: self._shape(source) for source in received}
        if received != self.input_shapes or not _OUTPUTS[name] <= set(self.output_names):
            expected = f"the inputs {self.input_shapes} and the outputs {sorted(_OUTPUTS[name])}"
            raise self._error(expected, f"{received} and {self.output_names}")

    def open(self, providers: Providers | None) -> onnxruntime.InferenceSession:
        """A session of this graph on these providers, which are as in Graph."""
        return open_session(self.bundle, self._file, threads=self._threads, providers=providers)

    def _shape(self, source: str) -> tuple[int, ...]:
        """The shape of an input without its batch axis."""
        bundle = self.bundle
        if source == "x":
            return bundle.event_shape
        if source == "prior_noise" or (self.name, source) == ("prior", "noise"):
            return prior_noise_of(bundle)(np.random.default_rng(0), 1, bundle.latent_dim).shape[1:]
        if source in ("z", "noise"):
            return (bundle.latent_dim,)
        likelihood = likelihood_of(bundle)
        if source == "observation_noise":
            return likelihood.noise(np.random.default_rng(0), 1, bundle.event_shape).shape[1:]
        if source in likelihood.parameters:
            return (*bundle.event_shape, *likelihood.parameters[source])
        raise self._error("inputs of this kind of graph", repr(source))

    def _error(self, expected: str, received: str) -> BundleError:
        return graph_error(self.bundle, self._file, expected, received)

    def run(self, *inputs: Any, names: list[str] | None = None) -> dict[str, np.ndarray]:
        """Runs the graph; returns the outputs of these names (all by default), float32.

        Args:
            *inputs: Arrays `[B, *shape]`, in the order of the graph's inputs.
            names: Names of the outputs to compute.

        Raises:
            ValueError: For inputs whose shape is not `[B, *shape]`, or that have different numbers of rows.
        """
        arrays = {
            source: as_rows(source, given, shape)
            for (source, shape), given in zip(self.input_shapes.items(), inputs, strict=True)
        }
        if len({len(array) for array in arrays.values()}) > 1:
            rows = ", ".join(f"{source} {len(array)}" for source, array in arrays.items())
            raise ValueError(f"Inputs: expected one number of rows, received {rows}. Pass a row of each per example.")
        names = names or self.output_names
        if self.bundle.batch is not None:
            return self._in_parts(arrays, names, self.bundle.batch)
        return dict(zip(names, self.session.run(names, arrays), strict=True))

    def _in_parts(self, arrays: dict[str, np.ndarray], names: list[str], batch: int) -> dict[str, np.ndarray]:
        """Runs rows in parts of `batch`. The last part is filled up with the last row."""
        count = len(next(iter(arrays.values())))
        parts = []
        for start in range(0, count, batch):
            rows = np.minimum(np.arange(start, start + batch), count - 1)
            parts.append(self.session.run(names, {source: array[rows] for source, array in arrays.items()}))
        return {
            name: np.concatenate(values)[:count] for name, values in zip(names, zip(*parts, strict=True), strict=True)
        }


class Head(Graph):
    """A Graph whose kind is that of its class.

    Args:
        bundle: Folder of the bundle, or an opened bundle.
        variant: See Graph.
        threads: See Graph.
        providers: See Graph.

    Raises:
        BundleError: For a bundle that is damaged, newer, without that graph, or of an unknown family.
        ProviderError: If the preferred provider is not available.
    """

    graph: ClassVar[str]
    """The name of the graph."""

    def __init__(
        self,
        bundle: str | Path | Bundle,
        *,
        variant: str = FP32,
        threads: int | None = None,
        providers: Providers | None = None,
    ) -> None:
        super().__init__(bundle, self.graph, variant=variant, threads=threads, providers=providers)
        self._prepare()

    def _prepare(self) -> None:
        """Prepares what else this kind of graph needs."""

    def beside(self, name: str) -> Graph:
        """Another graph of the bundle, in fp32, with the same threads and providers."""
        return Graph(self.bundle, name, threads=self._threads, providers=self._providers)


def as_rows(source: str, given: Any, shape: tuple[int, ...]) -> np.ndarray:
    """`given` as float32 `[B, *shape]`; raises ValueError if it has another shape."""
    array = np.asarray(given, dtype=np.float32, order="C")
    if array.ndim == 0 or array.shape[1:] != shape or len(array) == 0:
        expected = ", ".join(map(str, ("B", *shape)))
        remedy = "Give it a batch axis of at least one row."
        raise ValueError(f"{source}: expected shape [{expected}], received {list(array.shape)}. {remedy}")
    return array
