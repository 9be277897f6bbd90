"""Decoders and encoders trained with vae_tf, as ONNX bundles that need numpy and onnxruntime alone.

Names are imported on first use; `export` and `export_keras` are the only ones that need TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_NAMES = {
    "Bound": "runtime",
    "BundleError": "errors",
    "Decoder": "runtime",
    "Encoder": "runtime",
    "ParityError": "errors",
    "ProviderError": "errors",
    "Reconstructor": "runtime",
    "Sampler": "runtime",
    "Scorer": "runtime",
    "UnsupportedOpError": "errors",
    "add_variants": "variants",
    "export": "convert",
    "export_keras": "convert",
    "verify": "verification",
}
_ALIASES = {"add_variants": "add"}

__all__ = [
    "Bound",
    "BundleError",
    "Decoder",
    "Encoder",
    "ParityError",
    "ProviderError",
    "Reconstructor",
    "Sampler",
    "Scorer",
    "UnsupportedOpError",
    "add_variants",
    "export",
    "export_keras",
    "verify",
]

if TYPE_CHECKING:
    from vae_tf_onnx.convert import export, export_keras
    from vae_tf_onnx.errors import BundleError, ParityError, ProviderError, UnsupportedOpError
    from vae_tf_onnx.runtime import Bound, Decoder, Encoder, Reconstructor, Sampler, Scorer
    from vae_tf_onnx.variants import add as add_variants
    from vae_tf_onnx.verification import verify


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'vae_tf_onnx' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"vae_tf_onnx.{_NAMES[name]}"), _ALIASES.get(name, name))
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
