"""Tables of numbers from CSV, Parquet and pandas: `load` splits them into training and test frames of float32."""

from __future__ import annotations

import contextlib
import math
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vae_tf import _checks
from vae_tf._checks import problem
from vae_tf.data import _csv
from vae_tf.data._columns import Columns, error, warn_of_constants
from vae_tf.data._regular import open_regular

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (*_csv.SUFFIXES, ".parquet", ".pq")
"""Endings of the files that hold tables."""

_INDEX = "Unnamed: "
_PART = 32 * 2**20  # bytes of float64 that are looked at together
_SHOWN = 8


@dataclass(frozen=True)
class _Source:
    """A table that can be read a part at a time.

    Attributes:
        what: Name of the table in messages.
        names: Names of its columns.
        rows: Number of its rows, or a bound on it.
        parts: Function of the numbers of some columns, and of the one of them that holds labels, that reads them.
        index: Names of the rows; None numbers them from 0.
    """

    what: str
    names: list[str]
    rows: int
    parts: Callable[[Sequence[int], int | None], Iterator[pd.DataFrame]]
    index: Any = None


def is_table(source: Any) -> bool:
    """Whether `source` is a data frame, or a path that ends as that of a table does."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source).lower().endswith(SUFFIXES)
    return type(source).__name__ == "DataFrame"


def load(
    source: Any,
    *,
    labels: Any = None,
    drop: Sequence[str] = (),
    test_fraction: float = 0.1,
    seed: int = 0,
) -> tuple[tuple[pd.DataFrame, np.ndarray | None], tuple[pd.DataFrame, np.ndarray | None]]:
    """Training and test rows of a table, each with its labels.

    Args:
        source: Path of a CSV or Parquet file, or a pandas data frame.
        labels: Name of the column that holds the labels; None for none.
        drop: Names of columns that are left out.
        test_fraction: Share of the rows that become the test set, at least 1.
        seed: Seed of the order of the rows.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: frames of float32 whose index is the number of the row in the table,
        from 0, or that of the given frame; y is None without labels.

    Raises:
        TypeError: For data of another kind.
        ValueError: If the table holds anything but finite numbers that float32 can tell apart; the text names the file,
            the column, the first row (counted from 1, below the names), and a remedy.
        ImportError: For Parquet without pyarrow.
    """
    table = _open(source)
    _check_names(table)
    wanted, label = _wanted(table, labels, drop)
    names = [table.names[i] for i in wanted]
    columns = Columns(names, table.rows, table.what)
    cells = []
    for part in table.parts([*wanted, *([] if label is None else [label])], label):
        if label is not None:
            cells.append(part.iloc[:, -1])
            part = part.iloc[:, :-1]
        columns.add(part)
    x = columns.numbers()
    y = None if label is None else _labels(cells, f"{table.what}: column {table.names[label]!r}, the labels")
    train, test = split(len(x), test_fraction, seed, table.what)
    warn_of_constants(x[train], names, table.what)
    first, second = ((_frame(x, rows, names, table.index), None if y is None else y[rows]) for rows in (train, test))
    return first, second


def without(frame: pd.DataFrame, drop: Sequence[str], what: str) -> pd.DataFrame:
    """A frame of numbers without some of its columns; a ValueError where it has them not."""
    table = _Source(what, list(frame), len(frame), lambda *_: iter(()))
    return frame.iloc[:, _wanted(table, None, drop)[0]]


def split(count: int, test_fraction: float, seed: int, what: str) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the training and of the test examples: a fixed random order, of which the last are the test set.

    Args:
        count: Number of all examples.
        test_fraction: Share of the test set, which has at least 1.
        seed: Seed of the order.
        what: Name of the data in messages.

    Raises:
        ValueError: If there are fewer than 2 examples, or none is left to train on.
    """
    share = _checks.fraction("test_fraction", test_fraction, "0.1 suits most data.")
    if count < 2:
        raise error(what, "at least 2 rows, to train and to test", count, "Add some: this is too few.")
    held_out = max(1, math.floor(count * share + 1e-9))
    order = np.random.default_rng(_checks.seed(seed)).permutation(count)
    return order[:-held_out], order[-held_out:]


def _frame(x: np.ndarray, rows: np.ndarray, names: list[str], index: Any) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(x[rows], index=rows if index is None else index[rows], columns=names, copy=False)


# --- sources ---------------------------------------------------------------------------------------------------------


def _open(source: Any) -> _Source:
    if not isinstance(source, str | os.PathLike):
        return _from_pandas(source)
    path = Path(source).expanduser()
    if not path.exists():
        raise error(
            "data", "the path of a table", f"{str(source)!r:.200}", "Check the spelling: there is no such file."
        )
    try:
        open_regular(path).close()
    except OSError as fault:
        raise error(f"{path}", "a file that can be read", f"{fault}", "Write the table into a regular file.") from fault
    if path.suffix.lower() in (".parquet", ".pq"):
        return _from_parquet(path)
    table = _csv.survey(path)
    return _Source(f"{path}", table.names, table.rows, table.parts)


