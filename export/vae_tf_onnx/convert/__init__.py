"""From a Keras model to a bundle, checked before it is written. Needs TensorFlow, vae_tf, onnx and tf2onnx."""

from __future__ import annotations

try:
    import onnx  # noqa: F401
    import tf2onnx  # noqa: F401
except ImportError as missing:
    raise ImportError(
        f"Export: expected the package {missing.name}, received no such package. "
        'Install it: pip install "vae-tf-onnx[convert]".'
    ) from missing

from vae_tf_onnx.convert._export import export
from vae_tf_onnx.convert._keras import export_keras
from vae_tf_onnx.convert._onnx import PARITY_BATCHES, check_operators
from vae_tf_onnx.convert._opsets import newest_opset

__all__ = ["PARITY_BATCHES", "check_operators", "export", "export_keras", "newest_opset"]
