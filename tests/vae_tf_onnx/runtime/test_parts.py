"""The likelihood and the prior that a bundle states, or does not."""

import numpy as np
import pytest
from handmade import latents, means

from vae_tf_onnx import BundleError, Decoder


def test_a_decoder_without_a_likelihood(unstated):
    decoder, z = Decoder(unstated), latents(3)
    np.testing.assert_allclose(decoder.decode(z), means(z), rtol=1e-4, atol=1e-6)
    with pytest.raises(BundleError, match="expected a likelihood, received none: a Keras decoder states none"):
        decoder.log_prob(means(z), z)
    with pytest.raises(BundleError, match="expected a prior, received none"):
        decoder.sample(3)


@pytest.mark.parametrize("part", ["likelihood", "prior"])
def test_unknown_family(make_bundle, edit_manifest, part):
    folder = make_bundle()
    edit_manifest(folder, lambda manifest: manifest.update({part: {"family": "Cauchy"}}))
    with pytest.raises(BundleError, match=f"expected a {part} of .*received 'Cauchy'. Upgrade"):
        Decoder(folder)
