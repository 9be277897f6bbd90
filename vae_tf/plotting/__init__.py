"""Pictures of data, of models and of training, as matplotlib figures; the caller shows, saves or closes them."""

from vae_tf.plotting._collapse import active_units, collapse_curve, gaps, information, kl_per_latent, units_history
from vae_tf.plotting._spectrum import spectrum
from vae_tf.plotting._tables import column_scales, marginals, predictions
from vae_tf.plotting._training import curves, image_grid, overview, reconstructions, samples

__all__ = [
    "active_units",
    "collapse_curve",
    "column_scales",
    "curves",
    "gaps",
    "image_grid",
    "information",
    "kl_per_latent",
    "marginals",
    "overview",
    "predictions",
    "reconstructions",
    "samples",
    "spectrum",
    "units_history",
]
