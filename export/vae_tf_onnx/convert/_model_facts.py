"""The facts about a model that the manifest states: its parts, its scores on data, and its latents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import onnxruntime
import tensorflow as tf
import tf2onnx
import tf_keras

import vae_tf
import vae_tf_onnx

_SCORED = 10_000
_CHUNK = 256
_PRIOR_SAMPLES = 4096
_POSTERIOR_SAMPLES = 64


def versions() -> dict[str, str]:
    """The versions of the libraries that took part, by name."""
    modules = (vae_tf, vae_tf_onnx, tf, tf_keras, tf2onnx, onnx, onnxruntime, np)
    return {module.__name__: module.__version__ for module in modules}


def parts(vae: vae_tf.VAE) -> dict[str, Any]:
    """The model's shapes, likelihood, posterior and prior."""
    equivalence = vae.likelihood.equivalence()
    return {
        **({} if vae.columns is None else {"columns": list(vae.columns)}),
        "event_shape": list(vae.event_shape),
        "latent_dim": vae.latent_dim,
        "likelihood": _part(vae.likelihood) | {"equivalence": None if equivalence is None else vars(equivalence)},
        "posterior": _part(vae.posterior),
        "prior": _part(vae.prior),
    }


def _part(layer: Any) -> dict[str, Any]:
    config = layer.get_config()
    ignored = ("name", "dtype", "trainable")
    return {
        "family": type(layer).__name__,
        "parameters": {key: value for key, value in config.items() if key not in ignored},
    }


def evaluation(vae: vae_tf.VAE, x: np.ndarray) -> dict[str, Any]:
    """Means of ELBO, distortion and rate in nats over the first 10,000 examples, at one sample of z for each.

    Args:
        vae: The model.
        x: Data `[n, *E]`.
    """
    x = _scored(x)
    terms = [[part.numpy() for part in vae.terms(chunk, seed=i)] for i, chunk in enumerate(_chunks(x))]
    distortion, rate = (float(np.concatenate(parts).mean(dtype=np.float64)) for parts in zip(*terms, strict=True))
    return {"elbo": -distortion - rate, "distortion": distortion, "rate": rate, "num_examples": len(x)}


def latents(vae: vae_tf.VAE, x: np.ndarray, source: str) -> dict[str, Any]:
    """KL of each latent in nats, and mean and standard deviation of the aggregate posterior, `[D]` each.

    The KL is that of the marginals, averaged over the data. If it has no closed form, the KL between two normals with
    the moments of q(z_j|x) and p(z_j) stands in, and `kl_is_exact` is false. It ranks the latents but is no bound.

    Args:
        vae: The model.
        x: Data `[n, *E]`.
        source: Name of the data in the manifest.
    """
    x = _scored(x)
    prior_mean, prior_scale = _prior_moments(vae)
    rows: dict[str, list[np.ndarray]] = {"mean": [], "scale": [], "kl": []}
    is_exact = True
    for i, chunk in enumerate(_chunks(x)):
        q = vae.encoder(chunk, training=False)
        mean, scale = _posterior_moments(vae, q, seed=i)
        closed = vae.prior.rate_per_latent(q)
        is_exact = closed is not None
        kl = _normal_kl(mean, scale, prior_mean, prior_scale) if closed is None else closed.numpy()
        for name, values in (("mean", mean), ("scale", scale), ("kl", kl)):
            rows[name].append(values.astype(np.float64))
    mean, scale, kl = (np.concatenate(values) for values in rows.values())
    spread = np.sqrt(np.square(scale).mean(axis=0) + mean.var(axis=0))
    return {
        "kl": kl.mean(axis=0).tolist(),
        "kl_is_exact": is_exact,
        "mean": mean.mean(axis=0).tolist(),
        "scale": spread.tolist(),
        "source": source,
    }


def _scored(x: Any) -> Any:
    """The first examples; lazy images are not read yet."""
    return x.part(slice(_SCORED)) if isinstance(x, vae_tf.data.LazyImages) else x[:_SCORED]


def _chunks(x: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(x), _CHUNK):
        yield x[start : start + _CHUNK]


def _prior_moments(vae: vae_tf.VAE) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each latent under the prior, `[D]`."""
    if isinstance(vae.prior, vae_tf.priors.StandardNormal):
        return np.zeros(vae.latent_dim), np.ones(vae.latent_dim)
    z = vae.prior.from_noise(vae.prior.noise(np.random.default_rng(0), _PRIOR_SAMPLES)).numpy()
    return z.mean(axis=0), z.std(axis=0)


def _posterior_moments(vae: vae_tf.VAE, q: Any, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each latent of q(z|x), `[B, D]`; from samples if it is not normal."""
    if vae.posterior.is_normal:
        return q.mean().numpy(), q.stddev().numpy()
    parameters = vae.posterior.parameters_of(q)
    shape = (_POSTERIOR_SAMPLES, *parameters["loc"].shape)
    noise = np.random.default_rng(seed).standard_normal(shape, np.float32)
    z = vae.posterior.draw(noise, parameters)[0].numpy()
    return z.mean(axis=0), z.std(axis=0)


def _normal_kl(mean: np.ndarray, scale: np.ndarray, other_mean: np.ndarray, other_scale: np.ndarray) -> np.ndarray:
    ratio = np.square(scale / other_scale)
    return 0.5 * (ratio - 1 - np.log(ratio) + np.square((mean - other_mean) / other_scale))
