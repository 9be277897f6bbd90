"""Fully connected networks: what they end in, and widths that are none."""

import pytest

from vae_tf import likelihoods, networks, posteriors


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: networks.mlp_encoder(4, posteriors.DiagonalNormal), "posterior: .* received the class DiagonalNormal"),
        (lambda: networks.mlp_encoder(4, 2), "posterior: expected a distribution layer of vae_tf, received 2"),
        (lambda: networks.mlp_decoder(2, likelihoods.Gaussian), "likelihood: .* received the class Gaussian"),
        (lambda: networks.conv_encoder((8, 8, 1), 2), "posterior: expected a distribution layer"),
        (lambda: networks.conv_decoder(2, None), "likelihood: expected a distribution layer"),
        (lambda: networks.mlp_decoder(2, likelihoods.Gaussian(4), hidden=8), r"hidden: .* Pass hidden=\(8,\)"),
    ],
)
def test_what_is_no_layer_or_width_is_refused(make, message):
    with pytest.raises(TypeError, match=message):
        make()


def test_a_network_ends_in_its_layer():
    likelihood = likelihoods.Gaussian(4)
    decoder = networks.mlp_decoder(2, likelihood, hidden=(8, 6))
    assert decoder.layers[-1] is likelihood
    assert [layer.units for layer in decoder.layers[:-1]] == [8, 6, 4]
