"""Exported models at work, on numpy and onnxruntime alone."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import onnxruntime

from vae_tf_onnx import families
from vae_tf_onnx.bundle import GRAPHS, Bundle, open_bundle
from vae_tf_onnx.errors import BundleError

_CHUNK = 256
_EXTERNAL_FOLDER = "session.model_external_initializers_file_folder_path"
_SIGNATURES = {"decoder": ("z", {"mean"}), "encoder": ("x", {"loc"})}
_Entry = TypeVar("_Entry")


class Graph:
    """One ONNX graph of a bundle: `[B, *shape]` -> named parameters, each with first axis B.

    Args:
        bundle: the folder of the bundle, or an opened one.
        name: "decoder" or "encoder".
        threads: of onnxruntime for one run; None leaves the choice to it. More threads than free cores are slow.

    Raises:
        BundleError: for a bundle that is damaged, newer, or without that graph.
    """

    def __init__(self, bundle: str | Path | Bundle, name: str, *, threads: int | None = None) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        content = self.bundle.read(GRAPHS[name])
        try:
            with tempfile.TemporaryDirectory() as nowhere:  # weights in files that no checksum covers are not found
                options.add_session_config_entry(_EXTERNAL_FOLDER, nowhere)
                self.session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions share no narrower class
            raise self._error(name, "a graph that onnxruntime loads", str(error)) from error
        inputs = [(tensor.name, tuple(tensor.shape[1:])) for tensor in self.session.get_inputs()]
        source, outputs = _SIGNATURES[name]
        shape = self.bundle.event_shape if source == "x" else (self.bundle.latent_dim,)
        self.output_names = [output.name for output in self.session.get_outputs()]
        if inputs != [(source, shape)] or not outputs <= set(self.output_names):
            expected = f"the input {source} {list(shape)} and the outputs {sorted(outputs)}"
            raise self._error(name, expected, f"{inputs} and {self.output_names}")
        self.input_name, self.input_shape = source, shape

    def _error(self, name: str, expected: str, received: str) -> BundleError:
        path = str(self.bundle.folder / GRAPHS[name])
        return BundleError(f"Bundle file {path}: expected {expected}, received {received}. Export again.", path)

    def run(self, inputs: Any, names: list[str] | None = None) -> dict[str, np.ndarray]:
        """The outputs of these names (all by default), float32.

        Raises:
            ValueError: for inputs of another shape than `[B, *shape]`.
        """
        inputs = np.asarray(inputs, dtype=np.float32, order="C")
        if inputs.ndim == 0 or inputs.shape[1:] != self.input_shape:
            expected = ", ".join(map(str, ("B", *self.input_shape)))
            raise ValueError(
                f"{self.input_name}: expected shape [{expected}], received {list(inputs.shape)}. Give it a batch axis."
            )
        names = names or self.output_names
        return dict(zip(names, self.session.run(names, {self.input_name: inputs}), strict=True))


class Decoder(Graph):
    """p(x|z) of an exported model.

    Args:
        bundle: the folder of the bundle.
        threads: see Graph.

    Raises:
        BundleError: for a bundle that is damaged, newer, without a decoder, or of an unknown family.
    """

    def __init__(self, bundle: str | Path | Bundle, *, threads: int | None = None) -> None:
        super().__init__(bundle, "decoder", threads=threads)
        self.likelihood = _known(self.bundle, "likelihood", families.LIKELIHOODS)
        self._prior_noise = _known(self.bundle, "prior", families.PRIORS)
        received = {output.name: tuple(output.shape[1:]) for output in self.session.get_outputs()}
        expected = dict.fromkeys(sorted(self.likelihood.parameters), self.bundle.event_shape)
        if received != expected:
            raise self._error("decoder", f"the outputs {expected}", str(received))

    def parameters(self, z: Any) -> dict[str, np.ndarray]:
        """The likelihood's parameters, each `[B, *E]`, for z `[B, D]`."""
        return self.run(z)

    def decode(self, z: Any) -> np.ndarray:
        """The mean E[x|z], `[B, *E]`, for z `[B, D]`."""
        return self.run(z, ["mean"])["mean"]

    def sample(self, num_samples: int, seed: int | None = None, *, observation_noise: bool = True) -> np.ndarray:
        """Draws x ~ p(x|z), z ~ p(z): `[num_samples, *E]`, the same as `VAE.sample` for the same seed.

        Args:
            num_samples: how many.
            seed: of `numpy.random.default_rng`; None takes a new one.
            observation_noise: False returns the mean E[x|z] of each draw instead of a draw of x.

        Raises:
            ValueError: for a count below 1 or a negative seed.
        """
        if isinstance(num_samples, bool) or not isinstance(num_samples, int | np.integer) or num_samples < 1:
            raise ValueError(f"num_samples: expected a whole number of at least 1, received {num_samples!r}. Pass 16.")
        if seed is not None and seed < 0:
            raise ValueError(f"seed: expected a whole number of at least 0, received {seed!r}. Pass seed=0.")
        rng = np.random.default_rng(seed)
        z = self._prior_noise(rng, (num_samples, self.bundle.latent_dim))
        starts = range(0, num_samples, _CHUNK)
        if not observation_noise:
            return np.concatenate([self.decode(z[i : i + _CHUNK]) for i in starts])
        noise = self.likelihood.noise(rng, (num_samples, *self.bundle.event_shape))
        draws = [self.likelihood.observe(noise[i : i + _CHUNK], self.run(z[i : i + _CHUNK])) for i in starts]
        return np.concatenate(draws)

    def log_prob(self, x: Any, z: Any) -> np.ndarray:
        """log p(x|z) in nats per example, `[B]`, for x `[B, *E]` and z `[B, D]`.

        Raises:
            ValueError: for shapes that do not fit, or data outside the likelihood's support.
        """
        x = np.asarray(x, dtype=np.float32)
        parameters = self.run(z)
        if x.shape != parameters["mean"].shape:
            expected = list(parameters["mean"].shape)
            raise ValueError(f"x: expected shape {expected}, received {list(x.shape)}. Pass one x for each z.")
        return self.likelihood.log_prob(x, parameters).sum(axis=tuple(range(1, x.ndim)))


class Encoder(Graph):
    """q(z|x) of an exported model.

    Args:
        bundle: the folder of the bundle.
        threads: see Graph.

    Raises:
        BundleError: for a bundle that is damaged, newer, or without an encoder.
    """

    def __init__(self, bundle: str | Path | Bundle, *, threads: int | None = None) -> None:
        super().__init__(bundle, "encoder", threads=threads)

    def parameters(self, x: Any) -> dict[str, np.ndarray]:
        """The posterior's parameters `loc` and `scale`, `[B, D]` each, for x `[B, *E]`."""
        return self.run(x)

    def encode(self, x: Any) -> np.ndarray:
        """The posterior mean E[z|x], `[B, D]`, for x `[B, *E]`."""
        return self.run(x, ["loc"])["loc"]


def _known(bundle: Bundle, part: str, table: Mapping[str, _Entry]) -> _Entry:
    family = bundle.manifest[part].get("family")
    if not isinstance(family, str) or family not in table:
        raise BundleError(
            f"Bundle {bundle.folder}: expected a {part} of {', '.join(table)}, received {family!r}. "
            "Upgrade: pip install -U vae-tf-onnx.",
            str(bundle.folder),
        )
    return table[family]
