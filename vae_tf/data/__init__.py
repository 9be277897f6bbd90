"""Images for a VAE: `load` returns float32 arrays `[n, H, W, C]` in [0, 1] from a name, a file or a folder."""

from vae_tf.data._files import NAMES, levels, load

__all__ = ["NAMES", "levels", "load"]
