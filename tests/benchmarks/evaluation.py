"""Throughput of `evaluation.log_likelihood` beside matrix products alone and beside a loop over images, in one run.

    pip install -e ".[benchmark]" && python tests/benchmarks/evaluation.py

The model: 784-512-512-32 and its mirror image, float32, random weights; random images; 5,000 draws of z for each.
The call of `log_likelihood` is timed whole, the tracing of its graph included.
"Matrix products alone" multiplies the decoder's three layers at the batch size at which they are evaluated, and
nothing else. The loops, over a sixteenth of the images, do what Pythae's `get_nll` does: for each image, for each
100 draws, encode that many copies of the image, draw, decode and keep log w; then logsumexp. They have the same
weights. A round is each contender in turn, so that a machine that slows down slows all of them.
"""

import argparse
import math
import os
import platform
import statistics
import time

import numpy as np
import tensorflow as tf
import tf_keras as keras
import torch

import vae_tf
from vae_tf import evaluation

SHAPE, LATENTS, HIDDEN, DRAWS, LOOP_BATCH = (28, 28, 1), 32, 512, 5000, 100
CHUNK = 4096  # the default of a likelihood of one parameter for each dimension
LAYERS = [(LATENTS, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, 784)]
ENCODER = [(784, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, 2 * LATENTS)]
LIKELIHOODS = {
    "Gaussian": lambda: vae_tf.likelihoods.Gaussian(SHAPE, scale="optimal"),
    "Bernoulli": lambda: vae_tf.likelihoods.Bernoulli(SHAPE),
}


def model(likelihood):
    keras.utils.set_random_seed(0)
    return vae_tf.VAE(
        vae_tf.networks.mlp_encoder(SHAPE, vae_tf.posteriors.DiagonalNormal(LATENTS)),
        vae_tf.networks.mlp_decoder(LATENTS, likelihood),
        vae_tf.priors.StandardNormal(LATENTS),
    )


def flops(images):
    """Of the matrix products: the decoder for each draw, the encoder for each image."""
    return 2 * images * (DRAWS * sum(a * b for a, b in LAYERS) + sum(a * b for a, b in ENCODER))


def matrix_products(images):
    pieces = images * -(-DRAWS // CHUNK)
    batch = images * DRAWS // pieces
    inputs = [tf.random.normal((batch, a)) for a, _ in LAYERS]
    weights = [tf.random.normal((a, b)) for a, b in LAYERS]

    @tf.function
    def multiply():
        return [tf.matmul(x, w) for x, w in zip(inputs, weights, strict=True)]

    def run():
        for _ in range(pieces):
            products = multiply()
        products[-1].numpy()
        return [math.nan]

    return run


def ours(vae, x):
    return lambda: evaluation.log_likelihood(vae, x, DRAWS, progress=False).values


def tensorflow_loop(vae, x):
    def run():
        values = []
        for image in x:
            log_weights = []
            for _ in range(DRAWS // LOOP_BATCH):
                copies = tf.repeat(image[None], LOOP_BATCH, axis=0)
                q = vae.encoder(copies)
                z = q.sample()
                p = vae.decoder(z)
                log_weights.append(p.log_prob(copies) + vae.prior.log_prob(z) - q.log_prob(z))
            values.append(float(tf.reduce_logsumexp(tf.concat(log_weights, 0))) - math.log(DRAWS))
        return values

    return run


def pytorch_loop(vae, x, family):
    nn, distributions = torch.nn, torch.distributions

    def network(weights):
        layers = []
        for kernel, bias in zip(weights[::2], weights[1::2], strict=True):
            linear = nn.Linear(*kernel.shape)
            linear.weight.data, linear.bias.data = torch.from_numpy(kernel.T.copy()), torch.from_numpy(bias)
            layers += [linear, nn.ReLU()]
        return nn.Sequential(*layers[:-1])

    encoder = network(vae.encoder.get_weights())
    decoder = network([v.numpy() for layer in vae.decoder.layers[:-1] for v in layer.variables])
    images = torch.from_numpy(x.reshape(len(x), -1))
    prior = distributions.Normal(0.0, 1.0)

    @torch.no_grad()
    def run():
        values = []
        for image in images:
            log_weights = []
            for _ in range(DRAWS // LOOP_BATCH):
                copies = image.expand(LOOP_BATCH, -1)
                loc, raw = encoder(copies).chunk(2, dim=-1)
                q = distributions.Normal(loc, nn.functional.softplus(raw) + 1e-5, validate_args=False)
                z = q.sample()
                out = decoder(z)
                if family == "Gaussian":
                    log_p = distributions.Normal(out, 1.0, validate_args=False).log_prob(copies)
                else:
                    log_p = -nn.functional.binary_cross_entropy_with_logits(out, copies, reduction="none")
                log_weights.append(log_p.sum(-1) + (prior.log_prob(z) - q.log_prob(z)).sum(-1))
            values.append(float(torch.logsumexp(torch.cat(log_weights), 0)) - math.log(DRAWS))
        return values

    return run


def measure(family, images, rounds):
    """One row for each contender."""
    vae, few = model(LIKELIHOODS[family]()), max(1, images // 16)
    x = (np.random.default_rng(0).random((images, *SHAPE)) > 0.5).astype(np.float32)
    contenders = {
        "vae_tf": (ours(vae, x), images),
        "matrix products alone": (matrix_products(images), images),
        "loop over images, TensorFlow": (tensorflow_loop(vae, x[:few]), few),
        "loop over images, PyTorch": (pytorch_loop(vae, x[:few], family), few),
    }
    values = {name: np.mean(run()[:few]) for name, (run, _) in contenders.items()}  # and warms up
    seconds = {name: [] for name in contenders}  # an image
    for _ in range(rounds):
        for name, (run, count) in contenders.items():
            start = time.perf_counter()
            run()
            seconds[name].append((time.perf_counter() - start) / count)
    for name, times in seconds.items():
        ratios = [theirs / own for theirs, own in zip(times, seconds["vae_tf"], strict=True)]
        median = statistics.median(times)
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        value = "" if math.isnan(values[name]) else f"{values[name]:.2f}"
        rates = f"{DRAWS / median:,.0f} | {flops(1) / median / 1e9:.0f}"
        print(f"| {family} | {name} | {rates} | {spread} | {value} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--images", type=int, default=64)
    arguments = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}\n")
    print("| likelihood | contender | draws/s (median) | GFLOP/s | time / vae_tf, median (range) | log p(x), nats |")
    print("|---|---|---|---|---|---|")
    for family in LIKELIHOODS:
        measure(family, arguments.images, arguments.rounds)
    print("\nThe share of the matrix-product rate is the ratio in the row of the matrix products.")


if __name__ == "__main__":
    main()
