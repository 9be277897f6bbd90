"""A VAE of four numbers, which trains in a second, and its data."""

import numpy as np
import tf_keras as keras

import vae_tf
from vae_tf import likelihoods, networks, posteriors, priors

X = np.random.default_rng(0).random((96, 4)).astype(np.float32)


def tiny_vae(likelihood=None, objective=None, *, learning_rate=1e-2, decoder=None, seed=0, **compile_arguments):
    """A compiled VAE of 4 dimensions and 2 latents."""
    keras.utils.set_random_seed(seed)
    likelihood = likelihood or likelihoods.Gaussian((4,), scale="optimal")
    vae = vae_tf.VAE(
        networks.mlp_encoder((4,), posteriors.DiagonalNormal(2), hidden=(16,)),
        decoder(likelihood) if decoder else networks.mlp_decoder(2, likelihood, hidden=(16,)),
        priors.StandardNormal(2),
        objective,
        seed=seed,
    )
    vae.compile(keras.optimizers.Adam(learning_rate), **compile_arguments)
    return vae


class Again:
    """One VAE that starts anew as often as it is asked for: compiling it each time would take the time of the tests."""

    def __init__(self, make=tiny_vae):
        self.vae = make()
        self.vae.optimizer.build(self.vae.trainable_variables)
        self.first = [variable.numpy() for variable in self._variables()]

    def _variables(self):
        return [*self.vae.weights, *self.vae.optimizer.variables, self.vae.steps_done]

    def __call__(self):
        """The VAE in its first state."""
        for variable, value in zip(self._variables(), self.first, strict=True):
            variable.assign(value)
        return self.vae
