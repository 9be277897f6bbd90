"""The inputs on which variants are measured, and those on which they are calibrated: never the same rows."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from vae_tf_onnx._chunks import in_chunks
from vae_tf_onnx.bundle import EXAMPLES, GOLDEN, Bundle
from vae_tf_onnx.errors import BundleError
from vae_tf_onnx.runtime import Decoder, Encoder

Array = np.ndarray

BATCH = 32
"""The number of rows of a run."""
_SAMPLES = 256
_MOST_DATA = 1024
CALIBRATION_ROWS = 2 * BATCH
"""The fewest data of which one half can be calibrated on and the other half measured on."""
_SOURCES = {"decoder": "z", "encoder": "x"}


@dataclass(frozen=True)
class Inputs:
    """Inputs of the graphs, and pairs for log p(x|z).

    Attributes:
        arrays: Rows of the input of each graph that has variants, `[n, D]` or `[n, *E]`, with n at least 256.
        x: Data, `[m, *E]`.
        z: A latent for each of the data, `[m, D]`.
        batch: Number of rows of a run: 32, or the fixed number of the bundle. Dynamic 8-bit ranges depend on it.
    """

    arrays: dict[str, Array]
    x: Array
    z: Array
    batch: int

    def batches(self, graph: str) -> Iterator[dict[str, Array]]:
        """The rows of a graph's input by name, one batch at a time; see in_batches."""
        for rows in self.in_batches(self.arrays[graph]):
            yield {_SOURCES[graph]: rows}

    def in_batches(self, rows: Array) -> Iterator[Array]:
        """The rows, one batch at a time. The last batch is filled up with the first rows."""
        for start in range(0, len(rows), self.batch):
            yield np.take(rows, range(start, start + self.batch), axis=0, mode="wrap")


def measuring(bundle: Bundle, x: Array | None = None) -> Inputs:
    """The inputs on which variants are measured: samples of the prior, and data with their posterior means.

    The decoder gets 256 samples of z and the posterior means. The encoder gets the data, filled up to 256 rows with
    samples of x.

    Args:
        bundle: The bundle.
        x: Data `[n, *E]`. Of 64 rows or more every other one is taken, and the rest is left for calibration. By default
            they are the bundle's examples, or those of its golden set.
    """
    return _inputs(bundle, x[1::2] if x is not None and len(x) >= CALIBRATION_ROWS else x, seed=0)


def calibration(bundle: Bundle, x: Array | None) -> Inputs:
    """The inputs from which ranges of activations are taken: the other half of x, and other samples."""
    return _inputs(bundle, None if x is None else x[0::2], seed=1)


def checked_data(bundle: Bundle, x: Any, *, least: int = 1) -> Array:
    """`x` as float32 `[n, *E]`: at most 1,024 rows, spread evenly.

    Raises:
        ValueError: For another shape, fewer rows than `least`, or values that are not finite.
    """
    array = np.asarray(x, dtype=np.float32)
    if array.shape[1:] != bundle.event_shape or len(array) < least:
        expected = ", ".join(map(str, (f"n >= {least}", *bundle.event_shape)))
        raise ValueError(f"x: expected shape [{expected}], received {list(array.shape)}. Pass images of the data.")
    if not np.isfinite(array).all():
        count = np.count_nonzero(~np.isfinite(array))
        raise ValueError(f"x: expected finite numbers, received {count} that are NaN or infinite. Drop or fill them.")
    return array[np.unique(np.linspace(0, len(array) - 1, _MOST_DATA).astype(int))]


def _inputs(bundle: Bundle, x: Array | None, *, seed: int) -> Inputs:
    decoder = Decoder(bundle)
    z_prior = _prior_samples(bundle, decoder, np.random.default_rng(seed))
    batch = bundle.batch or BATCH
    if not bundle.holds("encoder"):
        return Inputs({"decoder": z_prior}, *_stored(bundle), batch)
    if x is None:
        x, _ = _stored(bundle)
    z = in_chunks(Encoder(bundle).encode, x)
    more = [decoder.sample(_SAMPLES - len(x), seed=seed)] if len(x) < _SAMPLES else []
    return Inputs({"decoder": np.concatenate([z_prior, z]), "encoder": np.concatenate([x, *more])}, x, z, batch)


def _prior_samples(bundle: Bundle, decoder: Decoder, rng: np.random.Generator) -> Array:
    """256 samples z ~ p(z), `[256, D]`; they are standard normal if the prior is unstated."""
    if bundle.manifest["prior"].get("family") is None:
        return rng.standard_normal((_SAMPLES, bundle.latent_dim), dtype=np.float32)
    return decoder.prior_sample(rng, _SAMPLES)


def _stored(bundle: Bundle) -> tuple[Array, Array]:
    """The data stored in the bundle, and the latents stored with them; the bundle of a Keras decoder has none."""
    name = EXAMPLES if EXAMPLES in bundle.manifest["files"] else GOLDEN
    content = bundle.read(name)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            x = arrays["x"] if "x" in arrays else np.empty((0, *bundle.event_shape))
            return x.astype(np.float32), arrays["z"][: len(x)].astype(np.float32)
    except (ValueError, LookupError, OSError, EOFError, zipfile.BadZipFile) as error:
        path = str(bundle.folder / name)
        raise BundleError(
            f"Bundle file {path}: expected arrays x and z, received {error}. Export again.", path
        ) from error
