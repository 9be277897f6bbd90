"""Exact pPCA of MNIST: sigma^2, log-likelihood and surviving latents from one eigenproblem (arXiv 1911.02469).

    python tests/integration/exact_ppca.py            # 30 s; --full is the same

60,000 training images, pixels k / 255, float64. Prints three tables, the expected value beside ours, and draws the
log-likelihood against the number of latents, with sigma free and frozen, and against sigma^2. MNIST comes from
$VAE_TF_DATA_DIR, or is downloaded. "Expected" are the values of an independent computation on the same files.
"""

import time

import numpy as np
from reproduction import arguments, axes, echo, markdown, save

import vae_tf
from vae_tf.ppca import PPCA

FROZEN_AT = 50  # latents; sigma^2 of the frozen column is the best one there
LEADING = (5.11679, 3.74133, 3.25265, 2.84157, 2.56707, 2.27363, 1.72513, 1.52053, 1.45628, 1.24273)
TRACE = 52.725
FREE = {  # latents: sigma^2, training and test log-likelihood, the same with sigma frozen, surviving latents
    2: (0.056096, 12.428, 14.360, -753.841, 2),
    20: (0.024597, 299.758, 306.549, 191.454, 20),
    50: (0.012596, 507.905, 517.603, 507.905, 50),
    100: (0.006581, 680.952, 689.322, 622.236, 100),
    200: (0.003029, 839.544, 844.748, 645.198, 200),
    300: (0.001500, 948.874, 954.551, 645.245, 222),
}
SWEEP = {  # sigma^2: log-likelihood, surviving latents of 200
    10.0: (-1625.697, 0),
    5.2: (-1371.792, 0),
    5.0: (-1356.620, 1),
    3.0: (-1159.791, 3),
    1.0: (-743.186, 12),
    0.3: (-304.429, 35),
    0.1: (68.836, 69),
    0.03: (429.999, 136),
    0.01: (694.361, 200),
}
SWEPT, FIRST = 200, {50: 558.090, 100: 754.521, 200: 962.384}  # latents; and on the first 1,000 training images


def data():
    """Training and test images as rows `[n, 784]`, in float64: k / 255 to the last bit."""
    return [np.round(x.reshape(len(x), -1).astype(np.float64) * 255) / 255 for x in vae_tf.data.load("mnist")]


def free(ppca, x_test):
    """The rows of `FREE`, ours, from a fit to the training images."""
    frozen, rows = ppca.with_latent_dim(FROZEN_AT).sigma2_, {}
    for latent_dim in FREE:
        model = ppca.with_latent_dim(latent_dim)
        at_frozen = float(model.log_likelihood_curve(frozen)), model.active_latents(frozen)
        rows[latent_dim] = (model.sigma2_, model.log_likelihood_, model.score(x_test), *at_frozen)
    return rows


def sweep(ppca):
    """The rows of `SWEEP`, ours."""
    model = ppca.with_latent_dim(SWEPT)
    curve = model.log_likelihood_curve(list(SWEEP))
    return {s: (float(value), model.active_latents(s)) for s, value in zip(SWEEP, curve, strict=True)}


def first_thousand(x_train):
    """The log-likelihoods of `FIRST`, ours."""
    ppca = PPCA(min(FIRST)).fit(x_train[:1000])
    return {latent_dim: ppca.with_latent_dim(latent_dim).log_likelihood_ for latent_dim in FIRST}


def table(head, expected, ours):
    """Ours, and expected values in brackets."""
    rows = []
    for key, values in ours.items():
        pairs = zip(np.atleast_1d(values), np.atleast_1d(expected[key]), strict=True)
        rows.append([f"{key:g}", *(f"{value:.7g} ({known:.7g})" for value, known in pairs)])
    return markdown(head, rows)


def draw(ppca, path):
    """Log-likelihood against latents, sigma free and frozen; and against sigma^2, with the number of survivors."""
    figure, (left, right) = axes(2)
    models = {latent_dim: ppca.with_latent_dim(latent_dim) for latent_dim in (1, 2, 5, *range(10, 401, 10))}
    frozen = models[FROZEN_AT].sigma2_
    left.plot(list(models), [model.log_likelihood_ for model in models.values()], label="sigma² free")
    at_frozen = [model.log_likelihood_curve(frozen) for model in models.values()]
    left.plot(list(models), at_frozen, label=f"sigma² = {frozen:.4f}, the best for {FROZEN_AT} latents")
    left.set(xlabel="latents", ylabel="log-likelihood (nats per image)", title="More latents need a smaller sigma")
    grid = np.geomspace(1e-3, 10, 200)
    right.plot(grid, models[SWEPT].log_likelihood_curve(grid), label="log-likelihood")
    right.axvline(models[SWEPT].sigma2_, color="k", linestyle=":", label="sigma² of maximum likelihood")
    right.set(xscale="log", xlabel="sigma²", title=f"Sigma decides how many of {SWEPT} latents survive")
    survivors = right.twinx()
    survivors.plot(grid, [models[SWEPT].active_latents(s) for s in grid], "C1", label="surviving latents (right axis)")
    survivors.spines["top"].set_visible(False)
    save(figure, path)


def main():
    options, (x_train, x_test) = arguments(__doc__, "exact_ppca.png").parse_args(), data()
    start = time.perf_counter()
    ppca = PPCA(FROZEN_AT).fit(x_train)
    echo(f"fit of 60,000 images: {time.perf_counter() - start:.1f} s. Ours, and the expected value in brackets.\n")
    head = "latents | sigma^2 | training LL | test LL | LL with sigma frozen | of them survive"
    echo(table(head, FREE, free(ppca, x_test)) + "\n")
    echo(table(f"sigma^2 | LL of {SWEPT} latents | of them survive", SWEEP, sweep(ppca)) + "\n")
    echo(table("latents | LL of the first 1,000 images", FIRST, first_thousand(x_train)))
    draw(ppca, options.picture)


if __name__ == "__main__":
    main()
