"""Throughput of `VAE.fit` beside a hand-written Keras 3 loop (TensorFlow) and a PyTorch loop, in one run.

    pip install -e ".[benchmark]" && python tests/benchmarks/training.py

The same model everywhere: 784-512-512-32 and its mirror image, one trained sigma, batch 128, Adam 1e-3,
float32, 30,000 random images. Each contender lives in a process of its own and waits while another works; a
round is two epochs of each (one call of `fit`), in turn, so that a machine that slows down slows all of them.
Reported: images per second in the median round, and the median over rounds of the ratio to ours.
"""

import argparse
import math
import multiprocessing
import os
import platform
import statistics
import time

import numpy as np
from tabulate import tabulate

BATCH, IMAGES, EPOCHS = 128, 30_000, 2


def images():
    return np.random.default_rng(0).random((IMAGES, 28, 28, 1), np.float32)


def ours(steps_per_execution):
    import tf_keras as keras

    import vae_tf

    keras.utils.set_random_seed(0)
    vae = vae_tf.VAE(
        vae_tf.networks.mlp_encoder((28, 28, 1), vae_tf.posteriors.DiagonalNormal(32)),
        vae_tf.networks.mlp_decoder(32, vae_tf.likelihoods.Gaussian((28, 28, 1), scale="learned")),
        vae_tf.priors.StandardNormal(32),
    )
    vae.compile(keras.optimizers.Adam(1e-3), steps_per_execution=steps_per_execution)
    x = images()
    return lambda: vae.fit(x, batch_size=BATCH, epochs=EPOCHS, verbose=0)


def keras3(jit_compile):
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    dense = keras.layers.Dense
    encoder = keras.Sequential([keras.Input((784,)), dense(512, "relu"), dense(512, "relu"), dense(64)])
    decoder = keras.Sequential([keras.Input((32,)), dense(512, "relu"), dense(512, "relu"), dense(784)])
    log_sigma = keras.Variable(0.0)
    optimizer = keras.optimizers.Adam(1e-3)
    weights = [*encoder.trainable_variables, *decoder.trainable_variables, log_sigma]
    optimizer.build(weights)

    @tf.function(jit_compile=jit_compile)
    def step(x):
        with tf.GradientTape() as tape:
            loc, raw = tf.split(encoder(x, training=True), 2, axis=-1)
            scale = tf.nn.softplus(raw) + 1e-5
            mean = decoder(loc + scale * tf.random.normal(tf.shape(loc)), training=True)
            kl = 0.5 * tf.reduce_sum(loc**2 + scale**2 - 1 - 2 * tf.math.log(scale), axis=-1)
            sigma = tf.exp(log_sigma.value)
            error = tf.reduce_sum(((x - mean) / sigma) ** 2, axis=-1) / 2
            loss = tf.reduce_mean(error + 784 * (log_sigma.value + 0.5 * math.log(2 * math.pi)) + kl)
        optimizer.apply(tape.gradient(loss, [w.value for w in weights]), weights)
        return loss

    x, rng = images().reshape(-1, 784), np.random.default_rng(0)

    def epoch():
        order = rng.permutation(IMAGES)
        loss = 0.0
        for i in range(0, IMAGES, BATCH):
            loss += step(tf.convert_to_tensor(x[order[i : i + BATCH]]))
        return float(loss)

    return lambda: [epoch() for _ in range(EPOCHS)]


def pytorch():
    import torch
    from torch import nn
    from torch.distributions import Normal, kl_divergence

    torch.manual_seed(0)
    relu = nn.ReLU
    encoder = nn.Sequential(nn.Linear(784, 512), relu(), nn.Linear(512, 512), relu(), nn.Linear(512, 64))
    decoder = nn.Sequential(nn.Linear(32, 512), relu(), nn.Linear(512, 512), relu(), nn.Linear(512, 784))
    log_sigma = nn.Parameter(torch.zeros(()))
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters(), log_sigma], lr=1e-3)
    prior = Normal(0.0, 1.0)
    x = torch.from_numpy(images().reshape(-1, 784))

    def epoch():
        total = 0.0
        for index in torch.randperm(IMAGES).split(BATCH):
            batch = x[index]
            loc, raw = encoder(batch).chunk(2, dim=-1)
            q = Normal(loc, nn.functional.softplus(raw) + 1e-5, validate_args=False)
            p = Normal(decoder(q.rsample()), log_sigma.exp(), validate_args=False)
            loss = (kl_divergence(q, prior).sum(-1) - p.log_prob(batch).sum(-1)).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            total += loss.detach()
        return float(total)

    return lambda: [epoch() for _ in range(EPOCHS)]


CONTENDERS = {
    "vae_tf, fit, steps_per_execution=32": (ours, 32),
    "vae_tf, fit, as compiled by default": (ours, 1),
    "Keras 3 on TensorFlow, own loop": (keras3, False),
    "Keras 3 on TensorFlow, own loop, jit_compile": (keras3, True),
    "PyTorch, own loop": (pytorch,),
}


def work(connection, make, *arguments):
    """Builds a contender, then runs its epochs and reports its seconds whenever it is asked."""
    run = make(*arguments)
    run()  # compiles
    connection.send("ready")
    while connection.recv():
        start = time.perf_counter()
        run()
        connection.send(time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    context = multiprocessing.get_context("spawn")
    peers = {}
    for name, (make, *arguments) in CONTENDERS.items():
        here, there = context.Pipe()
        process = context.Process(target=work, args=(there, make, *arguments), daemon=True)
        process.start()
        here.recv()
        peers[name] = here
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}")
    seconds = {name: [] for name in peers}
    for _ in range(rounds):
        for name, connection in peers.items():
            connection.send(True)
            seconds[name].append(connection.recv())
    first, *_ = seconds
    rows = []
    for name, times in seconds.items():
        ratios = [theirs / mine for theirs, mine in zip(times, seconds[first], strict=True)]
        rates = [f"{EPOCHS * IMAGES / time:,.0f}" for time in (statistics.median(times), min(times))]
        rows.append((name, *rates, f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"))
    columns = ("contender", "images/s (median)", "fastest round", "vae_tf / contender, median of rounds (range)")
    print(tabulate(rows, columns, tablefmt="github", disable_numparse=True))
    for connection in peers.values():
        connection.send(False)


if __name__ == "__main__":
    main()
