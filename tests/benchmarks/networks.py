"""Test ELBO of networks at equal seconds of the CPU: those of `networks.for_data` beside plain ones.

    OMP_NUM_THREADS=1 python tests/benchmarks/networks.py --seeds 3

Every model has 8 latents, a diagonal normal posterior, a Gaussian, and Adam at 1e-3 with batches of 32, as `vae-tf
train` has by default. "plain" is what that built before there was `for_data`: 512-512, relu, one optimal sigma, data
as they are. A model trains until its process has used so many seconds of CPU time since its first steps (which compile
it), in one thread; contenders take turns, seed by seed. Reported: the median and the range over seeds of the test ELBO
in nats per example, the examples seen, and the mean of 500 samples as a ratio to the mean of the data (the median over
columns, of a table).
"""

import argparse
import os
import platform
import statistics
import time

import numpy as np
import tensorflow as tf
import tf_keras as keras
from sklearn import datasets
from tabulate import tabulate

import vae_tf
from vae_tf import likelihoods, networks, posteriors, priors

LATENT_DIM, BATCH = 8, 32


def shuffled(x, test):
    x = x[np.random.default_rng(0).permutation(len(x))].astype(np.float32)
    return x[:-test], x[-test:]


def patches():
    """32 x 32 colour patches of scikit-learn's two photographs: the right fifth of each is for testing."""
    parts = []
    for image in datasets.load_sample_images().images:
        cut = 4 * image.shape[1] // 5
        for side, step in ((image[:, :cut], 16), (image[:, cut:], 16)):
            rows, columns = (range(0, size - 31, step) for size in side.shape[:2])
            parts.append(np.stack([side[i : i + 32, j : j + 32] for i in rows for j in columns]) / 255)
    return np.concatenate(parts[::2]).astype(np.float32), np.concatenate(parts[1::2]).astype(np.float32)


def images(name):
    train, test = vae_tf.data.load(name)
    return train, test[:2000]


DATA = {
    "mnist": (lambda: images("mnist"), 20.0),
    "patches": (patches, 20.0),
    "digits": (lambda: images("digits"), 8.0),
    "wine": (lambda: shuffled(datasets.load_wine().data, 36), 4.0),
    "breast_cancer": (lambda: shuffled(datasets.load_breast_cancer().data, 114), 4.0),
}
"""By name: training and test data, and seconds of the CPU."""


def plain(x, network="mlp"):
    encoder, decoder = getattr(networks, f"{network}_encoder"), getattr(networks, f"{network}_decoder")
    shape = x.shape[1:]
    return encoder(shape, posteriors.DiagonalNormal(LATENT_DIM)), decoder(LATENT_DIM, likelihoods.Gaussian(shape))


CONTENDERS = {
    "plain": plain,
    "for_data": lambda x: networks.for_data(x, LATENT_DIM),
    "plain, conv": lambda x: plain(x, "conv"),
    "for_data, mlp": lambda x: networks.for_data(x, LATENT_DIM, network="mlp"),
    "for_data, conv": lambda x: networks.for_data(x, LATENT_DIM, network="conv"),
}


class Until(keras.callbacks.Callback):
    """Stops training after so many seconds of the CPU since the first steps."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds, self.start = seconds, None

    def on_train_batch_end(self, batch, logs=None):
        now = time.process_time()
        self.start = now if self.start is None else self.start
        if now - self.start > self.seconds:
            self.model.stop_training = True


def measure(make, data, seconds, seed):
    train, test = data
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    vae = vae_tf.VAE(*make(train), priors.StandardNormal(LATENT_DIM), seed=seed)
    vae.compile(keras.optimizers.Adam(1e-3), steps_per_execution=16)
    steps = min(160, -(-len(train) // BATCH))  # Keras stops at the end of what it takes for an epoch
    until = Until(seconds)
    vae.fit(train, batch_size=BATCH, epochs=10**6, steps_per_epoch=steps, callbacks=[until], verbose=0)
    elbo = vae.evaluate(test, batch_size=500, verbose=0, return_dict=True)["elbo"]
    mean = vae.sample(500, seed=0, observation_noise=False).mean(axis=0)
    brightness = mean.mean() / train.mean() if train.ndim == 4 else np.median(mean / train.mean(axis=0))
    return elbo, int(vae.steps_done) * BATCH, float(brightness)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS)[:2])
    parser.add_argument("--seconds", type=float, default=1.0, help="factor of the seconds of each set")
    arguments = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}")
    rows = []
    for name in arguments.data:
        make_data, seconds = DATA[name]
        data, seconds = make_data(), arguments.seconds * seconds
        results = {contender: [] for contender in arguments.contenders}
        for seed in range(arguments.seeds):
            for contender, found in results.items():
                found.append(measure(CONTENDERS[contender], data, seconds, seed))
                print(f"# {name}, {contender}, seed {seed}: {found[-1]}", flush=True)
        for contender, found in results.items():
            elbos, seen, brightness = zip(*found, strict=True)
            spread = f"{statistics.median(elbos):.1f} ({min(elbos):.1f} to {max(elbos):.1f})"
            means = f"{statistics.median(brightness):.2f} ({min(brightness):.2f} to {max(brightness):.2f})"
            rows.append((name, f"{seconds:g}", contender, spread, f"{statistics.median(seen):,.0f}", means))
    columns = ("data", "CPU s", "networks", "test ELBO, nats (range)", "examples seen", "mean of samples / of data")
    print(tabulate(rows, columns, tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()
