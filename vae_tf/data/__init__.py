"""Data for a VAE: `load` returns training and test examples from a name, a file or a folder of your own."""

from vae_tf.data._levels import levels
from vae_tf.data._loading import NAMES, class_names, load
from vae_tf.data._pipelines import stream
from vae_tf.data._simulation import SimulatedCounts, simulate_counts
from vae_tf.data.lazy import LazyImages

__all__ = ["NAMES", "LazyImages", "SimulatedCounts", "class_names", "levels", "load", "simulate_counts", "stream"]