def _from_pandas(frame: Any) -> _Source:
    import pandas as pd

    what = "data frame"
    if not isinstance(frame, pd.DataFrame):
        received, remedy = f"a {type(frame).__name__} of {type(frame).__module__}", "Pass frame.to_pandas()."
        raise TypeError(problem(what, expected="one of pandas", received=received, remedy=remedy))
    if frame.columns.nlevels > 1:
        remedy = "Join them: frame.columns = ['_'.join(map(str, name)) for name in frame.columns]."
        raise error(what, "one name for each column", f"names of {frame.columns.nlevels} levels", remedy)

    def parts(wanted: Sequence[int], _: int | None) -> Iterator[pd.DataFrame]:
        rows = max(1, _PART // (8 * len(wanted)))
        return (frame.iloc[start : start + rows, list(wanted)] for start in range(0, len(frame), rows))

    return _Source(what, [str(name) for name in frame.columns], len(frame), parts, frame.index)


def _from_parquet(path: Path) -> _Source:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as fault:
        remedy = 'pip install "vae-tf[parquet]"'
        raise ImportError(problem(f"{path}", expected="pyarrow", received="no such package", remedy=remedy)) from fault
    with _readable(path), parquet.ParquetFile(path, memory_map=False) as file:
        rows, schema = file.metadata.num_rows, file.schema_arrow
    stored = (schema.pandas_metadata or {}).get("index_columns", [])
    names = [name for name in schema.names if name not in [one for one in stored if isinstance(one, str)]]

    def parts(wanted: Sequence[int], _: int | None) -> Iterator[pd.DataFrame]:
        chosen = [names[i] for i in wanted]
        with _readable(path), parquet.ParquetFile(path, memory_map=False) as file:
            for batch in file.iter_batches(max(1, _PART // (8 * len(chosen))), columns=chosen):
                yield pa.table({name: _without_decimals(pa, batch[name]) for name in chosen}).to_pandas()

    return _Source(f"{path}", names, rows, parts)


def _without_decimals(pa: Any, column: Any) -> Any:
    return column.cast(pa.float64()) if pa.types.is_decimal(column.type) else column


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    from pyarrow import ArrowException

    try:
        yield
    except (ArrowException, OSError) as fault:
        text = " ".join(str(fault).split())
        raise error(f"{path}", "a Parquet file that pyarrow can read", f"{text:.200}", "Write it again.") from fault


# --- columns ---------------------------------------------------------------------------------------------------------


def _check_names(table: _Source) -> None:
    twice = [name for name, count in Counter(table.names).items() if count > 1]
    if twice:
        remedy = "Give each column a name of its own."
        raise error(
            f"{table.what}: names of the columns", "no name twice", ", ".join(map(repr, twice[:_SHOWN])), remedy
        )


def _wanted(table: _Source, labels: Any, drop: Sequence[str]) -> tuple[list[int], int | None]:
    """The positions in the file of the columns that are examples, and of the one that is labels."""
    if labels is not None and not isinstance(labels, str):
        remedy = f"Pass labels={table.names[-1]!r}, say."
        raise error(f"{table.what}: labels", "the name of a column", repr(labels), remedy)
    drop = [drop] if isinstance(drop, str) else list(drop)
    known = ", ".join(map(repr, table.names[:_SHOWN])) + (", ..." if len(table.names) > _SHOWN else "")
    for argument, name in [("drop", name) for name in drop] + [("labels", labels)] * (labels is not None):
        if name not in table.names:
            raise error(f"{table.what}: {argument}", f"one of its columns, {known}", repr(name), "Check the spelling.")
    wanted = [i for i, name in enumerate(table.names) if name not in drop and name != labels]
    if not wanted:
        raise error(table.what, "at least one column of numbers", "none", "Keep a column.")
    nameless = [table.names[i] for i in wanted if table.names[i].startswith(_INDEX)]
    if nameless:
        received = (
            f"{nameless[0]!r}, which is what pandas calls a column without a name, such as an index it has written"
        )
        remedy = f"Write the table with index=False, or leave the column out: drop=[{nameless[0]!r}]."
        raise error(f"{table.what}: names of the columns", "a name for each", received, remedy)
    room, needed = available_memory(), 8 * len(wanted) * table.rows
    if room is not None and needed > room:
        received = f"{table.rows:,} rows of {len(wanted)} columns, which take {needed / 2**30:.1f} GiB to load"
        remedy = (
            "Save float32 numbers with numpy.save and fit on numpy.load(path, mmap_mode='r'), which stays on the disk."
        )
        raise error(table.what, f"a table that fits into {room / 2**30:.1f} GiB of free memory", received, remedy)
    return wanted, None if labels is None else table.names.index(labels)


def _labels(cells: list[pd.Series], what: str) -> np.ndarray:
    """Labels `[n]`: whole numbers as int64, other numbers as float64, anything else as text."""
    import pandas as pd

    column = pd.concat(cells, ignore_index=True)
    if missing := int(column.isna().sum()):
        received = f"{missing} missing, the first in row {int(column.isna().to_numpy().argmax()) + 1}"
        raise error(what, "a label in every row", received, "Drop those rows, or fill them.")
    numbers = pd.to_numeric(column.astype(str).replace({"True": "1", "False": "0"}), errors="coerce")
    if numbers.isna().any():
        return column.astype(str).to_numpy(str)
    values = numbers.to_numpy()
    return values.astype(np.int64) if (values == np.rint(values)).all() else values.astype(np.float64)


def available_memory() -> int | None:
    """Bytes that the system can still give to this process; None where it does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    kilobytes = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    return 1024 * kilobytes[0] if kilobytes else None
