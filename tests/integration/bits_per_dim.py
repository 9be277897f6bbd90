"""Every likelihood for grey images on MNIST in one unit: test bits per dimension.

    python tests/integration/bits_per_dim.py --epochs 5 --images 10000     # the committed table
    python tests/integration/bits_per_dim.py --epochs 30 --images 60000

One network (the convolutional pair of vae_tf.networks, 20 latents, Adam 1e-3, batch 128, seed 0) and one number: an
upper bound of -log2 P(image) / 784, from the importance-weighted bound with 100 draws. A density is trained and scored
on (k + u) / 256 with u uniform, and 8 bits per dimension are added; a mass is trained and scored on the levels k / 255
themselves. MNIST comes from $VAE_TF_DATA_DIR, or is downloaded.
"""

import argparse
import time

import numpy as np
import tf_keras as keras

import vae_tf
from vae_tf import evaluation, likelihoods

SHAPE, LATENT_DIM, BATCH = (28, 28, 1), 20, 128
MODELS = {
    "Gaussian, sigma = 1": lambda: likelihoods.Gaussian(SHAPE, scale=1.0),
    "Gaussian, sigma learned": lambda: likelihoods.Gaussian(SHAPE, scale="learned"),
    "Gaussian, sigma optimal": lambda: likelihoods.Gaussian(SHAPE, scale="optimal"),
    "Gaussian, sigma per pixel": lambda: likelihoods.Gaussian(SHAPE, scale="per_pixel"),
    "Gaussian, sigma optimal, quantised": lambda: likelihoods.Gaussian(SHAPE, quantised=True, levels=256),
    "Laplace, b optimal": lambda: likelihoods.Laplace(SHAPE, scale="optimal"),
    "Laplace, b optimal, quantised": lambda: likelihoods.Laplace(SHAPE, quantised=True, levels=256),
    "continuous Bernoulli": lambda: likelihoods.ContinuousBernoulli(SHAPE),
    "discretised logistic": lambda: likelihoods.DiscretizedLogistic(SHAPE, levels=256),
    "mixture of 5 logistics": lambda: likelihoods.MixtureOfLogistics(SHAPE, components=5, levels=256),
    "categorical": lambda: likelihoods.Categorical(SHAPE, levels=256),
}


def train(make, x, epochs):
    keras.utils.set_random_seed(0)
    likelihood = make()
    vae = vae_tf.VAE(
        vae_tf.networks.conv_encoder(SHAPE, vae_tf.posteriors.DiagonalNormal(LATENT_DIM)),
        vae_tf.networks.conv_decoder(LATENT_DIM, likelihood),
        vae_tf.priors.StandardNormal(LATENT_DIM),
    )
    vae.compile(keras.optimizers.Adam(1e-3), steps_per_execution=16)
    if likelihood.measure == "density":
        x = ((255 * x + np.random.default_rng(0).random(x.shape)) / 256).astype(np.float32)
    vae.fit(x, batch_size=BATCH, epochs=epochs, verbose=0)
    return vae


def table(epochs, *, names=tuple(MODELS), train_images=60000, test_images=1000, echo=lambda line: None):
    """The comparison over the models of these names."""
    x_train, x_test = vae_tf.data.load("mnist")
    estimates = {}
    for name in names:
        start = time.perf_counter()
        vae = train(MODELS[name], x_train[:train_images], epochs)
        estimates[name] = evaluation.bits_per_dim(vae, x_test[:test_images], num_samples=100)
        echo(f"{name}: {estimates[name]}, {time.perf_counter() - start:.0f} s")
    return evaluation.tabulate(estimates)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--images", type=int, default=10000, help="of the training set, from its beginning")
    arguments, start = parser.parse_args(), time.perf_counter()
    comparison = table(arguments.epochs, train_images=arguments.images, echo=lambda line: print(line, flush=True))
    print(f"\n{comparison.markdown()}\n\n{time.perf_counter() - start:.0f} s in all")


if __name__ == "__main__":
    main()
