"""Exported models at work, on numpy and onnxruntime alone."""

from vae_tf_onnx.runtime._bound import Bound
from vae_tf_onnx.runtime._composed import Reconstructor, Sampler, Scorer, Scores
from vae_tf_onnx.runtime._decoder import Decoder
from vae_tf_onnx.runtime._encoder import Encoder
from vae_tf_onnx.runtime._graph import Graph, Head

__all__ = ["Bound", "Decoder", "Encoder", "Graph", "Head", "Reconstructor", "Sampler", "Scorer", "Scores"]
