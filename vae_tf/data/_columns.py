"""Columns of a table as float32, a part of the rows at a time, and one clear line for what is no number."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vae_tf._checks import problem

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 5
_EXACT = 2.0**24
_RESOLUTION = 0.01
_TINY = float(np.finfo(np.float32).tiny)
_HUGE = float(np.finfo(np.float32).max)
_DATE = r"^\s*(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}|\d{1,2}:\d{2}(:\d{2})?\b)"
_DECIMAL_COMMA = r"^\s*[-+]?\d+,\d+\s*$"


class Columns:
    """The numbers of a table, taken in part by part.

    Args:
        names: Names of the columns.
        rows: Number of rows for which there must be room; there may be fewer in the end.
        what: Name of the table in messages.
    """

    def __init__(self, names: Sequence[str], rows: int, what: str) -> None:
        self.names = list(names)
        self.what = what
        self._rows = 0
        self._numbers = np.empty((rows, len(self.names)), np.float32)
        self._missing = _Count(len(self.names))
        self._infinite = _Count(len(self.names))
        self._facts = _Facts(len(self.names))

    def add(self, part: pd.DataFrame) -> None:
        """Takes in the next rows.

        Raises:
            ValueError: Where a column holds text, dates or categories.
        """
        if not len(part):
            return
        block = self._as_float64(part)
        rows = slice(self._rows, self._rows + len(block))
        self._missing.add(np.isnan(block), self._rows)
        self._infinite.add(np.isinf(block), self._rows)
        self._facts.add(block, self._rows)
        with np.errstate(over="ignore"):
            self._numbers[rows] = block
        self._rows = rows.stop

    def numbers(self) -> np.ndarray:
        """All rows, `[n, d]` float32.

        Raises:
            ValueError: Where values are missing, infinite, or beyond what float32 can tell apart; and without rows.
        """
        if not self._rows:
            raise error(self.what, "rows of numbers", "none", "Check how the table was made.")
        missing = "Drop those rows or columns, or fill them: frame.dropna() or frame.fillna(frame.median()), say."
        self._missing.refuse(self, "a number in every cell", "missing", missing)
        self._infinite.refuse(self, "finite numbers", "infinite", "Drop or replace them.")
        self._facts.judge(self)
        return self._numbers[: self._rows]

    def _as_float64(self, part: pd.DataFrame) -> np.ndarray:
        if all(isinstance(kind, np.dtype) and kind.kind in "biuf" for kind in part.dtypes):
            return part.to_numpy(np.float64)
        block = np.empty(part.shape, np.float64)
        faults = []
        for i, name in enumerate(self.names):
            column = part.iloc[:, i]
            fault = _fault(column, self._rows)
            if fault is None:
                block[:, i] = _to_float64(column)
            else:
                faults.append((name, fault))
        if faults:
            raise self._no_numbers(faults)
        return block

    def _no_numbers(self, faults: list[tuple[str, _Fault]]) -> ValueError:
        first = faults[0][1]
        shown = [f"{name!r} ({fault.received})" for name, fault in faults[:_SHOWN]]
        shown += [f"{len(faults) - _SHOWN} more"] if len(faults) > _SHOWN else []
        return error(
            f"{self.what}: {_columns(len(faults))}", "numbers", ", ".join(shown), first.remedy([n for n, _ in faults])
        )


@dataclass(frozen=True)
class _Fault:
    """A description of a cell that is no number, and the remedy for it."""

    received: str
    cure: str

    def remedy(self, names: list[str]) -> str:
        """The remedy, with the argument that drops these columns."""
        drop = ", ".join(map(repr, names[:_SHOWN])) + (", ..." if len(names) > _SHOWN else "")
        return f"Drop what is no feature (drop=[{drop}]), {self.cure}."


_ENCODE = "or encode it as numbers: pandas.get_dummies(frame, columns=[...]) makes a column of 0 and 1 for each value"
_AS_DAYS = "or turn dates into numbers, such as days since the first one"
_COMMAS = 'or read the table with pandas.read_csv(path, sep=";", decimal=",") and pass the frame'


def _fault(column: pd.Series, before: int) -> _Fault | None:
    """The fault of a column, or None where its cells are numbers or missing.

    Args:
        column: Some rows of a column.
        before: Number of rows before them.
    """
    import pandas as pd

    kind = column.dtype
    if isinstance(kind, pd.CategoricalDtype):
        return _Fault(f"categories such as {_short(kind.categories[0] if len(kind.categories) else None)}", _ENCODE)
    if getattr(kind, "kind", "") in tuple("Mm") or isinstance(kind, pd.PeriodDtype):
        return _Fault(f"dates or times, {kind}", _AS_DAYS)
    if getattr(kind, "kind", "") == "c":
        return _Fault("complex numbers", "or make a column each of their real and imaginary parts")
    if pd.api.types.is_bool_dtype(kind) or pd.api.types.is_numeric_dtype(kind):
        return None
    there = column.notna().to_numpy()
    try:
        odd = there & pd.to_numeric(column, errors="coerce").isna().to_numpy()
    except TypeError:  # cells that are neither text nor numbers, such as lists
        odd = there
    if not odd.any():
        return None
    first, text = int(odd.argmax()), column[odd].astype(str)
    cure = _AS_DAYS if text.str.match(_DATE).all() else _COMMAS if text.str.match(_DECIMAL_COMMA).all() else _ENCODE
    word = {_AS_DAYS: "dates", _COMMAS: "decimal commas"}.get(cure, "text")
    share = "" if odd.all() else f" in {odd.sum()} of {len(odd)} rows"
    return _Fault(f"{word}{share}, {_short(column.iloc[first])} in row {before + first + 1}", cure)


def _to_float64(column: pd.Series) -> np.ndarray:
    import pandas as pd

    if not pd.api.types.is_bool_dtype(column.dtype) and not pd.api.types.is_numeric_dtype(column.dtype):
        column = pd.to_numeric(column, errors="coerce")
    return column.to_numpy(np.float64, na_value=np.nan)


class _Count:
    """A count of faulty cells by column, and the row of the first of each."""

    def __init__(self, columns: int) -> None:
        self._found = np.zeros(columns, np.int64)
        self._first = np.zeros(columns, np.int64)

    def add(self, faulty: np.ndarray, before: int) -> None:
        """Takes in the cells of some rows, `[b, d]` bools, that come after so many others."""
        found = faulty.sum(axis=0)
        new = (found > 0) & (self._found == 0)
        self._first[new] = before + faulty[:, new].argmax(axis=0) + 1
        self._found += found

    def refuse(self, columns: Columns, expected: str, word: str, remedy: str) -> None:
        """Raises a ValueError that counts them, if there are any."""
        faulty = np.flatnonzero(self._found)
        if not len(faulty):
            return
        shown = [f"{columns.names[i]!r} ({self._found[i]}, the first in row {self._first[i]})" for i in faulty[:_SHOWN]]
        shown += [f"{len(faulty) - _SHOWN} more"] if len(faulty) > _SHOWN else []
        received = f"{self._found.sum()} {word}, in {_columns(len(faulty))} {', '.join(shown)}"
        raise error(columns.what, expected, received, remedy)


class _Facts:
    """Facts about each column, complete once all rows have passed: range, spread, whether it has whole numbers."""

    def __init__(self, columns: int) -> None:
        self.low, self.high = np.full(columns, np.inf), np.full(columns, -np.inf)
        self._origin: np.ndarray | None = None
        self._sums, self._squares = np.zeros((2, columns))
        self._rows = 0
        self._whole, self._exact, self._counting = np.ones((3, columns), bool)

    def add(self, block: np.ndarray, before: int) -> None:
        """Takes in some rows, `[b, d]` float64, that come after so many others."""
        self._origin = block[0].copy() if self._origin is None else self._origin
        with np.errstate(all="ignore"):
            away = block - self._origin
            self._sums += away.sum(axis=0)
            self._squares += np.square(away).sum(axis=0)
            self._whole &= (block == np.rint(block)).all(axis=0)
            self._exact &= (block == block.astype(np.float32)).all(axis=0)
            self._counting &= (away == np.arange(before, before + len(block))[:, None]).all(axis=0)
        np.minimum(self.low, block.min(axis=0), out=self.low)
        np.maximum(self.high, block.max(axis=0), out=self.high)
        self._rows += len(block)

    def judge(self, columns: Columns) -> None:
        """Refuses columns that float32 cannot hold, and warns of those that are no features."""
        size = np.maximum(np.abs(self.low), np.abs(self.high))
        huge = np.flatnonzero(size > _HUGE)
        if len(huge):
            received, remedy = f"{size[huge[0]]:.3g}", "Rescale it, or take the logarithm."
            raise error(_column(columns, huge), f"numbers up to {_HUGE:.2g}, for float32", received, remedy)
        spread = np.sqrt(np.maximum(self._squares / self._rows - np.square(self._sums / self._rows), 0))
        spread[self.low == self.high] = 0
        step = np.maximum(np.spacing(size.astype(np.float32)).astype(np.float64), _TINY)
        coarse = np.flatnonzero((self.low < self.high) & (step > _RESOLUTION * spread))
        if len(coarse):
            i = coarse[0]
            received = (
                f"a spread of {spread[i]:.3g} around values of {size[i]:.9g}, where float32 has steps of {step[i]:.2g}"
            )
            remedy = f"Subtract an offset in float64: frame[{columns.names[i]!r}] -= {self.low[i]:.9g}, say."
            raise error(_column(columns, coarse), "values that float32 can tell apart", received, remedy)
        rounded = self._whole & ~self._exact & (size > _EXACT)
        counting = self._counting & (self._rows >= 10) & ~rounded
        _warn(columns, rounded, "whole numbers beyond 2^24, which float32 rounds; identifiers are no features")
        _warn(columns, counting, "the numbers of the rows, one after the other; an index is no feature")


def warn_of_constants(x: np.ndarray, columns: Sequence[str], what: str) -> None:
    """Warns of columns with a single value in the training rows, whose standardisation is undefined."""
    constant = (x == x[:1]).all(axis=0)
    named = Columns(columns, 0, what)
    text = "one value alone in the training rows; it has no standard deviation, and a sigma of its own would go to 0"
    _warn(named, constant, text)


def _warn(columns: Columns, those: np.ndarray, text: str) -> None:
    found = np.flatnonzero(those)
    if len(found):
        names = [columns.names[i] for i in found]
        remedy = f"drop=[{', '.join(map(repr, names[:_SHOWN]))}{', ...' if len(names) > _SHOWN else ''}]"
        message = f"{_column(columns, found)}: {text}. Drop it: {remedy}."
        warnings.warn(message, UserWarning, stacklevel=2)


def _column(columns: Columns, which: Iterable[int]) -> str:
    names = [repr(columns.names[i]) for i in which]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{columns.what}: {_columns(len(names))} {', '.join(names[:_SHOWN])}{more}"


def _columns(count: int) -> str:
    return "column" if count == 1 else "columns"


def _short(cell: Any) -> str:
    text = repr(cell) if isinstance(cell, str) else str(cell)
    return text if len(text) <= 40 else f"{text[:37]}..."


def error(what: str, expected: str, received: object, remedy: str) -> ValueError:
    """A ValueError in the one form that messages have."""
    return ValueError(problem(what, expected=expected, received=received, remedy=remedy))
