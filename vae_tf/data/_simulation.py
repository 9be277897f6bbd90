"""Simulated counts of genes in cells, with everything that they were drawn from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vae_tf import _checks

_MARKER_SHARE = 0.1
_MARKER_EFFECT = 2.0
_BATCH_EFFECT = 0.3
_BATCH_DEPTHS = (1.0, 0.5)
_LIBRARY_SPREAD = 0.3


@dataclass(frozen=True)
class SimulatedCounts:
    """Counts, and the truth that they were drawn from; see `simulate_counts`.

    Attributes:
        counts: Counts of gene g in cell i, `[n, G]` int64.
        cell_type: Type of each cell, `[n]` int64, from 0.
        batch: Batch of each cell, `[n]` int64, 0 or 1.
        library: Expected total of each cell, `[n]` float64.
        share: Expected share of each gene in a cell of type t in batch b, `[T, 2, G]`; it sums to 1 over genes.
        dispersion: Dispersion alpha of each gene, `[G]`: the variance of a count is mean + alpha mean^2.
        marker: Whether a gene is a marker of a type, `[T, G]` bool.
    """

    counts: np.ndarray
    cell_type: np.ndarray
    batch: np.ndarray
    library: np.ndarray
    share: np.ndarray
    dispersion: np.ndarray
    marker: np.ndarray

    def mean(self) -> np.ndarray:
        """The expected counts, library_i share_{t(i), b(i), g}, `[n, G]` float64."""
        return self.library[:, None] * self.share[self.cell_type, self.batch]

    def log_prob(self) -> np.ndarray:
        """log p(counts | type, batch, library) of each cell under the truth, in nats, `[n]` float64: the best there is.

        A model that is told neither type nor batch nor library comes no nearer to the counts, on average over cells.
        """
        from scipy.stats import nbinom

        r = 1 / self.dispersion
        return nbinom.logpmf(self.counts, r, r / (r + self.mean())).sum(axis=1)


def simulate_counts(
    num_cells: int = 2000,
    num_genes: int = 200,
    *,
    num_types: int = 4,
    mean_library: float = 1000.0,
    seed: int = 0,
) -> SimulatedCounts:
    """Counts of genes in cells of several types from two batches, drawn from a known negative binomial.

    For cell i of type t and batch b, and gene g::

        level_tbg   = baseline_g + 2 * marker_tg + 0.3 * b * shift_g      baseline, shift ~ N(0, 1)
        share_tbg   = exp(level_tbg) / sum_g exp(level_tbg)               marker_tg ~ Bernoulli(0.1)
        library_i   = mean_library * depth_b * exp(0.3 * e_i - 0.045)     depth = (1, 0.5), e_i ~ N(0, 1)
        alpha_g     = 0.2 * exp(0.5 * f_g)                                f_g ~ N(0, 1)
        counts_ig   ~ NegativeBinomial(mean = library_i * share_tbg, variance = mean + alpha_g * mean^2)

    Types and batches are uniform and independent: what differs between batches, depth and share, is technical. The
    counts are drawn as Poisson numbers whose rates are Gamma variables.

    Args:
        num_cells: Number of cells n.
        num_genes: Number of genes G.
        num_types: Number of types T.
        mean_library: Mean of the expected totals in the first batch.
        seed: Seed of all draws; the same seed gives the same counts.

    Raises:
        ValueError: For numbers below 1, or a mean_library that is not above 0.
    """
    n, genes = _checks.positive_int("num_cells", num_cells), _checks.positive_int("num_genes", num_genes)
    types = _checks.positive_int("num_types", num_types)
    depth = _checks.positive_float("mean_library", mean_library)
    rng = np.random.default_rng(_checks.seed(seed))
    marker = rng.random((types, genes)) < _MARKER_SHARE
    baseline, shift = rng.standard_normal((2, genes))
    level = (baseline + _MARKER_EFFECT * marker)[:, None] + _BATCH_EFFECT * np.arange(2)[:, None] * shift
    share = np.exp(level) / np.exp(level).sum(axis=-1, keepdims=True)
    alpha = 0.2 * np.exp(0.5 * rng.standard_normal(genes))
    cell_type, batch = rng.integers(types, size=n), rng.integers(2, size=n)
    spread = np.exp(_LIBRARY_SPREAD * rng.standard_normal(n) - _LIBRARY_SPREAD**2 / 2)
    library = depth * np.array(_BATCH_DEPTHS)[batch] * spread
    rate = rng.gamma(1 / alpha, alpha * library[:, None] * share[cell_type, batch])
    return SimulatedCounts(rng.poisson(rate), cell_type, batch, library, share, alpha, marker)
