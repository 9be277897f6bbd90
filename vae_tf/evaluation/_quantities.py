"""ELBO, log-likelihood and bits per dimension of data under a model, and tables of several models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from vae_tf import _checks
from vae_tf.evaluation import _importance
from vae_tf.evaluation._comparability import (
    QUANTITIES,
    Dequantised,
    Quantity,
    Reference,
    check_comparable,
    reference_of,
)
from vae_tf.evaluation._estimates import NATS, Comparison, Estimate, tabulate
from vae_tf.evaluation._importance import Pass
from vae_tf.vae import VAE


def elbo(
    vae: VAE, x: Any, num_samples: int = 1, *, chunk_size: int | None = None, seed: int = 0, progress: bool = True
) -> Estimate:
    """E_q log p(x|z) - KL(q(z|x) || p(z)) in nats per example, a lower bound of log p(x).

    The expectation is the mean over draws of z; the KL is in closed form where prior and posterior have one,
    and otherwise the mean of log q(z|x) - log p(z) over the same draws.

    Args:
        vae: The model.
        x: Data `[n, *E]`.
        num_samples: Draws of z for each example.
        chunk_size: Number of (example, draw) pairs decoded at a time; it bounds the memory. None takes 4096, or
            fewer where the likelihood has many parameters for a dimension.
        seed: Seed of the draws.
        progress: Whether to show a progress bar where the error output is a terminal.

    Raises:
        ValueError: For data that do not fit the model, counts below 1 or a negative seed.
    """
    return _elbo(Pass(vae, x, num_samples, chunk_size, seed, progress))


def log_likelihood(
    vae: VAE, x: Any, num_samples: int = 5000, *, chunk_size: int | None = None, seed: int = 0, progress: bool = True
) -> Estimate:
    """log p(x) in nats per example, estimated by importance sampling from the posterior.

    The estimate is `log((1/K) sum_k w_k)` with log w = log p(x|z) + log p(z) - log q(z|x) at draws z ~ q(z|x). Its
    expectation is a lower bound of log p(x) that tightens as K grows. Its standard error is
    `sd(w) / (sqrt(K) mean(w))`, by the delta method. If that is not small against 1, then K is too small, and neither
    the bound nor its error can be trusted.

    Args:
        vae: The model.
        x: Data `[n, *E]`.
        num_samples: Draws K of z for each example.
        chunk_size: Number of (example, draw) pairs decoded at a time; it bounds the memory. None takes 4096, or
            fewer where the likelihood has many parameters for a dimension.
        seed: Seed of the draws.
        progress: Whether to show a progress bar where the error output is a terminal.

    Raises:
        ValueError: For data that do not fit the model, counts below 1 or a negative seed.

    References:
        Burda, Grosse, Salakhutdinov 2016, eq. 8, arXiv 1509.00519.
    """
    return _log_likelihood(Pass(vae, x, num_samples, chunk_size, seed, progress))


def bits_per_dim(
    vae: VAE,
    x: Any,
    num_samples: int = 5000,
    *,
    levels: int = 256,
    data_range: tuple[float, float] = (0.0, 1.0),
    chunk_size: int | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Estimate:
    """-log p(x) / (D log 2) in bits per dimension, of data on levels, so that densities and masses can be compared.

    A mass (of levels or counts) is taken as it is. For a density the data must be levels k / (L - 1) in [0, 1] (or
    scaled to another `data_range`). They are dequantised to x' = (k + u) / L with one u ~ U[0, 1) for each dimension;
    encoder and likelihood both see x'. Then log2(L) bits are added for the width 1 / L of a bin. In expectation over
    u, the result is an upper bound of the bits of the mass that the density gives to the levels.

    Args:
        vae: The model.
        x: Data `[n, *E]`.
        num_samples: Draws of z for each example; see `log_likelihood`.
        levels: Number of levels L of the data, for a density; a mass knows its own.
        data_range: The lowest and the highest level, for a density.
        chunk_size: Number of (example, draw) pairs decoded at a time; it bounds the memory. None takes 4096, or
            fewer where the likelihood has many parameters for a dimension.
        seed: Seed of the draws of z and u.
        progress: Whether to show a progress bar where the error output is a terminal.

    Raises:
        ValueError: For data that are not such levels or do not fit the model, counts below 1, a negative seed.

    References:
        Theis, van den Oord, Bethge 2016, section 3.1, arXiv 1511.01844.
    """
    return _bits_per_dim(Pass(vae, x, num_samples, chunk_size, seed, progress), _bins(levels, data_range))


def compare(
    models: Mapping[str, VAE],
    x: Any,
    *,
    quantity: Quantity = "log_likelihood",
    num_samples: int | None = None,
    levels: int = 256,
    data_range: tuple[float, float] = (0.0, 1.0),
    chunk_size: int | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Comparison:
    """One quantity for several models, best first; see `tabulate` for what may stand in one column.

    Args:
        models: Models by name.
        x: Data `[n, *E]`, or a mapping from each name to the data as that model sees them.
        quantity: "elbo", "log_likelihood" or "bits_per_dim".
        num_samples: Draws of z for each example; None takes 1 for the ELBO and 5000 otherwise.
        levels: Number of levels of the data, for "bits_per_dim" of a density.
        data_range: The lowest and the highest of these levels.
        chunk_size: Number of (example, draw) pairs decoded at a time.
        seed: Seed of the draws.
        progress: Whether to show progress bars where the error output is a terminal.

    Raises:
        TypeError: For models without names, and for what is no VAE.
        ValueError: If two models do not belong in one column (before anything is computed), and as the functions
            `elbo`, `log_likelihood` and `bits_per_dim` do.
    """
    _checks.one_of("quantity", quantity, QUANTITIES)
    if not isinstance(models, Mapping) or not all(isinstance(vae, VAE) for vae in models.values()):
        remedy = 'Give each a name: compare({"gaussian": vae, "bernoulli": other}, x).'
        raise TypeError(
            _checks.problem("models", expected="a mapping of names to VAEs", received=f"{models!r:.80}", remedy=remedy)
        )
    bins = _bins(levels, data_range) if quantity == "bits_per_dim" else None
    draws = num_samples if num_samples is not None else 1 if quantity == "elbo" else 5000
    data = _data_by_name(models, x)
    passes = {name: Pass(vae, data[name], draws, chunk_size, seed, progress) for name, vae in models.items()}
    check_comparable(
        quantity, {name: reference_of(one_pass.vae.likelihood, one_pass.x, bins) for name, one_pass in passes.items()}
    )
    if bins is not None:
        return tabulate({name: _bits_per_dim(one_pass, bins) for name, one_pass in passes.items()})
    return tabulate({name: _IN_NATS[quantity](one_pass) for name, one_pass in passes.items()})


def _elbo(one_pass: Pass) -> Estimate:
    vae = one_pass.vae
    closed = vae.prior.closed_form(vae.encoder(one_pass.examples(0, 1), training=False)) is not None
    compute = _importance.bound_per_draw(vae, closed_form=closed)
    values, errors = one_pass.accumulate(compute, one_pass.examples, _importance.Mean, "ELBO")
    convention = "KL in closed form" if closed else "KL estimated from the draws"
    return _estimate(one_pass, values, errors, "elbo", reference_of(vae.likelihood, one_pass.x), convention)


def _log_likelihood(one_pass: Pass) -> Estimate:
    compute = _importance.bound_per_draw(one_pass.vae, closed_form=False)
    values, errors = one_pass.accumulate(compute, one_pass.examples, _importance.LogMeanExp, "log-likelihood")
    return _estimate(
        one_pass, values, errors, "log_likelihood", reference_of(one_pass.vae.likelihood, one_pass.x), "nothing"
    )


def _bits_per_dim(one_pass: Pass, bins: Dequantised) -> Estimate:
    likelihood = one_pass.vae.likelihood
    reference = reference_of(likelihood, one_pass.x, bins)
    if reference.measure == "mass":
        return _log_likelihood(one_pass).in_bits(likelihood.dims)
    compute = _importance.bound_per_draw(one_pass.vae, closed_form=False)
    title = "bits per dimension"
    nats, errors = one_pass.accumulate(compute, _dequantised(one_pass, bins), _importance.LogMeanExp, title)
    bits = _estimate(one_pass, nats, errors, "log_likelihood", reference, bins.text).in_bits(likelihood.dims)
    return replace(bits, values=bits.values + bins.bits)


_IN_NATS = {"elbo": _elbo, "log_likelihood": _log_likelihood}


def _dequantised(one_pass: Pass, bins: Dequantised) -> Callable[[int, int], np.ndarray]:
    """A function (start, stop) -> dequantised examples, in which the u of each example has a stream of its own."""

    def examples(start: int, stop: int) -> np.ndarray:
        u = [np.random.default_rng([one_pass.seed, i, 1]).random(one_pass.x.shape[1:]) for i in range(start, stop)]
        return bins.spread(one_pass.x[start:stop], np.stack(u)).astype(one_pass.vae.likelihood.compute_dtype)

    return examples


def _estimate(
    one_pass: Pass, values: np.ndarray, errors: np.ndarray, quantity: Quantity, reference: Reference, convention: str
) -> Estimate:
    facts = (
        reference.measure,
        reference.text,
        one_pass.num_samples,
        convention,
        reference.levels,
        reference.fingerprint,
    )
    return Estimate(values, errors, quantity, NATS, *facts)


def _data_by_name(models: Mapping[str, VAE], x: Any) -> Mapping[str, Any]:
    if not models:
        raise ValueError(_checks.problem("models", expected="at least one", received="none", remedy="Name a model."))
    if not isinstance(x, Mapping):
        return dict.fromkeys(models, x)
    if set(x) != set(models):
        raise ValueError(
            _checks.problem(
                "Names of the data",
                expected=f"those of the models: {', '.join(models)}",
                received=", ".join(x),
                remedy="Pass one array for each model, or one for all.",
            )
        )
    return x


def _bins(levels: Any, data_range: tuple[float, float]) -> Dequantised:
    """The levels to dequantise, two or more of them between two numbers, or a ValueError."""
    low, high = (_checks.finite_float("data_range", bound) for bound in data_range)
    if not low < high:
        remedy = "Pass (0.0, 1.0)."
        expected, received = "(low, high) with low < high", str(data_range)
        raise ValueError(_checks.problem("data_range", expected=expected, received=received, remedy=remedy))
    if _checks.positive_int("levels", levels) == 1:
        remedy = "8-bit images have 256."
        raise ValueError(_checks.problem("levels", expected="at least 2", received="1", remedy=remedy))
    return Dequantised(int(levels), low, high)
