"""A likelihood's scale as card and page describe it, against vae_tf's definitions."""

import math
import re

import pytest

vae_tf = pytest.importorskip("vae_tf", reason="the definitions are those of vae_tf, which is not installed")

from vae_tf_onnx import card  # noqa: E402
from vae_tf_onnx._scale import scale_of  # noqa: E402

MODES = ("learned", "optimal", "per_dimension", "per_pixel", 0.25)
FAMILIES = [
    ("Gaussian", {}),
    ("Gaussian", {"quantised": True}),
    ("Laplace", {}),
    ("Laplace", {"quantised": True}),
    ("StudentT", {"df": 1.5}),
    ("StudentT", {"df": 2.0}),
    ("StudentT", {"df": 3.0}),
]


def described(layer):
    equivalence = layer.equivalence()
    config = {key: value for key, value in layer.get_config().items() if key != "name"}
    stated = None if equivalence is None else vars(equivalence)
    return {"family": type(layer).__name__, "parameters": config, "equivalence": stated}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("family", "arguments"), FAMILIES)
def test_families_with_a_location_and_a_scale(family, arguments, mode):
    layer = getattr(vae_tf.likelihoods, family)((2, 2, 1), scale=mode, **arguments)
    likelihood = described(layer)
    scale = scale_of(likelihood)
    deviation = float(layer.standard().stddev())
    assert scale.deviation == pytest.approx(deviation, rel=1e-6)
    assert scale.rounded == (layer.measure == "mass")
    assert (scale.symbol == "sigma") == (deviation == 1)
    text = " ".join(card.scale_lines(likelihood, 4))
    assert ("1/(2 sigma^2)" in text) == (family == "Gaussian" and not scale.rounded)
    assert ("1/b" in text) == (family == "Laplace" and not scale.rounded)
    assert ("before it is rounded to levels" in text) == scale.rounded
    assert ("No pointwise loss is -log p(x|z)" in text) == (likelihood["equivalence"] is None)
    assert ("between dimensions of x" in text) == (mode == "per_dimension")
    assert ("between dimensions and with z" in text) == (mode == "per_pixel")
    assert ("infinite" in text) == math.isinf(deviation)
    if mode == 0.25 and family != "StudentT":
        assert f"{scale.symbol} = 0.25" in text
    if likelihood["equivalence"] is not None:
        value = float(layer.scale)
        assert f"{scale.symbol} = {value:.4g}" in text
        assert f"= {likelihood['equivalence']['scale_factor']:.4g}" in text


def test_the_standard_deviation_of_student_s_t_in_numbers():
    text = card.scale_lines(described(vae_tf.likelihoods.StudentT((2, 2, 1), df=3.0)), 4)[0]
    (factor,) = re.findall(r"= ([\d.]+) scale", text)
    assert float(factor) == pytest.approx(math.sqrt(3), rel=1e-3)


def test_the_logistic_is_its_own_scale():
    layer = vae_tf.likelihoods.DiscretizedLogistic((2, 2, 1), levels=256)
    scale = scale_of(described(layer))
    assert scale.deviation == pytest.approx(math.pi / math.sqrt(3))
    assert (scale.symbol, scale.rounded, scale.mode) == ("scale", True, "per_pixel")


@pytest.mark.parametrize(
    "family",
    ["Bernoulli", "ContinuousBernoulli", "Categorical", "Poisson", "NegativeBinomial", "ZeroInflatedNegativeBinomial"],
)
def test_families_without_a_scale(family):
    likelihood = described(getattr(vae_tf.likelihoods, family)((2, 2, 1)))
    assert scale_of(likelihood) is None
    assert re.search("there is no sigma|There is no one sigma", card.scale_lines(likelihood, 4)[0])
