"""Held-out log-likelihood of counts of genes, beside scvi-tools: the same cells, widths, epochs and minibatches.

The cells are simulated, from two batches that no model is told of. Every model scores a held-out cell by the same
estimator, log((1/K) sum_k w_k) with log w = log p(x|z, library) + log p(z) - log q(z|x) at K draws z ~ q(z|x), the
library being the cell's own total in both libraries (a plug-in score). scvi-tools runs in an environment of its own:

    python3 -m venv scvi && scvi/bin/pip install scvi-tools
    python tests/benchmarks/counts.py --scvi scvi/bin/python
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import tf_keras as keras

import vae_tf
from vae_tf import evaluation, likelihoods, networks, posteriors, priors

PEER = pathlib.Path(__file__).with_name("counts_scvi.py")
MODELS = {
    "vae_tf, negative binomial, standardised": (likelihoods.NegativeBinomial, "log1p", True),
    "vae_tf, zero-inflated, standardised": (likelihoods.ZeroInflatedNegativeBinomial, "log1p", True),
    "vae_tf, negative binomial": (likelihoods.NegativeBinomial, "log1p", False),
    "vae_tf, negative binomial, raw counts": (likelihoods.NegativeBinomial, None, False),
}
"""The likelihood, the transform before the encoder, and whether both networks are told the data's mean and scale."""


def ours(x_train, x_test, options, seed):
    """A row for each of our models."""
    for name, (likelihood, transform, standardised) in MODELS.items():
        keras.utils.set_random_seed(seed)
        genes, latents = x_train.shape[1], options.latent_dim
        shared = {"hidden": (options.width,), "standardise": x_train if standardised else None}
        vae = vae_tf.VAE(
            networks.mlp_encoder((genes,), posteriors.DiagonalNormal(latents), transform=transform, **shared),
            networks.mlp_decoder(latents, likelihood((genes,), library_size=True), **shared),
            priors.StandardNormal(latents),
            seed=seed,
        )
        vae.compile(keras.optimizers.Adam(options.learning_rate), steps_per_execution=8)
        start = time.perf_counter()
        vae.fit(x_train, batch_size=options.batch_size, epochs=options.epochs, verbose=0)
        seconds = time.perf_counter() - start
        score = evaluation.log_likelihood(vae, x_test, options.draws, seed=seed, progress=False).values.mean()
        rate = vae.evaluate(x_test, batch_size=len(x_test), verbose=0)[2]
        yield {"model": name, "score": float(score), "rate": float(rate), "seconds": seconds}


def theirs(arrays, options, seed):
    """A row for each model of scvi-tools, from the script beside this one."""
    keys = ("latent_dim", "width", "batch_size", "epochs", "learning_rate", "draws")
    arguments = json.dumps({key: getattr(options, key) for key in keys} | {"seed": seed})
    command = [options.scvi, PEER, arrays, arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield from (json.loads(line) for line in process.stdout if line.startswith("{"))
    if process.returncode:
        raise SystemExit(f"{PEER.name} ended with code {process.returncode}")


def table(rows):
    """The rows of several seeds as a table: mean over seeds, and the range."""
    yield "| model | held-out log-likelihood, nats per cell: mean (range) | KL, nats | seconds |"
    yield "|---|---|---|---|"
    for name in dict.fromkeys(row["model"] for row in rows):
        scores, rates, seconds = (
            np.array([row[key] for row in rows if row["model"] == name]) for key in ("score", "rate", "seconds")
        )
        spread = f"{scores.mean():.2f} ({scores.min():.2f} to {scores.max():.2f})"
        yield f"| {name} | {spread} | {rates.mean():.1f} | {np.median(seconds):.0f} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scvi", help="Python of an environment with scvi-tools; without it only vae_tf is measured.")
    parser.add_argument("--cells", type=int, default=2000, help="Cells; the last fifth is held out.")
    parser.add_argument("--genes", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--width", type=int, default=128, help="Width of the one hidden layer of each network.")
    parser.add_argument("--latent-dim", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--draws", type=int, default=200, help="Draws of z for each held-out cell.")
    options = parser.parse_args()
    truth = vae_tf.data.simulate_counts(options.cells, options.genes)
    x, cut = truth.counts.astype(np.float32), options.cells * 4 // 5
    print(f"The truth, told type, batch and expected total: {truth.log_prob()[cut:].mean():.2f} nats per held-out cell")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        arrays = pathlib.Path(folder, "counts.npz")
        np.savez(arrays, train=x[:cut], test=x[cut:])
        for seed in range(options.seeds):
            peers = theirs(arrays, options, seed) if options.scvi else ()
            for models in (ours(x[:cut], x[cut:], options, seed), peers):
                for row in models:
                    rows.append(row)
                    print(seed, row, file=sys.stderr, flush=True)
    print(*table(rows), sep="\n")


if __name__ == "__main__":
    main()
