"""A sigma that maximises what is trained: running, under IWAE, and by `VAE.calibrate`."""

import numpy as np
import pytest
import tf_keras as keras
from tiny import X, tiny_vae

from vae_tf import likelihoods, objectives


def noisy(count=4000):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(count, 1))
    return (np.concatenate([np.sin(2 * z), np.cos(2 * z), z, -z], axis=1) + 0.3 * rng.normal(size=(count, 4))).astype(
        np.float32
    )


@pytest.mark.integration
def test_under_iwae_an_optimal_sigma_maximises_the_bound():
    """At the sigma that training settles at, the importance-weighted bound is flat in sigma."""
    data = noisy(1000)
    vae = tiny_vae(objective=objectives.IWAE(16), likelihood=likelihoods.Gaussian((4,), decay=0.99))
    vae.fit(data, batch_size=100, epochs=30, verbose=0)
    vae.calibrate(data, num_samples=16)
    sigma = float(vae.likelihood.scale)

    def loss(factor):
        fixed = tiny_vae(objective=objectives.IWAE(16), likelihood=likelihoods.Gaussian((4,), scale=factor * sigma))
        fixed.encoder.set_weights(vae.encoder.get_weights())
        fixed.decoder.layers[0].set_weights(vae.decoder.layers[0].get_weights())
        fixed.decoder.layers[1].set_weights(vae.decoder.layers[1].get_weights())
        return np.mean([fixed.evaluate(data, verbose=0, batch_size=1000)[0] for _ in range(3)])

    losses = {factor: loss(factor) for factor in (0.93, 1.0, 1.07)}
    assert losses[1.0] == min(losses.values())


@pytest.mark.integration
def test_calibrate_sets_sigma_to_the_residual_without_dropout():
    L = keras.layers

    def decoder(likelihood):
        return keras.Sequential([L.InputLayer((2,)), L.Dense(32, "relu"), L.Dropout(0.3), L.Dense(4), likelihood])

    data, held_out = noisy(2000), noisy(3000)[2000:]
    vae = tiny_vae(decoder=decoder)
    vae.fit(data, batch_size=100, epochs=10, verbose=0)
    trained = float(vae.likelihood.scale)
    before = vae.evaluate(data, verbose=0, return_dict=True)["elbo"]
    vae.calibrate(data)
    sigma = float(vae.likelihood.scale)
    z = vae.encoder(data).sample(seed=1)
    residual = np.sqrt(np.mean((data - vae.decode(z)) ** 2))
    assert sigma == pytest.approx(residual, rel=0.02)
    assert trained > 1.02 * sigma
    assert vae.evaluate(data, verbose=0, return_dict=True)["elbo"] > before
    vae.calibrate(data, batch_size=7)
    assert float(vae.likelihood.scale) == pytest.approx(sigma, rel=1e-5)
    vae.calibrate(held_out)
    assert float(vae.likelihood.scale) != pytest.approx(sigma, rel=1e-4)


def test_calibrate_refuses_a_scale_that_is_not_set():
    with pytest.raises(ValueError, match=r"expected .* received"):
        tiny_vae(likelihoods.Gaussian((4,), scale=0.3)).calibrate(X)
    with pytest.raises(ValueError, match=r"expected .* received"):
        tiny_vae(likelihoods.Bernoulli((4,))).calibrate((X > 0.5).astype(np.float32))


@pytest.mark.integration
def test_calibrate_maximises_the_objective_whatever_the_draws():
    """More draws sharpen the estimate of the same bound, that of two draws."""
    vae = tiny_vae(objective=objectives.IWAE(2))
    vae.fit(X, epochs=20, verbose=0)
    vae.calibrate(X, num_samples=200)
    many = float(vae.likelihood.scale)
    vae.calibrate(X, num_samples=2)
    assert many == pytest.approx(float(vae.likelihood.scale), rel=0.02)
