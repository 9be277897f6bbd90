"""The page's bundle.json: facts that it shows, and manifests that cannot be."""

import numpy as np
import pytest
from web_bundles import change, read_facts

from vae_tf_onnx.bundle import EXAMPLES, BundleError


def test_facts(bundle):
    facts = read_facts(bundle)
    said = dict(facts["summary"])
    sigma, factor = said["\N{GREEK SMALL LETTER SIGMA}"], said["1/(2\N{GREEK SMALL LETTER SIGMA}²)"]
    assert (sigma, factor) == ("0.25 (optimal)", "8")
    assert (facts["scale_symbol"], facts["is_mse"]) == ("\N{GREEK SMALL LETTER SIGMA}", True)
    assert (said["ELBO"], said["Examples"]) == ("-12.3 nats", "1,234")
    assert said["Latents"] == "3 (2 in use)"
    latents = facts["latents"]
    assert latents["order"] == [1, 2, 0]
    np.testing.assert_allclose(latents["low"], [-2.9, -3.5, -2.4])
    np.testing.assert_allclose(latents["high"], [3.1, 3.1, 3.0])
    assert facts["display_range"] == [0.0, 1.0]
    assert facts["tolerance"] == 1e-5


def test_facts_of_a_manifest_that_says_little(make_bundle):
    facts = read_facts(make_bundle())
    assert facts["latents"]["kl"] is None
    assert (facts["latents"]["low"], facts["latents"]["high"]) == ([-3.0] * 3, [3.0] * 3)
    assert facts["examples"] is None
    assert facts["is_mse"] is False
    assert facts["observation"] is None
    assert "no observation graph" in facts["observation_note"]


def test_facts_of_a_model_that_states_no_likelihood(bundle):
    change(bundle, likelihood={"family": None}, prior={"family": None}, evaluation=None)
    facts = read_facts(bundle)
    assert dict(facts["summary"])["Likelihood"] == "unstated"
    assert facts["prior_noise"] is None
    assert facts["prior_note"] == "Not available: the model states no prior."
    assert facts["observation"] is None
    assert "states no likelihood" in facts["observation_note"]


def test_counts_are_drawn_in_python(bundle):
    change(bundle, likelihood={"family": "Poisson"}, data_range=[0.0, 2.0**24])
    facts = read_facts(bundle)
    assert facts["observation_note"] == "Not available: samples of Poisson come from Python."
    with np.load(bundle / EXAMPLES) as examples:
        assert facts["display_range"] == [0.0, max(1.0, examples["x"].max())], "not what the type can hold"


@pytest.mark.parametrize(
    "facts",
    [
        {"latents": {"kl": [1.0], "mean": [0.0] * 3, "scale": [1.0] * 3, "source": "x"}},
        {"latents": {"kl": None, "mean": [0.0] * 3, "scale": [0.0] * 3, "source": "x"}},
        {"latents": {"kl": None, "mean": ["a"] * 3, "scale": [1.0] * 3, "source": "x"}},
        {"latents": {"kl": None}},
        {"evaluation": {"elbo": 1.0}},
        {"evaluation": {"elbo": "much", "distortion": 1.0, "rate": 1.0, "num_examples": 1}},
        {"data_range": [0.0]},
        {"likelihood": {"family": "Gaussian", "equivalence": {"loss": "mse", "scale_factor": 0.0}}},
        {"likelihood": {"family": "Gaussian", "parameters": 3}},
    ],
)
def test_facts_that_cannot_be(bundle, facts):
    change(bundle, **facts)
    with pytest.raises(BundleError, match=r"Bundle .*: expected .*, received .* Export the model again"):
        read_facts(bundle)
