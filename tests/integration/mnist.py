"""MNIST: the optimal sigma against a learned one, with the step of Adam and with twenty times that.

    python tests/integration/mnist.py --epochs 12

Draws the three curves of the README, and prints a line an epoch: test -ELBO (nats per example), sigma, and the
residuals at z ~ q(z|x) of all training and test images. (Those of MNIST's test images are 1.3 % smaller: they are the
easier ones.) MNIST comes from $VAE_TF_DATA_DIR, or is downloaded.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras as keras

import vae_tf

BATCH, LATENT_DIM = 128, 32
PICTURE = Path(__file__).parents[2] / ".github" / "images" / "optimal_vs_learned.png"


CURVES = {"optimal": {"scale": "optimal"}, "learned": {"scale": "learned"}} | {
    "learned, 20 times the step": {"scale": "learned", "learning_rate_multiplier": 20}
}
"""The scales that are compared, by the name of their curve."""


def build(**scale):
    """784-512-512-32 and its mirror; Adam 1e-3, seed 0."""
    keras.utils.set_random_seed(0)
    vae = vae_tf.VAE(
        vae_tf.networks.mlp_encoder((28, 28, 1), vae_tf.posteriors.DiagonalNormal(LATENT_DIM)),
        vae_tf.networks.mlp_decoder(LATENT_DIM, vae_tf.likelihoods.Gaussian((28, 28, 1), **scale)),
        vae_tf.priors.StandardNormal(LATENT_DIM),
    )
    vae.compile(keras.optimizers.Adam(1e-3), steps_per_execution=32)
    return vae


def train(curve, epochs, echo=lambda line: None):
    """Trains on the 60,000 images; returns the VAE and its history, with the residuals of all images in it."""
    x_train, x_test = vae_tf.data.load("mnist")
    vae = build(**CURVES[curve])
    seconds = [time.perf_counter()]

    def end(epoch, logs):
        logs["train_rmse"] = residual(vae, x_train)
        logs["val_rmse"] = residual(vae, x_test)
        seconds.append(time.perf_counter())
        residuals = f"training {logs['train_rmse']:.5f}, test {logs['val_rmse']:.5f}"
        echo(
            f"{curve}: epoch {epoch + 1:3}  test -ELBO {logs['val_loss']:9.2f}  sigma {logs['sigma']:.5f}"
            f"  residual: {residuals}  {seconds[-1] - seconds[-2]:.0f} s"
        )

    recorder = keras.callbacks.LambdaCallback(on_epoch_end=end)
    callbacks = [vae_tf.callbacks.MSEEquivalence(), recorder]
    vae.fit(x_train, batch_size=BATCH, epochs=epochs, validation_data=x_test, callbacks=callbacks, verbose=0)
    return vae, vae.history.history


def residual(vae, x):
    """sqrt of the mean of (x - E[x|z])^2 over x and one z ~ q(z|x) each."""
    parts = [np.mean((vae(x[i : i + 1000]).mean() - x[i : i + 1000]) ** 2) for i in range(0, len(x), 1000)]
    return float(np.sqrt(np.mean(parts)))


def incoming_residual(vae, x, batches=50):
    """sqrt of the mean squared residual of batches, each measured just before the step that trains on it."""
    order = np.random.default_rng(1).permutation(len(x))
    step = tf.function(lambda batch: vae.train_step((batch,)))
    squared = []
    for i in range(batches):
        batch = x[order[i * BATCH : (i + 1) * BATCH]]
        squared.append(np.mean((vae(batch).mean() - batch) ** 2))
        step(tf.constant(batch))
    return float(np.sqrt(np.mean(squared)))


def draw(histories):
    """The README's picture: test -ELBO and sigma by epoch."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for curve, history in histories.items():
        epochs = range(1, len(history["val_loss"]) + 1)
        left.plot(epochs, history["val_loss"], marker="o", label=curve)
        right.plot(epochs, history["sigma"], marker="o", label=f"sigma, {curve}")
    right.plot(epochs, histories["optimal"]["train_rmse"], "k:", label="residual of the training images (optimal)")
    left.set(xlabel="epoch", ylabel="test -ELBO (nats per example)", title="What is minimised: lower is better")
    right.set(
        xlabel="epoch", ylabel="sigma (units of the data)", title="sigma is the residual, or chases it", yscale="log"
    )
    right.yaxis.set_major_formatter("{x:g}")
    right.yaxis.set_minor_formatter("{x:g}")
    for ax in (left, right):
        ax.legend(frameon=False)
        ax.spines[["top", "right"]].set_visible(False)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=12)
    epochs = parser.parse_args().epochs
    draw({curve: train(curve, epochs, print)[1] for curve in CURVES})


if __name__ == "__main__":
    main()
