"""Estimates with their units, and the tables that hold only what can be compared."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vae_tf import _checks
from vae_tf.evaluation._comparability import Measure, Quantity, Scale, check_comparable

NATS, BITS = "nats per example", "bits per dimension"


@dataclass(frozen=True, eq=False)
class Estimate:
    """A quantity for each of n examples, with its Monte-Carlo error, unit and convention.

    Attributes:
        values: Value of each example, `[n]` float64, in `unit`.
        standard_errors: Standard error of each value over the draws of z, `[n]`; nan for a single draw.
        quantity: "elbo", "log_likelihood" or "bits_per_dim".
        unit: "nats per example" or "bits per dimension".
        measure: Whether the model gives the data a density or a mass.
        data_scale: Scale of the data that the numbers refer to, such as "[0, 1], density" or "256 levels in [0, 1]".
        num_samples: Number of draws of z for each example.
        convention: Description of the number that was added, or of the way in which the KL was computed.
        levels: Number of values that a dimension takes, where they are levels.
        fingerprint: Checksum of the data themselves.
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
    def scale(self) -> Scale:
        """The data and units that the numbers refer to."""
        return Scale(self.measure, self.data_scale, self.levels, self.fingerprint)

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
        """The same log-likelihood in bits per dimension, for examples of `dims` dimensions. Nothing is added."""
        unit = dims * math.log(2)
        values, errors = -self.values / unit, self.standard_errors / unit
        return replace(self, values=values, standard_errors=errors, quantity="bits_per_dim", unit=BITS)

    def __str__(self) -> str:
        return f"{self.mean:.4f} +- {self.standard_error:.4f} {self.unit}"

    def cells(self) -> list[str]:
        """The cells of a table's row: value, standard error, unit, examples, draws, data, and what was added."""
        numbers = [f"{self.mean:.4f}", f"{self.standard_error:.4f}", self.unit]
        return [*numbers, f"{len(self.values)}", f"{self.num_samples}", self.data_scale, self.convention]


HEADER = ("value", "standard error", "unit", "examples", "draws", "data", "added")


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
        return aligned(self._lines())

    def markdown(self) -> str:
        """The table in Markdown."""
        head, *body = [f"| {' | '.join(line)} |" for line in self._lines()]
        return "\n".join([head, "|" + "---|" * (1 + len(HEADER)), *body])

    def _lines(self) -> list[list[str]]:
        title = self.quantity.replace("_", " ")
        return [["model", title, *HEADER[1:]], *([name, *estimate.cells()] for name, estimate in self.rows)]


def tabulate(estimates: Mapping[str, Estimate]) -> Comparison:
    """The table of these estimates by name, best first.

    In nats per example all of them must be densities, or all of them masses, of the same data. In bits per dimension
    a density dequantised from L levels and a mass on L levels may stand in one column.

    Raises:
        ValueError: If there are no estimates, or they do not belong in one column.
    """
    if not estimates:
        raise ValueError(_checks.problem("Table", expected="at least one", received="none", remedy="Name a model."))
    quantity = _same_quantity({name: estimate.quantity for name, estimate in estimates.items()})
    check_comparable(quantity, {name: estimate.scale for name, estimate in estimates.items()})
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


def aligned(lines: Iterable[Sequence[str]]) -> str:
    """A text table in which columns of numbers are aligned to the right, and all others to the left."""
    columns = list(zip(*lines, strict=True))
    padded = []
    for column in columns:
        width = max(map(len, column))
        numeric = all(_is_number(cell) for cell in column[1:])
        padded.append([cell.rjust(width) if numeric else cell.ljust(width) for cell in column])
    return "\n".join("  ".join(line).rstrip() for line in zip(*padded, strict=True))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
