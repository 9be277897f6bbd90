"""Gaussian and Bernoulli: the pointwise losses they are, how sigma is found, and what they refuse."""

import numpy as np
import pytest
from models import SHAPE, make_likelihood, raw_inputs

import vae_tf
from vae_tf.likelihoods import Bernoulli, Gaussian


@pytest.mark.parametrize("name", [0.3, 1.0, 7e-4, "learned", "optimal", "bernoulli"])
def test_equivalence_is_the_log_prob(name):
    likelihood = make_likelihood(name)
    rng = np.random.default_rng(1)
    if name == "optimal":
        likelihood.update(likelihood(raw_inputs(likelihood)), rng.random((5, *SHAPE), np.float32))
    p = likelihood(raw_inputs(likelihood))
    x = (rng.random((5, *SHAPE)) < 0.5).astype(np.float32)
    equivalence = likelihood.equivalence()
    mean = p.mean().numpy().astype(np.float64)
    if equivalence.loss == "bce":
        pointwise = -(x * np.log(mean) + (1 - x) * np.log1p(-mean)).sum(axis=(1, 2, 3))
    else:
        pointwise = ((x - mean) ** 2).sum(axis=(1, 2, 3))
    expected = equivalence.scale_factor * pointwise + equivalence.constant
    np.testing.assert_allclose(-p.log_prob(x).numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["per_dimension", "per_pixel"])
def test_no_equivalence_where_dimensions_weigh_differently(name):
    assert make_likelihood(name).equivalence() is None


@pytest.mark.parametrize("scale", [0, -1.0, float("nan"), float("inf"), True, None, "best", [1.0]])
def test_bad_scales(scale):
    with pytest.raises(ValueError, match=r"scale: expected .* received"):
        Gaussian(SHAPE, scale=scale)


@pytest.mark.parametrize("shape", [(), (8, 0, 1), (8, -1), (8.5,), "88", 0, True, None])
def test_bad_shapes(shape):
    with pytest.raises(ValueError, match="event_shape: expected"):
        Gaussian(shape, scale=1.0)


@pytest.mark.parametrize(
    ("shape", "remedy"),
    [
        ((None, 2), r"received \(None, 2\)\. Leave out the batch axis: event_shape=\(2,\)"),
        ((None, 8, 8, 1), r"Leave out the batch axis: event_shape=\(8, 8, 1\)"),
        ((8, None, 1), "Every size must be known"),
        ((8, 0), r"received \(8, 0\)\. Pass the shape of one example"),
    ],
)
def test_the_remedy_for_a_shape(shape, remedy):
    for make in (Gaussian, Bernoulli):
        with pytest.raises(ValueError, match=f"event_shape: expected whole numbers of at least 1 .*{remedy}"):
            make(shape)
    with pytest.raises(ValueError, match=f"event_shape: expected .*{remedy}"):
        vae_tf.networks.mlp_encoder(shape, vae_tf.posteriors.DiagonalNormal(2))


def test_a_number_of_dimensions_is_a_shape():
    likelihood = Gaussian(13)
    assert likelihood.event_shape == Gaussian(np.int64(13)).event_shape == (13,)
    assert Gaussian.from_config(likelihood.get_config()).event_shape == (13,)
    assert vae_tf.likelihoods.StudentT(13, df=3.0).event_shape == (13,)
    assert vae_tf.LinearVAE(2, 13).event_shape == (13,)
    encoder = vae_tf.networks.mlp_encoder(13, vae_tf.posteriors.DiagonalNormal(2), hidden=(4,))
    assert encoder.input_shape == (None, 13)
    with pytest.raises(ValueError, match="convolutional network"):
        vae_tf.networks.conv_encoder(13, vae_tf.posteriors.DiagonalNormal(2))


def test_too_few_network_outputs():
    with pytest.raises(ValueError, match=r"expected \(8, 8, 2\) numbers per example \(128\), received \(64,\)"):
        Gaussian(SHAPE, scale="per_pixel")(np.zeros((2, 64), np.float32))


@pytest.mark.parametrize("decay", [-0.1, 1.0, float("nan")])
def test_bad_decay(decay):
    with pytest.raises(ValueError, match="decay: expected a number in"):
        Gaussian(SHAPE, decay=decay)
