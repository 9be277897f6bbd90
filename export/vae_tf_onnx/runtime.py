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
_SIGNATURES = {
    "decoder": (("z",), {"mean"}),
    "encoder": (("x",), {"loc"}),
    "prior": (("noise",), {"z"}),
    "posterior": (("x", "noise"), {"z", "log_prob"}),
}
_Entry = TypeVar("_Entry")


class Graph:
    """One ONNX graph of a bundle: named inputs `[B, *shape]` -> named outputs, each with first axis B.

    Args:
        bundle: the folder of the bundle, or an opened one.
        name: "decoder" (z -> parameters of p(x|z)), "encoder" (x -> parameters of q(z|x)), "prior" (noise -> z) or
            "posterior" (x, noise -> z, log q(z|x)); the last two where numpy does not do.
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
        received = {tensor.name: tuple(tensor.shape[1:]) for tensor in self.session.get_inputs()}
        sources, outputs = _SIGNATURES[name]
        self.output_names = [output.name for output in self.session.get_outputs()]
        self.input_shapes = {source: self._shape(name, source) for source in sources}
        if received != self.input_shapes or not outputs <= set(self.output_names):
            expected = f"the inputs {self.input_shapes} and the outputs {sorted(outputs)}"
            raise self._error(name, expected, f"{received} and {self.output_names}")

    def _shape(self, name: str, source: str) -> tuple[int, ...]:
        """Shape of an input without its batch axis."""
        if source == "x":
            return self.bundle.event_shape
        if name == "prior":
            prior_noise = _known(self.bundle, "prior", families.PRIORS)
            return prior_noise(np.random.default_rng(0), 1, self.bundle.latent_dim).shape[1:]
        return (self.bundle.latent_dim,)

    def _error(self, name: str, expected: str, received: str) -> BundleError:
        path = str(self.bundle.folder / GRAPHS[name])
        return BundleError(f"Bundle file {path}: expected {expected}, received {received}. Export again.", path)

    def run(self, *inputs: Any, names: list[str] | None = None) -> dict[str, np.ndarray]:
        """The outputs of these names (all by default), float32.

        Args:
            *inputs: `[B, *shape]`, in the order of the graph's signature.
            names: of the outputs.

        Raises:
            ValueError: for inputs of another shape than `[B, *shape]`.
        """
        arrays = {}
        for (source, shape), given in zip(self.input_shapes.items(), inputs, strict=True):
            array = np.asarray(given, dtype=np.float32, order="C")
            if array.ndim == 0 or array.shape[1:] != shape:
                expected = ", ".join(map(str, ("B", *shape)))
                raise ValueError(
                    f"{source}: expected shape [{expected}], received {list(array.shape)}. Give it a batch axis."
                )
            arrays[source] = array
        names = names or self.output_names
        return dict(zip(names, self.session.run(names, arrays), strict=True))


class Decoder(Graph):
    """p(x|z) of an exported model, and its prior.

    Args:
        bundle: the folder of the bundle.
        threads: see Graph.

    Raises:
        BundleError: for a bundle that is damaged, newer, without a decoder, or of an unknown family.
    """

    def __init__(self, bundle: str | Path | Bundle, *, threads: int | None = None) -> None:
        super().__init__(bundle, "decoder", threads=threads)
        make = _known(self.bundle, "likelihood", families.LIKELIHOODS)
        config = self.bundle.manifest["likelihood"].get("parameters", {})
        try:
            self.likelihood = make(config)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._error("decoder", "a likelihood with its parameters", f"{config!r}: {error!r}") from error
        received = {output.name: tuple(output.shape[1:]) for output in self.session.get_outputs()}
        extra = sorted(self.likelihood.parameters.items())
        expected = {parameter: (*self.bundle.event_shape, *axes) for parameter, axes in extra}
        if received != expected:
            raise self._error("decoder", f"the outputs {expected}", str(received))
        self._prior_noise = _known(self.bundle, "prior", families.PRIORS)
        needs_graph = self.bundle.manifest["prior"]["family"] != "StandardNormal"
        self._prior = Graph(self.bundle, "prior", threads=threads) if needs_graph else None

    def parameters(self, z: Any) -> dict[str, np.ndarray]:
        """The likelihood's parameters, each `[B, *E]` (and a further axis for mixtures), for z `[B, D]`."""
        return self.run(z)

    def decode(self, z: Any) -> np.ndarray:
        """The mean E[x|z], `[B, *E]`, for z `[B, D]`."""
        return self.run(z, names=["mean"])["mean"]

    def sample(self, num_samples: int, seed: int | None = None, *, observation_noise: bool = True) -> np.ndarray:
        """Draws x ~ p(x|z), z ~ p(z): `[num_samples, *E]`, the same as `VAE.sample` for the same seed.

        Counts have the same law, and other values.

        Args:
            num_samples: how many.
            seed: of `numpy.random.default_rng`; None takes a new one.
            observation_noise: False returns the mean E[x|z] of each draw instead of a draw of x.

        Raises:
            ValueError: for a count below 1 or a negative seed.
        """
        num_samples = _count(num_samples)
        rng = np.random.default_rng(_seed(seed))
        z = self._prior_noise(rng, num_samples, self.bundle.latent_dim)
        starts = range(0, num_samples, _CHUNK)
        if self._prior is not None:
            z = np.concatenate([self._prior.run(z[i : i + _CHUNK])["z"] for i in starts])
        if not observation_noise:
            return np.concatenate([self.decode(z[i : i + _CHUNK]) for i in starts])
        noise = self.likelihood.noise(rng, num_samples, self.bundle.event_shape)
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
        BundleError: for a bundle that is damaged, newer, without an encoder, or of an unknown posterior.
    """

    def __init__(self, bundle: str | Path | Bundle, *, threads: int | None = None) -> None:
        super().__init__(bundle, "encoder", threads=threads)
        family = self.bundle.manifest.get("posterior", {}).get("family", "DiagonalNormal")
        self._numpy = families.POSTERIORS.get(family)
        self._posterior = None if self._numpy else Graph(self.bundle, "posterior", threads=threads)

    def parameters(self, x: Any) -> dict[str, np.ndarray]:
        """The posterior's parameters: `loc` and `scale` (`[B, D]`), or what the family has, for x `[B, *E]`."""
        return self.run(x)

    def encode(self, x: Any) -> np.ndarray:
        """The posterior mean E[z|x], `[B, D]`, for x `[B, *E]`; for a flow the image of its base's mean."""
        if self._posterior is None:
            return self.run(x, names=["loc"])["loc"]
        return self._posterior.run(x, np.zeros((len(x), self.bundle.latent_dim)))["z"]

    def draw(self, x: Any, noise: Any) -> tuple[np.ndarray, np.ndarray]:
        """z ~ q(z|x) `[B, D]`, and log q(z|x) there in nats `[B]`, for x `[B, *E]` and normal noise `[B, D]`.

        Raises:
            ValueError: for shapes that do not fit.
        """
        noise = np.asarray(noise, dtype=np.float32)
        if noise.shape != (len(x), self.bundle.latent_dim):
            expected = [len(x), self.bundle.latent_dim]
            raise ValueError(f"noise: expected shape {expected}, received {list(noise.shape)}. Pass a row for each x.")
        if self._numpy is not None:
            return self._numpy(noise, self.run(x))
        outputs = self._posterior.run(x, noise) if self._posterior else {}
        return outputs["z"], outputs["log_prob"]

    def sample(self, x: Any, seed: int | None = None) -> np.ndarray:
        """One draw z ~ q(z|x) for each x, `[B, D]`, for x `[B, *E]`.

        Raises:
            ValueError: for shapes that do not fit, or a negative seed.
        """
        rng = np.random.default_rng(_seed(seed))
        return self.draw(x, families.PRIORS["StandardNormal"](rng, len(x), self.bundle.latent_dim))[0]


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"num_samples: expected a whole number of at least 1, received {value!r}. Pass 16.")
    return int(value)


def _seed(value: int | None) -> int | None:
    if value is not None and value < 0:
        raise ValueError(f"seed: expected a whole number of at least 0, received {value!r}. Pass seed=0.")
    return value


def _known(bundle: Bundle, part: str, table: Mapping[str, _Entry]) -> _Entry:
    family = bundle.manifest[part].get("family")
    if not isinstance(family, str) or family not in table:
        raise BundleError(
            f"Bundle {bundle.folder}: expected a {part} of {', '.join(table)}, received {family!r}. "
            "Upgrade: pip install -U vae-tf-onnx.",
            str(bundle.folder),
        )
    return table[family]
