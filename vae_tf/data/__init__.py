"""Data for a VAE: `load` returns images as float32 in [0, 1], `[n, H, W, C]`, whatever they came from."""

from vae_tf.data._files import NAMES, levels, load

__all__ = ["NAMES", "levels", "load"]
