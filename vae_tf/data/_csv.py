"""Rows of a CSV file, a part at a time: pandas parses what a first pass over the bytes has found to be safe."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from vae_tf.data._columns import error

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz")

_LONGEST = 16 * 2**20  # bytes of one row
_BLOCK = 4 * 2**20
_PART = 32 * 2**20  # bytes of text that are parsed at a time
_SEPARATORS = (",", ";", "\t", "|")
_UTF8 = 'Save it as UTF-8, or read it with pandas.read_csv(path, encoding="latin-1"), say, and pass the frame.'
_KINDS = {
    b"\xff\xfe": ("UTF-16", _UTF8),
    b"\xfe\xff": ("UTF-16", _UTF8),
    b"PAR1": ("Parquet", "Let its name end in .parquet."),
    b"PK\x03\x04": ("Excel or a zip archive", "Read a workbook with pandas.read_excel(path) and pass the frame."),
    b"\x1f\x8b": ("gzip", "Let its name end in .csv.gz."),
}
"""First bytes of files that are no CSV, with the kind of file they belong to, and the remedy."""


@dataclass(frozen=True)
class CSV:
    """A CSV file whose bytes have been looked at.

    Attributes:
        path: Path of the file.
        names: Names in its first line; a column without one is called "Unnamed: i", as pandas calls it.
        separator: What stands between the cells.
        rows: Number of rows below the names, blank ones included.
        start: Place of the first of these rows, in bytes.
        part: Number of rows that are parsed at a time.
    """

    path: Path
    names: list[str]
    separator: str
    rows: int
    start: int
    part: int

    def parts(self, wanted: Sequence[int], as_text: int | None = None) -> Iterator[pd.DataFrame]:
        """The columns of these numbers, some rows at a time, as pandas reads them; one of them perhaps as text.

        Raises:
            ValueError: For a row that is too long, an unclosed quote, and bytes that are not UTF-8.
        """
        import pandas as pd

        beyond = len(self.names)  # a column that must stay empty: pandas would cut long rows off in silence
        with _opened(self.path) as file, self._explained():
            file.seek(self.start)
            reader = pd.read_csv(
                file,
                sep=self.separator,
                header=None,
                names=range(beyond + 1),
                dtype=None if as_text is None else {as_text: str},
                index_col=False,
                skip_blank_lines=len(self.names) > 1,  # in a table of one column a blank line is a missing number
                chunksize=self.part,
                compression=None,
                encoding="utf-8",
                float_precision="high",
            )
            before = 0
            for part in reader:
                long = np.flatnonzero(part[beyond].notna())
                if len(long):
                    received = f"more in row {before + long[0] + 1}, {part[beyond].iloc[long[0]]!s:.40} among them"
                    raise _ragged(self.path, self.names, self.separator, received)
                before += len(part)
                yield part[list(wanted)]

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        from pandas.errors import EmptyDataError, ParserError

        try:
            yield
        except EmptyDataError:
            return
        except ParserError as fault:
            raise error(f"{self.path}", "a CSV file", f"{fault}".strip(), "Mend the file.") from fault
        except UnicodeDecodeError as fault:
            raise error(f"{self.path}", "text in UTF-8", f"{fault}", _UTF8) from fault


def survey(path: Path) -> CSV:
    """Reads the bytes of a CSV file once, for its column names, its separator, and a bound on its rows.

    Raises:
        ValueError: For a file that is empty or no CSV in UTF-8, without a line of names, or with a row of over 16 MiB.
    """
    with _opened(path) as file, _damaged(path):
        head = file.read(_LONGEST)
        _check_kind(path, head)
        terminator = 10 if b"\n" in head or b"\r" not in head else 13
        start, line = _first_line(path, head, terminator)
        separator = _separator(path, line, head[start : start + 2**16])
        names = _names(path, _cells(line, separator))
        file.seek(start)
        rows, size = _Rows(path, names, separator, terminator).count(file)
    return CSV(path, names, separator, rows, start, max(1, _PART * max(rows, 1) // max(size, 1)))


def _opened(path: Path) -> contextlib.AbstractContextManager[BinaryIO]:
    packed = path.suffix.lower() == ".gz"
    return gzip.open(path, "rb") if packed else path.open("rb")  # type: ignore[return-value]


@contextlib.contextmanager
def _damaged(path: Path) -> Iterator[None]:
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as fault:
        raise error(f"{path}", "a file that gzip can unpack", f"{fault}", "Pack it again.") from fault


def _check_kind(path: Path, head: bytes) -> None:
    for magic, (kind, remedy) in _KINDS.items():
        if head.startswith(magic):
            raise error(f"{path}", "a CSV file in UTF-8", f"one that begins as {kind} does", remedy)
    if not head.strip(b"\xef\xbb\xbf \t\r\n"):
        raise error(f"{path}", "a line of names and rows of numbers", "an empty file", "Check how it was written.")


def _first_line(path: Path, head: bytes, terminator: int) -> tuple[int, str]:
    """The place behind the first line that is not blank, and that line."""
    start = 3 if head.startswith(b"\xef\xbb\xbf") else 0  # the mark that Excel puts before UTF-8
    values = np.frombuffer(head, np.uint8)
    quotes = np.flatnonzero(values == ord('"'))
    ends, within = _outside(np.flatnonzero(values == terminator), quotes, 0), len(quotes) % 2
    stops = [*(ends + 1).tolist(), *([len(head)] if len(head) < _LONGEST and not within else [])]
    for stop in stops:
        if line := head[start:stop].strip():
            try:
                return stop, line.decode("utf-8")
            except UnicodeDecodeError as fault:
                raise error(f"{path}", "names in UTF-8", f"{fault}", _UTF8) from fault
        start = stop
    raise error(f"{path}", "a line of names", _unended(within), "Check that this is a CSV file.")


def _unended(within: int) -> str:
    return "a quote that is not closed" if within else f"a line of over {_LONGEST // 2**20} MiB"


class _Rows:
    """The rows of a file, counted and measured before anything is parsed.

    pandas fills short rows up, cuts off the first row of a part where it is long, and takes all that follows a quote
    without a partner for one cell: here none of them passes.

    Args:
        path: Path of the file.
        names: Names of the columns.
        separator: What stands between cells.
        terminator: The byte that ends rows.
    """

    def __init__(self, path: Path, names: list[str], separator: str, terminator: int) -> None:
        self.path, self.names, self.separator, self.terminator = path, names, separator, terminator
        self._rows = self._blank = self._within = 0
        self._pending = self._separators = 0  # bytes and separators since the last end

    def count(self, file: BinaryIO) -> tuple[int, int]:
        """The number of rows to the end of the file, blank ones included, and their bytes.

        Raises:
            ValueError: For rows that are too long or too short, quotes that are not closed, and bytes of 0.
        """
        size = 0
        while block := file.read(_BLOCK):
            self._add(block)
            size += len(block)
        if self._within:
            raise error(f"{self.path}", "a CSV file", _unended(1), 'Each " needs its partner; write " in a cell as "".')
        if self._pending:
            self._add(bytes([self.terminator]))
        return self._rows, size

    def _add(self, block: bytes) -> None:
        if b"\0" in block:
            raise error(f"{self.path}", "a CSV file in UTF-8", "one with bytes of 0 in it", _UTF8)
        values = np.frombuffer(block, np.uint8)
        quotes = np.flatnonzero(values == ord('"'))
        ends = _outside(np.flatnonzero(values == self.terminator), quotes, self._within)
        separators = _outside(np.flatnonzero(values == ord(self.separator)), quotes, self._within)
        self._within = (self._within + len(quotes)) % 2
        before = np.searchsorted(separators, ends)
        if len(ends):
            lengths, between = np.diff(ends, prepend=-1) - 1, np.diff(before, prepend=0)
            lengths[0] += self._pending
            between[0] += self._separators
            self._check(lengths, between + 1)
            self._rows, self._blank = self._rows + len(ends), self._blank + int((lengths <= 1).sum())
            self._pending, self._separators = len(block) - 1 - int(ends[-1]), len(separators) - int(before[-1])
        else:
            self._pending, self._separators = self._pending + len(block), self._separators + len(separators)
        if self._pending > _LONGEST:
            raise error(f"{self.path}", "rows that end", _unended(self._within), "Check that this is a CSV file.")

    def _check(self, lengths: np.ndarray, cells: np.ndarray) -> None:
        expected = len(self.names)
        odd = np.flatnonzero((lengths > 1) & ((cells < expected) | (cells > expected + 1)))
        if len(odd):
            blank = self._blank + int((lengths[: odd[0]] <= 1).sum()) * (expected > 1)
            received = f"{cells[odd[0]]} in row {self._rows + odd[0] + 1 - blank}"
            raise _ragged(self.path, self.names, self.separator, received)


def _outside(places: np.ndarray, quotes: np.ndarray, within: int) -> np.ndarray:
    """Those places that are not between quotes, where `within` says whether a quote is open at the beginning."""
    if not len(quotes) and not within:
        return places
    return places[(np.searchsorted(quotes, places) + within) % 2 == 0]


def _ragged(path: Path, names: list[str], separator: str, received: str) -> ValueError:
    shown = ", ".join(map(repr, names[:3])) + (", ..." if len(names) > 3 else "")
    expected = f"as many cells in each row as there are names, {len(names)} ({shown})"
    remedy = f"Mend the row, or put quotes around cells in which {separator!r} is no separator."
    return error(f"{path}", expected, received, remedy)


def _cells(line: str, separator: str) -> list[str]:
    return next(csv.reader(io.StringIO(line, newline=""), delimiter=separator))


def _separator(path: Path, line: str, following: bytes) -> str:
    """The separator that makes as many cells of the first row as of the names, and more than one."""
    row = following.decode("utf-8", "replace").lstrip("\r\n").splitlines()[:1]
    counts = {separator: len(_cells(line, separator)) for separator in _SEPARATORS}
    several = [separator for separator, count in counts.items() if count > 1]
    fitting = [one for one in several if row and len(_cells(row[0], one)) == counts[one]] if row else several
    if len(fitting) == 1 or len(several) == 1:
        return (fitting or several)[0]
    if not several:
        return "\t" if path.name.lower().endswith((".tsv", ".tsv.gz")) else ","
    received = " and ".join(map(repr, fitting or several))
    remedy = "Read it with pandas.read_csv(path, sep=...) and pass the frame."
    raise error(f"{path}", "one separator that splits names and rows alike", received, remedy)


def _names(path: Path, cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    numbers = [name for name in names if _is_number(name)]
    if len(numbers) == len(names) or any(not name.lstrip("+-").isdigit() for name in numbers):
        received, remedy = f"numbers, such as {numbers[0]}", "Write the names of the columns as the first line."
        raise error(f"{path}", "names in the first line", received, remedy)
    return [name or f"Unnamed: {i}" for i, name in enumerate(names)]


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
