"""Estimates with their units, and the tables that hold only what can be compared."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from tabulate import tabulate as text_of

from vae_tf import _checks
from vae_tf.evaluation._comparability import Measure, Quantity, Reference, check_comparable, no_bits

NATS, BITS = "nats per example", "bits per dimension"


@dataclass(frozen=True, eq=False)
class Estimate:
    """A quantity for each of n examples, with its Monte-Carlo error, unit and convention.

    Attributes:
        values: Value of each example, `[n]` float64, in `unit`.
        standard_errors: Standard error of each value over the draws of z, `[n]`; nan for a single draw.
        quantity: "elbo", "log_likelihood" or "bits_per_dim".
        unit: "nats per example" or "bits per dimension".
        measure: Whether the model gives the data a density, a mass, or a score that is neither.
        data_scale: Scale of the data that the numbers refer to, such as "[0, 1], density" or "256 levels in [0, 1]".
        num_samples: Number of draws of z for each example.
        convention: Description of the number that was added, or of the way in which the KL was computed.
        levels: Number of values that a dimension takes, where they are levels.
        fingerprint: A checksum of the data, or of the numbers of their levels.
    """

    values: np.ndarray
    standard_errors: np.ndarray
    quantity: Quantity
    unit: str
    measure: Measure
    data_scale: str
    num_samples: int
    convention: str
    levels: int | None = None
    fingerprint: int = 0

    @property
    def reference(self) -> Reference:
        """The data and units that the numbers refer to."""
        return Reference(self.measure, self.data_scale, self.levels, self.fingerprint)

    @property
    def mean(self) -> float:
        """Mean over the examples, in `unit`."""
        return float(np.mean(self.values))

    @property
    def standard_error(self) -> float:
        """Standard error of `mean`, in `unit`: sd(values) / sqrt(n), which includes the Monte-Carlo noise.

        For a single example it is the standard error over the draws of z.
        """
        if len(self.values) == 1:
            return float(self.standard_errors[0])
        return float(np.std(self.values, ddof=1) / math.sqrt(len(self.values)))

    def in_bits(self, dims: int) -> Estimate:
        """A log-likelihood in bits per dimension of an example of `dims` of them; nothing is added.

        Raises:
            ValueError: For a plug-in score.
        """
        if self.measure == "score":
            raise no_bits(self.data_scale)
        unit = dims * math.log(2)
        values, errors = -self.values / unit, self.standard_errors / unit
        return replace(self, values=values, standard_errors=errors, quantity="bits_per_dim", unit=BITS)

    def __str__(self) -> str:
        return f"{self.mean:.4f} +- {self.standard_error:.4f} {self.unit}"

    def cells(self) -> dict[str, float | str]:
        """The row of a table, by column: value, its error and unit, examples, draws, data, and what was added."""
        return {
            "value": self.mean,
            "standard error": self.standard_error,
            "unit": self.unit,
            "examples": len(self.values),
            "draws": self.num_samples,
            "data": self.data_scale,
            "added": self.convention,
        }


@dataclass(frozen=True, eq=False)
class Comparison:
    """Estimates of one quantity for several models, best first; `str` is a text table.

    Attributes:
        quantity: "elbo", "log_likelihood" or "bits_per_dim".
        rows: Pairs (name, estimate).
    """

    quantity: Quantity
    rows: tuple[tuple[str, Estimate], ...]

    def __str__(self) -> str:
        return self._text("plain")

    def markdown(self) -> str:
        """The table in Markdown."""
        return self._text("github")

    def _text(self, style: str) -> str:
        first, second = "model", self.quantity.replace("_", " ")
        rows = []
        for name, estimate in self.rows:
            cells = estimate.cells()
            rows.append({first: name, second: cells.pop("value"), **cells})
        # a model may be called 1e3, which is no number
        return text_of(rows, headers="keys", tablefmt=style, floatfmt=".4f", disable_numparse=[0])


def tabulate(estimates: Mapping[str, Estimate]) -> Comparison:
    """The table of these estimates by name, best first.

    In nats per example all of them must be densities, all masses or all scores, of the same data. In bits per dimension
    a density dequantised to L levels and a mass on L levels stand in one column, if they are of the same images:
    these may be in [0, 1] for one model and in 0..255 for another.

    Raises:
        ValueError: If there are no estimates, or they do not belong in one column.
    """
    if not estimates:
        raise ValueError(_checks.problem("Table", expected="at least one", received="none", remedy="Name a model."))
    quantity = _same_quantity({name: estimate.quantity for name, estimate in estimates.items()})
    check_comparable(quantity, {name: estimate.reference for name, estimate in estimates.items()})
    best_first = sorted(estimates.items(), key=lambda row: row[1].mean, reverse=quantity != "bits_per_dim")
    return Comparison(quantity, tuple(best_first))


def _same_quantity(quantities: Mapping[str, Quantity]) -> Quantity:
    (first, expected), *others = quantities.items()
    for name, quantity in others:
        if quantity != expected:
            raise ValueError(
                _checks.problem(
                    f"Quantity of {name}",
                    expected=f"{expected}, as {first} has",
                    received=quantity,
                    remedy="Make one table for each quantity.",
                )
            )
    return expected
