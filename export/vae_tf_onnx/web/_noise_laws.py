"""The laws of the noise that a page samples, which are those of the families in numpy."""

from __future__ import annotations

from typing import Any

from vae_tf_onnx.bundle import Bundle

PRIOR_NOISE = {
    "FlowPrior": "normal",
    "MixtureOfNormals": "mixture",
    "StandardNormal": "normal",
    "VampPrior": "mixture",
}
"""The law of a prior's noise, as page/random.js calls it; see families.PRIORS."""
OBSERVATION_NOISE = {
    "Bernoulli": "uniform",
    "Categorical": "uniform",
    "ContinuousBernoulli": "uniform",
    "DiscretizedLogistic": "uniform",
    "Gaussian": "normal",
    "Laplace": "laplace",
    "MixtureOfLogistics": "uniform",
    "StudentT": "student_t",
}
"""The law of a likelihood's noise, as page/random.js calls it. No graph makes counts of noise: they are missing."""


def noise_facts(bundle: Bundle) -> dict[str, Any]:
    """The laws of the noise of z and of x (None if there is none), and a note on each for the page."""
    prior, likelihood = bundle.manifest["prior"].get("family"), bundle.manifest["likelihood"]
    has_prior = prior in PRIOR_NOISE and (prior == "StandardNormal" or bundle.holds("prior"))
    has_noise = bundle.holds("observation") and likelihood.get("family") in OBSERVATION_NOISE
    return {
        "prior_noise": PRIOR_NOISE[prior] if has_prior else None,
        "prior_note": f"z from {prior}. Choose one to move there." if has_prior else _no_prior(prior),
        "observation": _law(likelihood) if has_noise else None,
        "observation_note": "" if has_noise else _no_noise(likelihood.get("family")),
    }


def _law(likelihood: dict[str, Any]) -> dict[str, Any]:
    df = likelihood.get("parameters", {}).get("df")
    return {"law": OBSERVATION_NOISE[likelihood["family"]]} | ({} if df is None else {"df": float(df)})


def _no_prior(prior: str | None) -> str:
    return "Not available: the model states no prior." if prior is None else f"Not available for the prior {prior}."


def _no_noise(family: str | None) -> str:
    if family is None:
        return "Not available: the model states no likelihood, so its noise is unknown."
    if family not in OBSERVATION_NOISE:
        return f"Not available: samples of {family} come from Python."
    return "Not available: the bundle has no observation graph. Export it again."
