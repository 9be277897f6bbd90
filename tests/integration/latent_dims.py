"""Likelihood against the number of latents, with sigma free and with sigma frozen (arXiv 1911.02469, section 5).

    python tests/integration/latent_dims.py            # 2 and 50 latents
    python tests/integration/latent_dims.py --full     # 2 to 300 latents

Linear VAEs trained on the covariance of MNIST's 60,000 training images, beside the exact maximum of log p(x) for the
same sigma^2; and how well the longest columns of the decoder, up to 20, match the principal axes. Frozen, sigma^2
stays at its optimum for 50 latents: more latents than 222 are then of no use. MNIST comes from $VAE_TF_DATA_DIR, or is
downloaded.
"""

import math
import time

import numpy as np
import tf_keras as keras
from reproduction import alignment, arguments, axes, echo, markdown, mnist, moments, of_moments, save

import vae_tf

FROZEN_AT = 50
LATENT_DIMS = (2, 20, 50, 100, 200, 300)


def train(latent_dim, scale, data, steps):
    """The trained linear VAE, its ELBO in nats per image, its sigma^2, and the seconds it took."""
    keras.utils.set_random_seed(0)
    vae = vae_tf.LinearVAE(latent_dim, (28, 28, 1), scale=scale)
    vae.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(5e-3, steps)))
    start = time.perf_counter()
    elbo = vae.fit_covariance(*data, steps, steps_per_epoch=steps // 20).history["elbo"][-1]
    return vae, elbo, float(vae.likelihood.scale) ** 2, time.perf_counter() - start


def compare(latent_dims, steps, data=None):
    """For each number of latents: exact and trained, with sigma^2 free and frozen."""
    data = moments(mnist()) if data is None else data
    frozen = of_moments(*data, FROZEN_AT).sigma2_
    results = {}
    for latent_dim in latent_dims:
        ppca = of_moments(*data, latent_dim)
        free = train(latent_dim, "learned", data, steps)
        fixed = train(latent_dim, math.sqrt(frozen), data, steps)
        results[latent_dim] = {
            "free": (ppca.log_likelihood_, free[1]),
            "frozen": (float(ppca.log_likelihood_curve(frozen)), fixed[1]),
            "sigma2": (ppca.sigma2_, free[2]),
            "alignment": alignment(free[0], ppca),
            "active": ppca.active_latents(frozen),
            "seconds": free[3] + fixed[3],
        }
    return results


def main():
    options = arguments(__doc__, "latent_dims.png").parse_args()
    steps = 4000 if options.full else 1500
    results = compare(LATENT_DIMS if options.full else (2, FROZEN_AT), steps)
    rows = [
        (
            latent_dim,
            f"{found['sigma2'][0]:.6f}",
            f"{found['sigma2'][1]:.6f}",
            *(f"{value:.3f}" for name in ("free", "frozen") for value in found[name]),
            found["active"],
            f"{np.median(found['alignment']):.4f}",
            f"{found['seconds']:.0f}",
        )
        for latent_dim, found in results.items()
    ]
    head = "latents | sigma^2, exact | ours | free: max log p(x) | our ELBO | frozen: max log p(x) | our ELBO | active"
    head += " | median abs cos | s"
    echo(markdown(head, rows))
    figure, ax = axes(xlabel="latents", ylabel="nats per image", title="More latents, sigma free or frozen")
    for color, name in (("C0", "free"), ("C1", "frozen")):
        exact, ours = zip(*(found[name] for found in results.values()), strict=True)
        ax.plot(list(results), exact, color=color, label=f"sigma {name}: max log p(x)")
        ax.plot(list(results), ours, "o", color=color, label=f"sigma {name}: ELBO of the linear VAE")
    save(figure, options.picture)


if __name__ == "__main__":
    main()
