"""All measures of collapse in one report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vae_tf import _checks
from vae_tf.collapse._advice import SPECTRUM_EXAMPLES, explain
from vae_tf.collapse._data import subset
from vae_tf.collapse._gap import Gap, amortisation_gap
from vae_tf.collapse._information import Information, information
from vae_tf.collapse._latents import EPS_GRID, collapse_threshold, collapsed_share, kl_or_none, posterior_mean_variance
from vae_tf.collapse._prediction import LinearPrediction, prediction_for
from vae_tf.vae import VAE

_EXAMPLES = 2_000
_GAP_CHUNK = 64  # examples at a time, each with 32 draws of z or more


@dataclass(frozen=True)
class Report:
    """The result of `diagnose`; its `str` is a few lines.

    Attributes:
        mean_variance: Variance of the posterior mean over the data, `[D]`.
        active: Whether each latent is an active unit, bool `[D]`.
        kl: KL per latent in nats, `[n, D]`; None if the posterior or the prior does not allow it.
        collapsed: Whether each latent is (eps, delta)-collapsed, bool `[D]`; None if `kl` is None.
        eps: Grid of the curve in nats, `[m]`.
        curve: Share of collapsed latents at each eps, `[m]`; None if `kl` is None.
        information: Rate, mutual information and aggregate KL of at most 2,000 of the examples.
        gap: Amortisation gap of the first `gap_examples` examples; None unless asked for.
        prediction: Number of latents that a linear VAE could use at this VAE's sigma and KL weight, from at most 5,000
            of the examples; for other networks it is a guide. None unless the likelihood is a Gaussian that is not
            quantised and the objective has a KL weight. The sigma of "per_pixel" is its running average.
        advice: One line of advice, or None if nothing collapsed.
    """

    mean_variance: np.ndarray
    active: np.ndarray
    kl: np.ndarray | None
    collapsed: np.ndarray | None
    eps: np.ndarray
    curve: np.ndarray | None
    information: Information
    gap: Gap | None
    prediction: LinearPrediction | None
    advice: str | None

    def __str__(self) -> str:
        info, dims = self.information, len(self.active)
        lines = [f"Active units: {self.active.sum()} of {dims}"]
        if self.kl is not None and self.collapsed is not None:
            mean = self.kl.mean(axis=0)
            lines += [
                f"Collapsed latents: {self.collapsed.sum()} of {dims}",
                f"KL per latent: {mean.min():.3g} to {mean.max():.3g}, in all {mean.sum():.4g} nats",
            ]
        if self.prediction is not None:
            active = self.active.sum()
            lines += [f"Linear prediction: {self.prediction}; {active} {'is' if active == 1 else 'are'} active"]
        lines += [
            f"Rate {info.rate:.4g} = mutual information {info.mutual_information:.4g} + KL of the aggregate posterior "
            f"{info.aggregate_kl:.4g} (+-{info.aggregate_kl_standard_error:.2g}) nats, on {info.num_examples} examples"
        ]
        if self.gap is not None:
            gap = self.gap.gap
            lines += [f"Amortisation gap: {gap.mean():.3g} nats, on {len(gap)} examples"]
        return "\n".join(lines if self.advice is None else [*lines, self.advice])


def diagnose(
    vae: VAE,
    x: Any,
    *,
    threshold: float = 0.01,
    eps: float = 0.01,
    delta: float = 0.01,
    gap_examples: int = 0,
    seed: int = 0,
    chunk_size: int = 256,
) -> Report:
    """Active units, KL per latent, collapse and its curve, information, linear prediction and advice, in nats.

    Args:
        vae: Model with any posterior and prior.
        x: Data `[n, *E]`, n >= 2.
        threshold: Threshold of active units; see `active_units`.
        eps: Threshold of the KL in nats; see `collapsed`.
        delta: Share of exceptions; see `collapsed`.
        gap_examples: Number of examples whose q is refined as well, which is slow; see `amortisation_gap`.
        seed: Seed of the draws.
        chunk_size: Examples at a time; at most 64 where q is refined.

    Raises:
        ValueError: For numbers out of range, or data the VAE cannot take.
    """
    threshold, eps = _checks.nonnegative_float("threshold", threshold), _checks.positive_float("eps", eps)
    delta, chunk_size = _checks.fraction("delta", delta), _checks.positive_int("chunk_size", chunk_size)
    x, gap = vae.adapter.examples(x, at_least=2), None
    if gap_examples:
        first = x[: _checks.positive_int("gap_examples", gap_examples)]
        gap = amortisation_gap(vae, first, seed=seed, chunk_size=min(chunk_size, _GAP_CHUNK))
    variance = posterior_mean_variance(vae, x, chunk_size=chunk_size)
    kl = kl_or_none(vae, x, chunk_size=chunk_size)
    limits = None if kl is None else collapse_threshold(kl, delta)
    active = variance > threshold
    alive = active if limits is None else limits >= eps
    few = subset(x, SPECTRUM_EXAMPLES)
    prediction = prediction_for(vae, few)
    return Report(
        mean_variance=variance,
        active=active,
        kl=kl,
        collapsed=None if limits is None else limits < eps,
        eps=EPS_GRID,
        curve=None if limits is None else collapsed_share(limits, EPS_GRID),
        information=information(vae, subset(x, _EXAMPLES), seed=seed, chunk_size=chunk_size),
        gap=gap,
        prediction=prediction,
        advice=explain(vae, few, int(alive.sum()), prediction, chunk_size),
    )
