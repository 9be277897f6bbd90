"""The facts about a model in the manifest: its scores, and what its latents carry."""

import cases
import numpy as np
import pytest
from models import SHAPE

import vae_tf
from vae_tf_onnx import export
from vae_tf_onnx.bundle import EXAMPLES, open_bundle
from vae_tf_onnx.convert import _arguments, _model_facts


def test_scores_and_examples_of_data(fitted, complete, digits):
    x = digits[1]
    manifest = open_bundle(complete).manifest
    assert manifest["data"] == "digits"
    scores = manifest["evaluation"]
    assert scores["num_examples"] == len(x)
    assert scores["elbo"] == pytest.approx(-scores["distortion"] - scores["rate"])
    q = fitted.encoder(x)
    assert scores["rate"] == pytest.approx(float(np.mean(fitted.prior.closed_form(q))), rel=1e-5)
    exact = vae_tf.evaluation.elbo(fitted, x, num_samples=50, progress=False)
    # one sample of z for each of 297 examples: the standard error of their mean, seven times
    spread = float(np.std([np.mean(fitted.terms(x, seed=100 + i).distortion) for i in range(20)]))
    assert scores["elbo"] == pytest.approx(exact.mean, abs=7 * spread)
    mean, scale = q.mean().numpy(), q.stddev().numpy()
    latents = manifest["latents"]
    assert latents["source"] == "x"
    assert latents["kl_is_exact"]
    kl = 0.5 * (scale**2 + mean**2 - 1 - 2 * np.log(scale)).mean(axis=0)
    np.testing.assert_allclose(latents["kl"], kl, rtol=1e-4)
    np.testing.assert_allclose(latents["mean"], mean.mean(axis=0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(latents["scale"], np.sqrt((scale**2).mean(axis=0) + mean.var(axis=0)), rtol=1e-4)
    with np.load(complete / EXAMPLES) as examples:
        assert len(examples["x"]) == len(examples["z"]) == 32
        np.testing.assert_array_equal(examples["x"][[0, -1]], x[[0, -1]])
        np.testing.assert_allclose(examples["z"], fitted.encode(examples["x"]), rtol=1e-5, atol=1e-6)


def test_without_data_the_model_speaks_of_its_own_samples(exported):
    folder = exported()
    manifest = open_bundle(folder).manifest
    assert manifest["evaluation"] is None
    assert manifest["data"] is None
    assert manifest["latents"]["source"] == "samples of the model"
    with np.load(folder / EXAMPLES) as examples:
        assert examples["x"].shape == (32, *SHAPE)


def test_few_examples(fitted, digits, tmp_path):
    folder = export(fitted, tmp_path / "bundle", x=digits[1][:3])
    with np.load(folder / EXAMPLES) as examples:
        np.testing.assert_array_equal(examples["x"], digits[1][:3])


@pytest.mark.parametrize(("posterior", "prior"), [("diagonal", "mixture"), ("flow", "standard_normal")])
def test_latents_without_a_closed_form(make_vae, digits, tmp_path, posterior, prior):
    """Normals with the moments of q and p stand in: against moments of 4,000 samples, whose error is below 5 %."""
    vae = make_vae(posterior=cases.POSTERIORS[posterior], prior=cases.PRIORS[prior])
    x = digits[1][:8]
    latents = open_bundle(export(vae, tmp_path / "bundle", x=x)).manifest["latents"]
    assert not latents["kl_is_exact"]
    q = vae.encoder(x).sample(4000).numpy()
    p = vae.prior.distribution().sample(4000).numpy()
    ratio = q.var(axis=0) / p.var(axis=0)
    kl = 0.5 * (ratio - 1 - np.log(ratio) + (q.mean(axis=0) - p.mean(axis=0)) ** 2 / p.var(axis=0))
    np.testing.assert_allclose(latents["kl"], kl.mean(axis=0), rtol=0.2, atol=0.05)
    np.testing.assert_allclose(latents["mean"], q.mean(axis=(0, 1)), atol=0.1)
    np.testing.assert_allclose(latents["scale"], q.std(axis=(0, 1)), rtol=0.1)


def test_lazy_images_are_scored_as_arrays(fitted, digits, monkeypatch):
    monkeypatch.setattr("vae_tf_onnx.convert._model_facts._SCORED", 100)
    lazy = vae_tf.data.load("digits", in_memory=False)[1]
    assert _arguments.data(fitted, lazy) is lazy
    assert _model_facts.evaluation(fitted, lazy) == _model_facts.evaluation(fitted, digits[1])
    assert _model_facts.latents(fitted, lazy, "x") == _model_facts.latents(fitted, digits[1], "x")
    with pytest.raises(ValueError, match=r"x: expected shape \[n, 8, 8, 1\], received \[297, 4, 4, 1\]"):
        _arguments.data(fitted, _Small())


class _Small(vae_tf.data.LazyImages):
    """Images of another size."""

    def __init__(self):
        super().__init__((297, 4, 4, 1))

    def _read(self, numbers):
        return np.zeros((len(numbers), 4, 4, 1), np.float32)
