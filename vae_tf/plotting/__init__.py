"""Pictures of data, of models and of training, as matplotlib figures; the caller shows, saves or closes them."""

from vae_tf.plotting._collapse import active_units, collapse_curve, gaps, information, kl_per_latent, units_history
from vae_tf.plotting._spectrum import spectrum
from vae_tf.plotting._training import curves, image_grid, overview, reconstructions, samples

__all__ = [
    "active_units",
    "collapse_curve",
    "curves",
    "gaps",
    "image_grid",
    "information",
    "kl_per_latent",
    "overview",
    "reconstructions",
    "samples",
    "spectrum",
    "units_history",
]
