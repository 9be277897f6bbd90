"""The runtime against numpy, on graphs whose values are known."""

import re
import subprocess
import sys

import numpy as np
import pytest
from handmade import EVENT_SHAPE, LATENT_DIM, SIGMA, golden, weights
from paths import ROOT

from vae_tf_onnx import Decoder, Encoder, ParityError, verify
from vae_tf_onnx.verification import relative_error


@pytest.mark.parametrize("batch", [1, 3, 17])
def test_decode_and_encode(make_bundle, batch):
    folder = make_bundle()
    decode, encode = weights()
    z = np.random.default_rng(0).normal(size=(batch, LATENT_DIM))
    np.testing.assert_allclose(Decoder(folder).decode(z), (z @ decode).reshape(batch, *EVENT_SHAPE), rtol=1e-4)
    x = np.random.default_rng(0).random((batch, *EVENT_SHAPE))
    np.testing.assert_allclose(Encoder(folder).encode(x), x.reshape(batch, -1) @ encode, rtol=1e-4, atol=1e-5)
    assert Encoder(folder).parameters(x)["scale"].shape == (batch, LATENT_DIM)


@pytest.mark.parametrize("family", ["Gaussian", "Bernoulli"])
def test_log_prob(make_bundle, family):
    values = golden(family)
    received = Decoder(make_bundle(family)).log_prob(values["x"], values["z"])
    np.testing.assert_allclose(received, values["log_prob"], rtol=1e-5)


def test_sample_is_reproducible_and_has_the_law_of_the_model(make_bundle):
    decoder = Decoder(make_bundle())
    x, mean = (decoder.sample(3000, seed=2, observation_noise=noise) for noise in (True, False))
    np.testing.assert_array_equal(x, decoder.sample(3000, seed=2))
    # 24,000 residuals: standard error of the variance 0.9 %; six of them, p < 1e-8
    assert np.var(x - mean) == pytest.approx(SIGMA**2, rel=0.055)
    decode, _ = weights()
    covariance = np.cov(x.reshape(3000, -1).T)
    expected = decode.T @ decode + SIGMA**2 * np.eye(8)
    assert np.linalg.norm(covariance - expected) < 0.15 * np.linalg.norm(expected)


def test_bernoulli_samples_are_binary_with_the_right_mean(make_bundle):
    decoder = Decoder(make_bundle("Bernoulli"))
    x, mean = (decoder.sample(3000, seed=2, observation_noise=noise) for noise in (True, False))
    assert set(np.unique(x)) == {0.0, 1.0}
    assert np.mean(x - mean) == pytest.approx(0.0, abs=6 * 0.5 / np.sqrt(24000))


def test_verify(make_bundle):
    errors = verify(make_bundle())
    assert set(errors) == {"decoder/mean", "decoder/scale", "encoder/loc", "encoder/scale", "log_prob"}
    assert max(errors.values()) < 1e-5


def test_verify_fails_on_other_values(make_bundle, edit_manifest):
    """The golden set says 1e-4 more than the graph gives, under a valid checksum."""
    from vae_tf_onnx.bundle import GOLDEN, sha256

    folder = make_bundle()
    values = golden("Gaussian")
    values["encoder/loc"] = values["encoder/loc"] * (1 + 1e-4)
    np.savez(folder / GOLDEN, **values)
    checksum = sha256((folder / GOLDEN).read_bytes())
    edit_manifest(folder, lambda manifest: manifest["files"].update({GOLDEN: checksum}))
    with pytest.raises(
        ParityError, match="Parity of encoder/loc: expected a relative error of at most 1e-05"
    ) as caught:
        verify(folder)
    assert caught.value.tensor == "encoder/loc"
    assert caught.value.error == pytest.approx(1e-4, rel=0.1)
    assert caught.value.tolerance == 1e-5


def test_relative_error():
    assert relative_error(np.array([1.0, 2.0]), np.array([1.0, 4.0])) == 0.5
    assert relative_error(np.array([1.0]), np.array([1.0, 4.0])) == np.inf
    assert relative_error(np.array([np.nan]), np.array([1.0])) == np.inf
    assert relative_error(np.zeros(2), np.zeros(2)) == 0.0


def test_bad_input(make_bundle):
    decoder = Decoder(make_bundle())
    with pytest.raises(ValueError, match=r"z: expected shape \[B, 3\], received \[2, 4\]"):
        decoder.decode(np.zeros((2, 4)))
    with pytest.raises(ValueError, match=r"z: expected shape \[B, 3\], received \[\]"):
        decoder.decode(1.0)
    with pytest.raises(ValueError, match=r"x: expected shape \[2, 4, 2, 1\], received \[3, 4, 2, 1\]"):
        decoder.log_prob(np.zeros((3, *EVENT_SHAPE)), np.zeros((2, 3)))
    for count in (0, -1, 1.5, True):
        with pytest.raises(ValueError, match="num_samples: expected a whole number of at least 1"):
            decoder.sample(count)
    with pytest.raises(ValueError, match="seed: expected a whole number of at least 0"):
        decoder.sample(1, seed=-1)


def test_bernoulli_refuses_other_data(make_bundle):
    with pytest.raises(ValueError, match=r"Data for Bernoulli: expected values in \[0, 1\]"):
        Decoder(make_bundle("Bernoulli")).log_prob(np.full((1, *EVENT_SHAPE), 2.0), np.zeros((1, 3)))


def run_python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


HEAVY = """
import sys
heavy = {"tensorflow", "tf_keras", "vae_tf", "onnx", "tf2onnx"} & set(sys.modules)
sys.exit(str(heavy) if heavy else 0)
"""


def test_the_edge_never_imports_tensorflow(make_bundle):
    folder = make_bundle()
    use = f"import vae_tf_onnx as v, vae_tf_onnx.cli; v.Decoder({str(folder)!r}).sample(2); v.verify({str(folder)!r})"
    result = run_python(use + HEAVY)
    assert result.returncode == 0, result.stderr


def test_that_test_can_fail():
    result = run_python("import sys; sys.modules['tensorflow'] = sys; " + HEAVY)
    assert result.returncode == 1
    assert "tensorflow" in result.stderr


def test_public_names():
    import vae_tf_onnx

    assert set(vae_tf_onnx.__all__) <= set(dir(vae_tf_onnx))
    for name in set(vae_tf_onnx.__all__) - {"export", "export_keras"}:
        assert callable(getattr(vae_tf_onnx, name))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = vae_tf_onnx.nothing


def test_the_example_of_the_readme(make_bundle, monkeypatch):
    text = (ROOT / "export" / "README.md").read_text(encoding="utf-8")
    example = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)[0]
    monkeypatch.chdir(make_bundle().parent)
    names = {}
    exec(compile(example, "README.md", "exec"), names)
    assert names["images"].shape == names["means"].shape == (16, *EVENT_SHAPE)
    assert names["nats"].shape == (16,)
