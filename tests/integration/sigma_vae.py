"""The worth of sigma on MNIST: 1, that of a beta-VAE, the optimal one, one for each pixel (arXiv 2006.13202, table 3).

    python tests/integration/sigma_vae.py                          # the short form: minutes
    python tests/integration/sigma_vae.py --full --folder models   # 10 epochs of 60,000 images for each row: an hour

Four VAEs that differ in the sigma of their Gaussian alone: 20 latents, pixels in [0, 1], Adam 1e-3, batch 128, seed 0.
"unit": sigma = 1. "beta": sigma^2 = beta = 0.01, as beta multiplies the KL of a decoder of unit variance (likelihood
`||x - x'||^2 / 2`); the paper does not say which beta it took. "shared": `scale="optimal"`. "per_pixel": the decoder
puts out a sigma for each pixel, at least 0.001. Prints a table, test -ELBO in nats per example beside the published
values, one draw of z for each image, all constants included; and draws it by epoch. With `--folder` an interrupted
run goes on, and more `--epochs` are added to what is there. MNIST comes from $VAE_TF_DATA_DIR, or is downloaded.
"""

import time
from pathlib import Path

import numpy as np
import tf_keras as keras
from reproduction import arguments, axes, echo, keep, markdown, resumed, save

import vae_tf

ROWS = {  # scale of the Gaussian; published bound on -log p(x) after 10 epochs
    "unit": (1.0, 740.5),
    "beta": (0.1, -796.2),
    "shared": ("optimal", -896.1),
    "per_pixel": ("per_pixel", -2895.0),
}
SHAPE, LATENT_DIM, BATCH = (28, 28, 1), 20, 128
COLUMNS = (1, 2, 5, 10)


def build(scale, *, filters=(32, 64), hidden=512):
    """The VAE: two convolutions, a dense layer, and their mirror image; silu, and a mean in (0, 1) by a sigmoid."""
    keras.utils.set_random_seed(0)
    posterior = vae_tf.posteriors.DiagonalNormal(LATENT_DIM)
    likelihood = vae_tf.likelihoods.Gaussian(SHAPE, scale=scale)
    vae = vae_tf.VAE(
        vae_tf.networks.conv_encoder(SHAPE, posterior, filters=filters, hidden=hidden, activation="silu"),
        decoder(likelihood, filters, hidden),
        vae_tf.priors.StandardNormal(LATENT_DIM),
    )
    vae.compile(keras.optimizers.Adam(1e-3), steps_per_execution=32)
    return vae


def decoder(likelihood, filters, hidden):
    """`[B, 20]` -> p(x|z): the last convolution makes the mean; for "per_pixel" a second one beside it makes sigma."""
    up = {"kernel_size": 4, "strides": 2, "padding": "same"}
    z = keras.Input((LATENT_DIM,), name="z")
    h = keras.layers.Dense(hidden, activation="silu")(z)
    h = keras.layers.Dense(7 * 7 * filters[1], activation="silu")(h)
    h = keras.layers.Reshape((7, 7, filters[1]))(h)
    h = keras.layers.Conv2DTranspose(filters[0], activation="silu", **up)(h)
    outputs = keras.layers.Conv2DTranspose(1, activation="sigmoid", **up)(h)
    if likelihood.get_config()["scale"] == "per_pixel":
        outputs = keras.layers.Concatenate()([outputs, keras.layers.Conv2DTranspose(1, **up)(h)])
    return keras.Model(z, likelihood(outputs), name="decoder")


def residual(vae, x):
    """sqrt of the mean of (x - E[x|z])^2 over x and one z ~ q(z|x) each."""
    squared = [np.mean((vae(x[i : i + 1000]).mean() - x[i : i + 1000]) ** 2) for i in range(0, len(x), 1000)]
    return float(np.sqrt(np.mean(squared)))


def train(row, epochs, *, images=60_000, test_images=10_000, batch=BATCH, folder=None, echo=lambda line: None, **sizes):
    """Trains the VAE of a row for so many epochs in all; returns its history, one entry an epoch.

    An entry has the epoch, -ELBO and KL of the test images and -ELBO of the training images (nats per example), sigma
    (for "per_pixel" its mean over pixels), the residual of 10,000 training images, and the seconds since the start.
    """
    x_train, x_test = vae_tf.data.load("mnist")
    x_train, x_test = x_train[:images], x_test[:test_images]
    vae, history = resumed(folder, row) or (build(ROWS[row][0], **sizes), [])
    while len(history) < epochs:
        start = time.perf_counter()
        logs = vae.fit(x_train, batch_size=batch, validation_data=x_test, verbose=0).history
        history.append(
            {
                "epoch": len(history) + 1,
                "test": logs["val_loss"][-1],
                "rate": logs["val_rate"][-1],
                "train": logs["loss"][-1],
                "sigma": float(np.mean(vae.likelihood.scale)),
                "residual": residual(vae, x_train[:10_000]),
                "seconds": time.perf_counter() - start + (history[-1]["seconds"] if history else 0.0),
            }
        )
        echo(f"{row}: " + ", ".join(f"{name} {value:.5g}" for name, value in history[-1].items()))
        keep(folder, row, vae, history)
    return history


def table(histories):
    """Test -ELBO of each row after some epochs, as Markdown."""
    epochs = [epoch for epoch in COLUMNS if epoch <= max(map(len, histories.values()))]
    rows = []
    for row, history in histories.items():
        last, losses = history[-1], {entry["epoch"]: f"{entry['test']:.1f}" for entry in history}
        scale = f"{last['rate']:.1f}", f"{last['sigma']:.4f}", f"{last['residual']:.4f}"
        rows.append((row, ROWS[row][1], *(losses.get(epoch, "") for epoch in epochs), *scale, f"{last['seconds']:.0f}"))
    columns = " | ".join(f"epoch {epoch}" for epoch in epochs)
    return markdown(f"row | published, 10 epochs | {columns} | KL | sigma | residual | s", rows)


def draw(histories, path):
    """Test -ELBO by epoch: all rows, and beside them the two that are close; published values as crosses."""
    close = [row for row in ("beta", "shared") if row in histories]
    panels = [list(histories), *([close] if len(close) == 2 else [])]
    figure, parts = axes(len(panels), xlabel="epoch", ylabel="test -ELBO (nats per example)")
    for rows, ax in zip(panels, np.atleast_1d(parts), strict=True):
        for row in rows:
            line = [entry["test"] for entry in histories[row]]
            (drawn,) = ax.plot(range(1, len(line) + 1), line, "o-", color=f"C{list(ROWS).index(row)}", label=row)
            ax.plot(10, ROWS[row][1], "x", color=drawn.get_color(), markersize=9)
    figure.suptitle("What sigma is worth on MNIST; crosses are published")
    save(figure, path)


def main():
    parser = arguments(__doc__, "sigma_vae.png")
    parser.add_argument("--epochs", type=int, help="of each row; 10 by default with --full, else 2")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--folder", type=Path, help="keeps the models here, and goes on with those that are there")
    options = parser.parse_args()
    epochs, images = (10, 60_000) if options.full else (2, 10_000)
    rest = {"images": images, "folder": options.folder, "echo": echo}
    histories = {row: train(row, options.epochs or epochs, **rest) for row in options.rows}
    echo(f"\n{table(histories)}")
    draw(histories, options.picture)


if __name__ == "__main__":
    main()
