"""VAE and IWAE on binarised MNIST: one row of Burda, Grosse, Salakhutdinov 2016 (arXiv 1509.00519, table 1).

    python tests/integration/iwae.py --num-samples 5 --epochs 80          # the short schedule
    python tests/integration/iwae.py --num-samples 1 50 --epochs 300      # towards the published one (3,280 passes)

50 latents, 784-200-200 tanh and its mirror, batch 100, Adam with a rate that falls from 3e-3 to 1e-5 along a cosine;
pixels are binarised anew in each pass. Prints the bounds
L_1 <= L_5 <= L_50 <= L_5000 of test images (binarised once) and how many latents are active. MNIST comes from
$VAE_TF_DATA_DIR, or is downloaded.
"""

import argparse
import time

import numpy as np
import tensorflow as tf
import tf_keras as keras

import vae_tf
from vae_tf import collapse, evaluation
from vae_tf.objectives import IWAE

SHAPE, LATENT_DIM, BATCH = (28, 28, 1), 50, 100
BOUNDS = (1, 5, 50, 5000)
PUBLISHED = {1: "86.76, 19 active", 5: "85.54, 22 active", 50: "84.78, 25 active"}


def build(num_samples, learning_rate):
    keras.utils.set_random_seed(0)
    shape = {"hidden": (200, 200), "activation": "tanh"}
    vae = vae_tf.VAE(
        vae_tf.networks.mlp_encoder(SHAPE, vae_tf.posteriors.DiagonalNormal(LATENT_DIM), **shape),
        vae_tf.networks.mlp_decoder(LATENT_DIM, vae_tf.likelihoods.Bernoulli(SHAPE), **shape),
        vae_tf.priors.StandardNormal(LATENT_DIM),
        IWAE(num_samples),
    )
    vae.compile(keras.optimizers.Adam(learning_rate), steps_per_execution=20)
    return vae


def binarised(x, seed=0):
    """Batches of images, each pixel 1 with its grey level as probability, drawn anew in each pass."""
    data = tf.data.Dataset.from_tensor_slices(x).shuffle(len(x), seed=seed).batch(BATCH)
    numbered = tf.data.Dataset.zip((tf.data.Dataset.random(seed=seed), data))

    def draw(number, batch):
        uniform = tf.random.stateless_uniform(tf.shape(batch), [seed, tf.cast(number % 2**31, tf.int32)])
        return tf.cast(uniform < batch, tf.float32)

    return numbered.map(draw).prefetch(2)


def run(num_samples, epochs, images=1000, echo=lambda line: None):
    """Trains; returns the bounds (mean and standard error, nats) and the number of active units."""
    x_train, x_test = vae_tf.data.load("mnist")
    steps = epochs * -(-len(x_train) // BATCH)
    schedule = keras.optimizers.schedules.CosineDecay(3e-3, steps, alpha=1 / 300)
    vae = build(num_samples, schedule)

    def end(epoch, logs):
        echo(f"epoch {epoch + 1}: training bound {-logs['loss']:.2f}, elbo {logs['elbo']:.2f}")

    vae.fit(binarised(x_train), epochs=epochs, verbose=0, callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=end)])
    x = (np.random.default_rng(1).random(x_test.shape) < x_test).astype(np.float32)[:images]
    bounds = {}
    for count in BOUNDS:
        estimate = evaluation.log_likelihood(vae, x, num_samples=count, seed=1)
        bounds[count] = (estimate.mean, estimate.standard_error)
        echo(f"L_{count} = {estimate.mean:.2f} +- {estimate.standard_error:.2f}")
    active = int(collapse.active_units(vae, x).sum())
    echo(f"{active} active units")
    return bounds, active


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-samples", type=int, nargs="+", default=[5])
    parser.add_argument("--epochs", type=int, default=80)
    parser.add_argument("--images", type=int, default=1000, help="test images")
    arguments = parser.parse_args()
    rows = []
    for count in arguments.num_samples:
        start = time.perf_counter()
        bounds, active = run(count, arguments.epochs, arguments.images, lambda line: print(line, flush=True))
        values = " | ".join(f"{mean:.2f} +- {error:.2f}" for mean, error in bounds.values())
        seconds = time.perf_counter() - start
        rows.append(f"| {count} | {values} | {active} | {PUBLISHED.get(count, '')} | {seconds:.0f} |")
    header = " | ".join(f"L_{count}" for count in BOUNDS)
    print(f"\n| trained with K | {header} | active units | published -L_5000 | s |\n|{'---|' * (len(BOUNDS) + 4)}")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
