"""The laws of a page's noise."""

from vae_tf_onnx import families
from vae_tf_onnx.web._noise_laws import OBSERVATION_NOISE, PRIOR_NOISE

COUNTS = {"NegativeBinomial", "Poisson", "ZeroInflatedNegativeBinomial"}


def test_every_family_has_its_noise():
    assert set(OBSERVATION_NOISE) == set(families.LIKELIHOODS) - COUNTS
    assert set(PRIOR_NOISE) == set(families.PRIORS)
