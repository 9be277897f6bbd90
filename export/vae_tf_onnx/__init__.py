"""Decoders and encoders trained with vae_tf, as ONNX bundles that need numpy and onnxruntime alone.

Names are imported on first use: `export` is the only one that needs TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_NAMES = {
    "BundleError": "errors",
    "Decoder": "runtime",
    "Encoder": "runtime",
    "ParityError": "errors",
    "UnsupportedOpError": "errors",
    "export": "convert",
    "verify": "verification",
}

__all__ = ["BundleError", "Decoder", "Encoder", "ParityError", "UnsupportedOpError", "export", "verify"]

if TYPE_CHECKING:
    from vae_tf_onnx.convert import export
    from vae_tf_onnx.errors import BundleError, ParityError, UnsupportedOpError
    from vae_tf_onnx.runtime import Decoder, Encoder
    from vae_tf_onnx.verification import verify


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'vae_tf_onnx' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"vae_tf_onnx.{_NAMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
