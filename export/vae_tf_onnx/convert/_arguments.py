"""The checks of an export's arguments, made before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import vae_tf
from vae_tf_onnx.convert._functions import ON_REQUEST
from vae_tf_onnx.convert._opsets import CONVERTER_OPSET, OLDEST_OPSET, newest_opset


def graphs(names: Sequence[str]) -> tuple[str, ...]:
    """The names of the graphs in their order, the decoder's always among them."""
    unknown = [name for name in names if name not in ON_REQUEST]
    if isinstance(names, str) or unknown:
        raise ValueError(f"graphs: expected some of {', '.join(ON_REQUEST)}, received {names!r}. Choose among them.")
    return tuple(name for name in ON_REQUEST if name == "decoder" or name in names)


def data_range(limits: Any) -> tuple[float, float]:
    """The smallest and the largest value of the data, (low, high)."""
    low, high = map(float, limits)
    if not low < high:
        raise ValueError(f"data_range: expected (low, high) with low < high, received {limits}. Pass (0.0, 1.0).")
    return low, high


def opset(value: int) -> None:
    """Raises ValueError for an opset that tf2onnx cannot write or onnxruntime cannot load."""
    if OLDEST_OPSET <= value <= CONVERTER_OPSET or OLDEST_OPSET <= value <= newest_opset():
        return
    raise ValueError(f"opset: expected {OLDEST_OPSET} to {newest_opset()}, received {value}. 17 suits most runtimes.")


def batch(value: int | None) -> int | None:
    """The size of the batch axis; None where it is open."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ValueError(
            f"fixed_batch: expected a whole number of at least 1, received {value!r}. Pass 1, or leave it out."
        )
    return value


def data(vae: vae_tf.VAE, x: Any) -> Any:
    """Data that the model can score, float32 `[n, *E]`: an array, or lazy images as they are."""
    lazy = isinstance(x, vae_tf.data.LazyImages)
    array = x if lazy else np.asarray(x, np.float32)
    if array.shape[1:] != vae.event_shape or not len(array):
        expected = ", ".join(map(str, ("n", *vae.event_shape)))
        raise ValueError(f"x: expected shape [{expected}], received {list(array.shape)}. Pass the test images.")
    if lazy:
        vae.adapter.open(array)
    else:
        vae.likelihood.check_data(array)
    return array
