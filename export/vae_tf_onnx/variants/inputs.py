"""What variants are measured on, and what their activations are calibrated on: never the same rows."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from vae_tf_onnx.bundle import EXAMPLES, GOLDEN, Bundle
from vae_tf_onnx.errors import BundleError
from vae_tf_onnx.runtime import Decoder, Encoder
from vae_tf_onnx.runtime._noise import in_chunks

Array = np.ndarray

BATCH = 32
"""Rows of a run."""
_DRAWS = 256
_MOST_DATA = 1024
CALIBRATION_ROWS = 2 * BATCH
"""The least number of data that can be calibrated on, one half, and measured on, the other."""
_SOURCES = {"decoder": "z", "encoder": "x"}


@dataclass(frozen=True)
class Inputs:
    """Inputs of the graphs, and pairs for log p(x|z).

    Attributes:
        arrays: for each graph that has variants the rows of its input, `[n, D]` or `[n, *E]`, n at least 256.
        x: data, `[m, *E]`.
        z: a latent for each, `[m, D]`.
        batch: rows of a run: 32, or the fixed number of the bundle. Dynamic 8-bit ranges depend on it.
    """

    arrays: dict[str, Array]
    x: Array
    z: Array
    batch: int

    def batches(self, graph: str) -> Iterator[dict[str, Array]]:
        """The rows of a graph's input, a batch at a time; see parts."""
        for rows in self.parts(self.arrays[graph]):
            yield {_SOURCES[graph]: rows}

    def parts(self, rows: Array) -> Iterator[Array]:
        """Rows a batch at a time: the last one is filled up with the first rows."""
        for start in range(0, len(rows), self.batch):
            yield np.take(rows, range(start, start + self.batch), axis=0, mode="wrap")


def measuring(bundle: Bundle, x: Array | None = None) -> Inputs:
    """What the rows are measured on: draws of the prior, and data with their posterior means.

    The decoder gets 256 draws of z and the posterior means, the encoder the data, filled up to 256 with draws of x.

    Args:
        bundle: any.
        x: data `[n, *E]`; from 64 rows on every other one is taken, the rest is for calibration. By default the
            bundle's examples, or its golden set.
    """
    return _inputs(bundle, x[1::2] if x is not None and len(x) >= CALIBRATION_ROWS else x, seed=0)


def calibration(bundle: Bundle, x: Array | None) -> Inputs:
    """What ranges of activations are taken from: the other rows of x, at least 64, and other draws."""
    return _inputs(bundle, None if x is None else x[0::2], seed=1)


def checked_data(bundle: Bundle, x: Any, *, least: int = 1) -> Array:
    """`x` as float32 `[n, *E]`, at most 1,024 rows, spread evenly.

    Raises:
        ValueError: for another shape, fewer rows than `least`, or values that are not finite.
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
    draws = _prior_draws(bundle, decoder, np.random.default_rng(seed))
    batch = bundle.batch or BATCH
    if not bundle.holds("encoder"):
        return Inputs({"decoder": draws}, *_stored(bundle), batch)
    if x is None:
        x, _ = _stored(bundle)
    z = in_chunks(Encoder(bundle).encode, x)
    more = [decoder.sample(_DRAWS - len(x), seed=seed)] if len(x) < _DRAWS else []
    return Inputs({"decoder": np.concatenate([draws, z]), "encoder": np.concatenate([x, *more])}, x, z, batch)


def _prior_draws(bundle: Bundle, decoder: Decoder, rng: np.random.Generator) -> Array:
    """z ~ p(z), `[256, D]`; standard normal where the prior is unstated."""
    if bundle.manifest["prior"].get("family") is None:
        return rng.standard_normal((_DRAWS, bundle.latent_dim), dtype=np.float32)
    return decoder.prior_sample(rng, _DRAWS)


def _stored(bundle: Bundle) -> tuple[Array, Array]:
    """Data that came with the bundle, and latents stored with them; none where a Keras decoder has none."""
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
