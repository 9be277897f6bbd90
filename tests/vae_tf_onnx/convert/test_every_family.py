"""Every likelihood, posterior and prior, with every graph: exported, checked, and compared with TensorFlow.

onnxruntime runs each graph by itself. Then the package's runtime decodes, encodes, samples, draws and scores. If the
variable VAE_TF_KEEP_BUNDLES names a folder, the bundles stay there, to be verified where TensorFlow is not.
"""

import os
import pathlib

import cases
import numpy as np
import onnx
import onnxruntime
import pytest
from scipy import stats

import vae_tf
from vae_tf_onnx import Decoder, Encoder, Reconstructor, Sampler, Scorer, export, verify
from vae_tf_onnx.bundle import GRAPHS
from vae_tf_onnx.convert._functions import ON_REQUEST
from vae_tf_onnx.verification import LOG_PROB_TOLERANCE, TOLERANCE

PLAIN = ("diagonal", "standard_normal")
MATRIX = {
    "gaussian_0.3": ("full_covariance", "standard_normal"),
    "gaussian_learned": ("flow", "standard_normal"),
    "gaussian_optimal": ("diagonal", "mixture"),
    "gaussian_per_dimension": ("diagonal", "flow"),
    "gaussian_per_pixel": ("full_covariance", "vamp_full"),
    "bernoulli": ("flow_of_five", "mixture"),
    "continuous_bernoulli": ("diagonal", "vamp"),
    "gaussian_quantised": PLAIN,
    "laplace_optimal": PLAIN,
    "laplace_per_pixel": PLAIN,
    "laplace_quantised": PLAIN,
    "student_t_optimal": PLAIN,
    "student_t_per_dimension": PLAIN,
    "discretized_logistic": PLAIN,
    "discretized_logistic_256": PLAIN,
    "discretized_logistic_2": PLAIN,
    "mixture_of_logistics": PLAIN,
    "categorical": PLAIN,
    "categorical_17": PLAIN,
    "poisson": PLAIN,
    "negative_binomial": PLAIN,
    "negative_binomial_network": ("full_covariance", "flow"),
    "negative_binomial_library": PLAIN,
    "zero_inflated": PLAIN,
    "zero_inflated_network": ("full_covariance", "standard_normal"),
    "zero_inflated_library": PLAIN,
}
"""Posterior and prior for each likelihood; all of them are names in cases.py."""
COUNTS = (
    vae_tf.likelihoods.Poisson,
    vae_tf.likelihoods.NegativeBinomial,
    vae_tf.likelihoods.ZeroInflatedNegativeBinomial,
)


def final(cls):
    """The classes below `cls` of the package that have no class below them."""
    children = [child for child in cls.__subclasses__() if child.__module__.startswith("vae_tf.")]
    return set().union(*map(final, children)) if children else {cls}


def test_every_family_is_in_the_matrix():
    likelihoods = {type(cases.LIKELIHOODS[name][0]()) for name in MATRIX}
    assert likelihoods == final(vae_tf.likelihoods.Likelihood)
    assert {posterior for posterior, _ in MATRIX.values()} == set(cases.POSTERIORS)
    assert {prior for _, prior in MATRIX.values()} == set(cases.PRIORS)
    assert {type(make(4)) for make in cases.POSTERIORS.values()} == final(vae_tf.posteriors.Posterior)
    assert {type(make(4)) for make in cases.PRIORS.values()} == final(vae_tf.priors.Prior)


def inputs_of(vae, names, batch):
    """Inputs of a graph: latents, data in the support, noise, and parameters that the decoder gives."""
    rng = np.random.default_rng(batch)
    z = rng.standard_normal((batch, vae.latent_dim), np.float32)
    parameters = decoder(vae, z=z)
    makers = {
        "z": lambda: z,
        "x": lambda: np.clip(vae.sample(batch, seed=batch), *vae.likelihood.data_range).astype(np.float32),
        "noise": lambda: rng.standard_normal((batch, vae.latent_dim), np.float32),
        "prior_noise": lambda: vae.prior.noise(rng, batch),
        "observation_noise": lambda: vae.likelihood.noise(rng, batch),
    }
    if names == ["noise"]:  # of the prior
        return {"noise": makers["prior_noise"]()}
    return {name: makers[name]() if name in makers else parameters[name] for name in names}


def decoder(vae, z):
    p = vae.decoder(z)
    mean = p.mean().numpy()
    parameters = {name: np.asarray(value) for name, value in vae.likelihood.parameters_of(p).items()}
    return {"mean": mean} | {
        name: value if value.ndim > mean.ndim else np.broadcast_to(value, mean.shape)
        for name, value in parameters.items()
    }


def encoder(vae, x):
    return vae.posterior.parameters_of(vae.encoder(x))


def prior(vae, noise):
    return {"z": vae.prior.from_noise(noise)}


def posterior(vae, x, noise):
    q = vae.encoder(x)
    z = vae.posterior.draw(noise, vae.posterior.parameters_of(q))[0]
    return {"z": z, "log_prob": q.log_prob(z)}


def observation(vae, observation_noise, **parameters):
    return {"x": vae.likelihood.observe(observation_noise, parameters)}


def sampler(vae, prior_noise, observation_noise=None):
    p = decoder(vae, vae.prior.from_noise(prior_noise))
    return p if observation_noise is None else observation(vae, observation_noise, **p)


def reconstructor(vae, x, noise):
    return {"mean": vae.decoder(posterior(vae, x, noise)["z"]).mean()}


