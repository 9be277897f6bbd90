"""A fixed sigma decides how many latents of a linear VAE collapse (arXiv 1911.02469, section 5).

    python tests/integration/sigma_sweep.py            # sigma^2 = 5 and 1, 40 latents
    python tests/integration/sigma_sweep.py --full     # sigma^2 from 10 to 0.01, 200 latents

Linear VAEs trained on the covariance of MNIST's 60,000 training images. pPCA keeps one latent for each eigenvalue of
that covariance above sigma^2; the table has the number that did collapse (KL below 0.01 nats for 99 % of the first
10,000 images) beside that prediction, and the ELBO beside the maximum of log p(x). MNIST comes from $VAE_TF_DATA_DIR,
or is downloaded.
"""

import math
import time

import numpy as np
import tf_keras as keras
from reproduction import arguments, axes, echo, markdown, mnist, moments, of_moments, save

import vae_tf
from vae_tf import collapse

SWEEP = (10.0, 5.2, 5.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01)


def train(sigma2, latent_dim, steps, x, data):
    """The ELBO in nats per image, and the number of collapsed latents."""
    keras.utils.set_random_seed(0)
    vae = vae_tf.LinearVAE(latent_dim, (28, 28, 1), scale=math.sqrt(sigma2))
    vae.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-2, steps)))
    elbo = vae.fit_covariance(*data, steps, steps_per_epoch=steps // 20).history["elbo"][-1]
    return elbo, int(collapse.collapsed(vae, x.reshape(-1, 28, 28, 1)).sum())


def sweep(values, latent_dim, steps, x=None):
    """For each sigma^2: exact maximum, ELBO, predicted and found numbers of collapsed latents, seconds."""
    x = mnist() if x is None else x
    data = moments(x)
    ppca = of_moments(*data, latent_dim)
    results = []
    for sigma2 in values:
        start = time.perf_counter()
        elbo, found = train(sigma2, latent_dim, steps, x[:10_000], data)
        exact, predicted = float(ppca.log_likelihood_curve(sigma2)), latent_dim - ppca.active_latents(sigma2)
        results.append((sigma2, exact, elbo, predicted, found, time.perf_counter() - start))
    return results


def main():
    options = arguments(__doc__, "sigma_sweep.png").parse_args()
    values, latent_dim, steps = (SWEEP, 200, 4000) if options.full else ((5.0, 1.0), 40, 1000)
    results = sweep(values, latent_dim, steps)
    head = "sigma^2 | max log p(x) | our ELBO | latents without an eigenvalue above sigma^2 | collapsed | s"
    echo(markdown(head, [(f"{s:g}", f"{a:.3f}", f"{b:.3f}", p, found, f"{t:.0f}") for s, a, b, p, found, t in results]))
    sigma2, _, _, predicted, found, _ = (np.array(column) for column in zip(*results, strict=True))
    figure, ax = axes(xlabel="sigma²", ylabel=f"collapsed of {latent_dim} latents", xscale="log")
    ax.set_title("A fixed sigma decides how many latents collapse")
    ax.plot(sigma2, predicted, "-", label="eigenvalues below sigma²")
    ax.plot(sigma2, found, "o", label="collapsed latents of the linear VAE")
    save(figure, options.picture)


if __name__ == "__main__":
    main()
