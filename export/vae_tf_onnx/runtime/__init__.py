"""Exported models at work, on numpy and onnxruntime alone.

Three words say where randomness comes from. `sample` takes a seed or a generator. `draw` makes z, and `observe` makes
x, from noise that the caller gives, and both are deterministic.
"""

from vae_tf_onnx.runtime._bound import Bound
from vae_tf_onnx.runtime._composed import Reconstructor, Sampler, Scorer, Scores
from vae_tf_onnx.runtime._decoder import Decoder
from vae_tf_onnx.runtime._encoder import Encoder
from vae_tf_onnx.runtime._graph import Graph, Head

__all__ = ["Bound", "Decoder", "Encoder", "Graph", "Head", "Reconstructor", "Sampler", "Scorer", "Scores"]
