"""The pair of networks that `for_data` chooses."""

import numpy as np
import pytest
import tf_keras as keras

import vae_tf
from vae_tf import likelihoods, networks, posteriors, priors

RNG = np.random.default_rng(0)
DIGITS = RNG.integers(0, 2, (50, 8, 9, 1)).astype(np.float32)
PHOTOS = RNG.beta(3, 4, (50, 16, 8, 3)).astype(np.float32)
TABLE = RNG.normal(size=(50, 3)) * [1e-3, 1, 1e6]


def kinds(model):
    return {type(layer).__name__ for layer in model.layers}


@pytest.mark.parametrize(
    ("x", "network", "convolutions", "sigmoid"),
    [
        (DIGITS, "auto", True, True),
        (DIGITS, "mlp", False, True),
        (DIGITS[:, :7], "auto", False, True),
        (DIGITS[:, :7], "conv", True, True),
        (2 * DIGITS, "auto", True, False),
        (PHOTOS, "auto", True, False),
        (TABLE, "auto", False, False),
        (np.rint(RNG.random((50, 6))), "auto", False, False),
    ],
)
def test_networks_go_by_the_shape_and_the_values_of_the_data(x, network, convolutions, sigmoid):
    encoder, decoder = networks.for_data(x, 2, network=network)
    assert ("Conv2D" in kinds(encoder)) == ("Conv2DTranspose" in kinds(decoder)) == convolutions
    assert ("SigmoidMean" in kinds(decoder)) == sigmoid
    mean = np.array(decoder(np.zeros((1, 2), np.float32)).mean())[0]
    assert np.abs(mean - x.mean(axis=0)).max() < 0.05 * x.std()
    scale = decoder.layers[-1].get_config()["scale"]
    assert scale == ("per_dimension" if x.ndim == 2 else "optimal")


def test_a_likelihood_and_a_posterior_may_be_chosen():
    x = np.rint(255 * PHOTOS)
    likelihood = likelihoods.DiscretizedLogistic(x.shape[1:])
    encoder, decoder = networks.for_data(x, 3, likelihood=likelihood, posterior=posteriors.FullCovarianceNormal(3))
    assert decoder.layers[-1] is likelihood
    assert isinstance(encoder.layers[-1], posteriors.FullCovarianceNormal)
    assert "SigmoidMean" not in kinds(decoder)


def test_the_pair_trains_on_a_table_of_all_units():
    keras.utils.set_random_seed(0)
    vae = vae_tf.VAE(*networks.for_data(TABLE, 2), priors.StandardNormal(2))
    vae.compile()
    logs = vae.fit(TABLE, epochs=3, verbose=0).history
    baseline = -np.sum(np.log(TABLE.std(axis=0)) + 0.5 * np.log(2 * np.pi * np.e))
    assert logs["elbo"][-1] > baseline - 1, "independent normals are the start"


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="network: expected one of 'auto', 'mlp', 'conv'"):
        networks.for_data(DIGITS, 2, network="cnn")
    with pytest.raises(ValueError, match=r"x: expected examples of shape \(4,\)"):
        networks.for_data(TABLE, 2, likelihood=likelihoods.Gaussian(4))
    with pytest.raises(ValueError, match=r"convolutional network: expected \(H, W, C\)"):
        networks.for_data(TABLE, 2, network="conv")
    with pytest.raises(TypeError, match="x: expected"):
        networks.for_data(None, 2)