def scorer(vae, x, noise):
    z = posterior(vae, x, noise)["z"]
    distortion = -vae.likelihood.given(vae.decoder(z), x).log_prob(x)
    q = vae.encoder(x)
    closed = vae.prior.closed_form(q)
    rate = q.log_prob(z) - vae.prior.log_prob(z) if closed is None else closed
    return {"elbo": -distortion - rate, "distortion": distortion, "rate": rate}


REFERENCES = {
    function.__name__: function
    for function in (decoder, encoder, prior, posterior, observation, sampler, reconstructor, scorer)
}


def compare(vae, graph, output, received, expected):
    expected = np.asarray(expected)
    assert received.shape == expected.shape
    assert np.isfinite(expected).all()
    if output == "x" and vae.likelihood.measure == "mass":
        # a uniform number within rounding of a step of the distribution function may fall on either side of it
        assert np.isclose(received, expected, rtol=1e-5, atol=1e-6).mean() >= 1 - 2 / expected.size
        return
    nats = output in ("elbo", "distortion", "rate", "log_prob")
    size = max(np.abs(expected).max(), 1.0 if nats else 0.0)
    assert np.abs(received - expected).max() <= (LOG_PROB_TOLERANCE if nats else TOLERANCE) * size, (graph, output)


def compare_decoder(vae, decoder):
    for batch in (1, 3, 17):
        z = np.random.default_rng(batch).normal(size=(batch, vae.latent_dim)).astype(np.float32)
        x = vae.sample(batch, seed=batch)
        p = vae.likelihood.given(vae.decoder(z), x)
        np.testing.assert_allclose(decoder.decode(z), vae.decode(z), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(decoder.log_prob(x, z), p.log_prob(x), rtol=1e-4, atol=1e-6)
        if not isinstance(vae.likelihood, COUNTS):
            received = decoder.sample(batch, seed=batch)
            # a uniform number within rounding of a step of the distribution function may fall on either side of it
            assert np.isclose(received, x, rtol=1e-4, atol=1e-5).mean() > 0.99
    if isinstance(vae.likelihood, COUNTS):
        compare_counts(decoder.sample(4000, seed=1), vae.sample(4000, seed=2))
    means = [model.sample(300, seed=5, observation_noise=False) for model in (decoder, vae)]  # more than one chunk
    np.testing.assert_allclose(*means, rtol=1e-4, atol=1e-5 * max(1, np.abs(means[1]).max()))


def compare_encoder(vae, encoder):
    x, noise = inputs_of(vae, ["x", "noise"], 17).values()
    expected_z, expected_log_q = vae.posterior.draw(noise, vae.posterior.parameters_of(vae.encoder(x)))
    z, log_q = encoder.draw(x, noise)
    np.testing.assert_allclose(z, expected_z, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(log_q, expected_log_q, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(encoder.encode(x), vae.encode(x), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(encoder.sample(x, seed=3), encoder.sample(x, seed=3))
    with pytest.raises(ValueError, match="noise: expected shape"):
        encoder.draw(x, noise[:3])


def compare_whole_model(vae, bundle):
    """Sampler, reconstructor and scorer give what decoder and model give."""
    x, noise = inputs_of(vae, ["x", "noise"], 17).values()
    scores = Scorer(bundle).score(x, noise)
    for name, expected in scorer(vae, x, noise).items():
        compare(vae, "scorer", name, getattr(scores, name), expected)
    compare(
        vae, "reconstructor", "mean", Reconstructor(bundle).reconstruct(x, noise), reconstructor(vae, x, noise)["mean"]
    )
    received, expected = (model(bundle).sample(300, seed=5) for model in (Sampler, Decoder))
    assert np.isclose(received, expected, rtol=1e-4, atol=1e-5).mean() > 0.99, "but for steps between two levels"


def compare_counts(received, expected):
    """Two samples of 256,000 counts of one law; Kolmogorov's test is conservative on counts (p > 1e-6)."""
    assert (received == np.rint(received)).all()
    assert stats.ks_2samp(received.ravel(), expected.ravel()).pvalue > 1e-6


@pytest.fixture
def place(tmp_path, request):
    kept = os.environ.get("VAE_TF_KEEP_BUNDLES")
    return pathlib.Path(kept) / request.node.callspec.id if kept else tmp_path / "bundle"


@pytest.mark.integration
@pytest.mark.parametrize("likelihood", MATRIX)
def test_all_graphs(make_vae, place, likelihood):
    latents = MATRIX[likelihood]
    vae = make_vae(
        cases.LIKELIHOODS[likelihood][0](), posterior=cases.POSTERIORS[latents[0]], prior=cases.prior_of(latents[1])
    )
    bundle = export(vae, place, graphs=ON_REQUEST)
    graphs = {path.parts[-3] for path in bundle.rglob("model.onnx")}
    expected = set(GRAPHS)
    expected -= {"prior"} if latents[1] == "standard_normal" else set()
    expected -= {"posterior"} if not latents[0].startswith("flow") else set()
    expected -= {"observation"} if isinstance(vae.likelihood, COUNTS) else set()
    assert graphs == expected
    for graph in graphs:
        path = bundle / GRAPHS[graph]
        onnx.checker.check_model(path, full_check=True)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        names, sources = [[value.name for value in values] for values in (session.get_outputs(), session.get_inputs())]
        for batch in (1, 3, 17):
            inputs = inputs_of(vae, sources, batch)
            reference = REFERENCES[graph](vae, **inputs)
            assert set(reference) == set(names)
            for name, received in zip(names, session.run(names, inputs), strict=True):
                compare(vae, graph, name, received, reference[name])
    assert max(verify(bundle).values()) < 1e-5
    compare_decoder(vae, Decoder(bundle))
    compare_encoder(vae, Encoder(bundle))
    compare_whole_model(vae, bundle)
