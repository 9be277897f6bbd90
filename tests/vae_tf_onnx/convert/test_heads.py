"""Every posterior and prior, and the linear VAE, do in the runtime what they do in TensorFlow."""

import cases
import numpy as np
import pytest
from scipy import stats

import vae_tf
from vae_tf_onnx import Decoder, Encoder, export, verify


def exported(vae, folder):
    """The bundle of a model, replayed."""
    bundle = export(vae, folder / "bundle")
    errors = verify(bundle)
    assert max(errors.values()) < 1e-5
    return bundle


@pytest.mark.parametrize("name", cases.POSTERIORS)
def test_posterior(make_vae, tmp_path, name, digits):
    vae = make_vae(posterior=cases.POSTERIORS[name])
    encoder = Encoder(exported(vae, tmp_path))
    x = digits[1][:17]
    noise = np.random.default_rng(0).standard_normal((17, 4), dtype=np.float32)
    z, log_q = vae.posterior.draw(noise, vae.posterior.parameters_of(vae.encoder(x)))
    received = encoder.draw(x, noise)
    np.testing.assert_allclose(received[0], z, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(received[1], log_q, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(encoder.encode(x), vae.encode(x), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(encoder.sample(x, seed=3), encoder.sample(x, seed=3))
    with pytest.raises(ValueError, match="noise: expected shape"):
        encoder.draw(x, noise[:3])


@pytest.mark.parametrize("name", cases.PRIORS)
def test_prior(make_vae, tmp_path, name):
    posterior = cases.posteriors.FullCovarianceNormal if name == "vamp_full" else cases.posteriors.DiagonalNormal
    vae = make_vae(prior=cases.prior_of(name), posterior=posterior)
    decoder = Decoder(exported(vae, tmp_path))
    for noise in (True, False):
        expected = vae.sample(300, seed=5, observation_noise=noise)  # more than one chunk
        received = decoder.sample(300, seed=5, observation_noise=noise)
        np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-5)


def test_linear_vae(tmp_path):
    """Its exact posterior mean and log p(x|z) survive the export."""
    vae = vae_tf.LinearVAE(3, (2, 3), scale=0.4)
    rng = np.random.default_rng(0)
    for weight in vae.trainable_variables:
        weight.assign(rng.normal(scale=0.5, size=weight.shape))
    vae.compile("adam")
    bundle = exported(vae, tmp_path)
    x = rng.normal(size=(5, 2, 3)).astype(np.float32)
    weights, _ = vae.linear_encoder
    z = (x.reshape(5, 6) - vae.linear_gaussian.mean) @ weights.T
    np.testing.assert_allclose(Encoder(bundle).encode(x), z, rtol=1e-4, atol=1e-5)
    mean = z @ vae.linear_gaussian.loadings.T + vae.linear_gaussian.mean
    np.testing.assert_allclose(Decoder(bundle).decode(z.astype(np.float32)).reshape(5, 6), mean, rtol=1e-4, atol=1e-5)
    expected = stats.norm.logpdf(x.reshape(5, 6), mean, 0.4).sum(axis=1)
    np.testing.assert_allclose(Decoder(bundle).log_prob(x, z.astype(np.float32)), expected, rtol=1e-4)
