"""The export of a Keras model as a bundle, checked before it is written; needs TensorFlow, vae_tf and tf2onnx."""

from __future__ import annotations

try:
    import onnx  # noqa: F401
    import tf2onnx  # noqa: F401
except ImportError as missing:
    raise ImportError(
        f"Export: expected the package {missing.name}, received no such package. "
        'Install it: pip install "vae-tf-onnx[convert]".'
    ) from missing

from vae_tf_onnx.convert._conversion import PARITY_BATCHES, check_operators
from vae_tf_onnx.convert._export import export
from vae_tf_onnx.convert._export_keras import export_keras
from vae_tf_onnx.convert._opsets import newest_opset

__all__ = ["PARITY_BATCHES", "check_operators", "export", "export_keras", "newest_opset"]
