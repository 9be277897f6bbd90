"""Tables: what `data.load` makes of CSV, Parquet and data frames, and one clear line for everything else."""

import datetime
import decimal
import gzip
import os
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

from vae_tf import data
from vae_tf.data import _csv, _frames

ROWS = [(0.37 * i, (7 * i) % 5, i % 2) for i in range(25)]
TEXT = "a,b,c\n" + "".join(f"{a:.2f},{b},{c}\n" for a, b, c in ROWS)
FRAME = pd.DataFrame(ROWS, columns=list("abc")).astype(np.float32)


def write(folder, text, name="table.csv"):
    path = folder / name
    content = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


def whole(parts):
    """Training and test rows, in the order that they have in the table."""
    return pd.concat(parts).sort_index()


# --- what is read ----------------------------------------------------------------------------------------------------

SAME_TABLES = {
    "commas": ("table.csv", TEXT),
    "semicolons": ("table.csv", TEXT.replace(",", ";")),
    "bars": ("table.csv", TEXT.replace(",", "|")),
    "tabs": ("table.tsv", TEXT.replace(",", "\t")),
    "gzip": ("table.csv.gz", TEXT),
    "a mark before UTF-8": ("table.csv", "\ufeff" + TEXT),
    "ends of Windows": ("table.CSV", TEXT.replace("\n", "\r\n")),
    "ends of an old Macintosh": ("table.csv", TEXT.replace("\n", "\r")),
    "no end": ("table.csv", TEXT[:-1]),
    "blank lines": ("table.csv", "\n" + TEXT.replace("\n", "\n\n") + "\n"),
    "spaces": ("table.csv", TEXT.replace(",", " , ")),
    "quotes": ("table.csv", '"' + TEXT[:-1].replace(",", '","').replace("\n", '"\n"') + '"\n'),
    "a separator at the end": ("table.csv", TEXT[:6] + TEXT[6:].replace("\n", ",\n")),
    "booleans": ("table.csv", TEXT.replace(",1\n", ",True\n").replace(",0\n", ",False\n")),
}


@pytest.mark.parametrize(("name", "text"), SAME_TABLES.values(), ids=SAME_TABLES)
@pytest.mark.parametrize("part", [2**25, 40])
def test_one_table_in_many_forms(tmp_path, monkeypatch, name, text, part):
    monkeypatch.setattr(_csv, "_PART", part)  # bytes that are parsed at a time
    train, test = data.load(write(tmp_path, text, name))
    assert len(test) == 2
    assert set(train.dtypes) == {np.dtype(np.float32)}
    pd.testing.assert_frame_equal(whole([train, test]), FRAME)


def test_quoted_cells_may_hold_anything(tmp_path):
    text = 'a,"the ""b"", in\nmetres",comment\n1,2,"x\ny, z"\n3,5,"he said ""no"""\n4,6,\n'
    train, test = data.load(write(tmp_path, text), drop=["comment"])
    assert list(train) == ["a", 'the "b", in\nmetres']
    np.testing.assert_array_equal(whole([train, test]), [[1, 2], [3, 5], [4, 6]])


def test_the_split_is_that_of_images_and_can_be_chosen():
    train, test = data.load(FRAME)
    order = np.random.default_rng(0).permutation(25)
    assert [*train.index, *test.index] == order.tolist()
    _, test = data.load(FRAME, test_fraction=0.4, seed=3)
    assert test.index.tolist() == np.random.default_rng(3).permutation(25)[-10:].tolist()


def test_a_frame_keeps_its_index_and_is_not_changed():
    frame = FRAME.astype({"b": "Int64", "c": "boolean"}).set_index(pd.Index([f"row {i}" for i in range(25)]))
    before = frame.copy()
    train, test = data.load(frame)
    pd.testing.assert_frame_equal(pd.concat([train, test]).loc[frame.index].reset_index(drop=True), FRAME)
    pd.testing.assert_frame_equal(frame, before)
    train.iloc[0, 0] = -1
    pd.testing.assert_frame_equal(frame, before)


def test_labels_are_taken_out(tmp_path):
    text = "a,kind,b\n1,x,2\n3,y,4\n5,x,7\n"
    (x, kinds), (x_test, kind) = data.load(write(tmp_path, text), labels="kind")
    assert list(x) == list(x_test) == ["a", "b"]
    assert dict(zip([*x.a, *x_test.a], [*kinds, *kind], strict=True)) == {1: "x", 3: "y", 5: "x"}
    for values, dtype in (("0,1,2", np.int64), ("True,False,True", np.int64), ("0.5,1,2", np.float64)):
        cells = values.split(",")
        text = "a,y\n" + "".join(f"{i * i},{cell}\n" for i, cell in enumerate(cells))
        (_, y), _ = data.load(write(tmp_path, text), labels="y")
        assert y.dtype == dtype


def test_a_table_of_units_keeps_six_digits(tmp_path):
    columns = {f"u{k}": np.random.default_rng(k + 3).normal(2, 1, 50) * 10.0**k for k in range(-3, 7)}
    pd.DataFrame(columns).to_csv(tmp_path / "units.csv", index=False)
    read = whole(data.load(tmp_path / "units.csv"))
    np.testing.assert_array_equal(read, pd.DataFrame(columns).astype(np.float32))


def test_parquet(tmp_path):
    pytest.importorskip("pyarrow", reason='pyarrow is not installed: pip install "vae-tf[parquet]"')
    frame = FRAME.assign(c=FRAME.c > 0, **{"d.e": [decimal.Decimal(i) for i in range(25)], "d": FRAME.a})
    frame.index = pd.Index(np.arange(25)[::-1], name="number")
    frame.to_parquet(tmp_path / "x.parquet")
    expected = FRAME.assign(**{"d.e": np.arange(25), "d": FRAME.a}).astype(np.float32)
    with pytest.warns(UserWarning, match="'d.e': the numbers of the rows"):
        pd.testing.assert_frame_equal(whole(data.load(tmp_path / "x.parquet")), expected)


def test_parquet_without_pyarrow_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    with pytest.raises(ImportError, match=r'pip install "vae-tf\[parquet\]"'):
        data.load(tmp_path / "x.parquet")


# --- what is refused -------------------------------------------------------------------------------------------------

REFUSED_TEXTS = {
    "text": ("a,name\n1,Anna\n2,Bob\n", r"'name' \(text, 'Anna' in row 1\)\. Drop .*drop=\['name'\].*get_dummies"),
    "a word": (
        "a,b\n" + "1.5,2\n" * 9 + "x,2\n",
        r"column: expected numbers, received 'a' \(text in 1 of 10 rows, 'x' in",
    ),
    "two columns": ("a,b,c\nx,1,y\nx,2,y\n", r"columns: expected numbers, received 'a' .* 'c' "),
    "dates": ("a,day\n1,2020-01-01\n2,2020-01-02\n", r"'day' \(dates, '2020-01-01' in row 1\).*days since"),
    "decimal commas": (TEXT.replace(",", ";").replace(".", ","), r"decimal commas, '0,00' in row 1.*decimal=\",\""),
    "missing": (
        "a,b\n1,\n,2\n3,NA\n4,5\n",
        r"3 missing, in columns 'a' \(1, the first in row 2\), 'b' \(2, the first in row 1",
    ),
    "infinite": ("a,b\n1,inf\n2,-inf\n3,1\n", r"2 infinite, in column 'b' \(2, the first in row 1\)"),
    "short row": ("a,b,c\n1,2,3\n1,2\n4,5,6\n", r"3 \('a', 'b', 'c'\), received 2 in row 2"),
    "long row": ("a,b,c\n1,2,3\n1,2,3,4\n4,5,6\n", r"received more in row 2, 4"),
    "longer row": ("a,b,c\n1,2,3\n1,2,3,,5\n4,5,6\n", r"received 5 in row 2"),
    "comment": ("# made by hand\na,b\n1,2\n3,4\n", r"names, 1 \('# made by hand'\), received more in row 1"),
    "no names": (TEXT[6:], "expected names in the first line, received numbers, such as 0.00"),
    "a name twice": (TEXT.replace("a,b,c", "a,b,a"), "expected no name twice, received 'a'"),
    "index": (FRAME.to_csv(), r"'Unnamed: 0', which is .*index=False, or leave .* drop=\['Unnamed: 0'\]"),
    "empty": ("", "received an empty file"),
    "blank": ("\n \n\n", "received an empty file"),
    "names alone": ("a,b\n", "expected rows of numbers, received none"),
    "one row": ("a,b\n1,2\n", "at least 2 rows, to train and to test, received 1"),
    "gap in one column": ("a\n1\n\n2\n", r"1 missing, in column 'a' \(1, the first in row 2\)"),
    "names in Latin-1": ("größe,b\n1,2\n3,4\n".encode("latin-1"), "expected names in UTF-8"),
    "cells in Latin-1": ("a,b\n1,ü\n3,4\n".encode("latin-1"), r"expected text in UTF-8.*encoding=\"latin-1\""),
    "UTF-16": ("a,b\n1,2\n".encode("utf-16"), "one that begins as UTF-16 does"),
    "bytes of 0": (b"a,b\n1\x002,2\n3,4\n", "one with bytes of 0 in it"),
    "workbook": (b"PK\x03\x04" + bytes(90), "begins as Excel or a zip archive does.*read_excel"),
    "open quote": ('a,b\n1,"2\n3,4\n', "a quote that is not closed"),
    "two separators": ("a,b;c\n1,2;3\n4,5;6\n", r"one separator .* received ',' and ';'"),
    "beyond float32": (
        "a,b\n1e39,1\n2,2\n",
        r"column 'a': expected numbers up to 3.4e\+38, for float32, received 1e\+39",
    ),
    "offset": (
        "t,b\n1700000000.1,1\n1700000000.2,2\n1700000000.4,4\n",
        r"column 't'.*float32 has steps of 1.3e\+02.* -= 1\.7",
    ),
    "below float32": ("a,b\n1e-42,1\n2e-42,2\n", "column 'a': expected values that float32 can tell apart"),
}


@pytest.mark.parametrize(("text", "message"), REFUSED_TEXTS.values(), ids=REFUSED_TEXTS)
@pytest.mark.parametrize("part", [2**25, 8])
def test_refused_files(tmp_path, monkeypatch, text, message, part):
    monkeypatch.setattr(_csv, "_PART", part)
    path = write(tmp_path, text)
    if part == 8:
        message = message.partition(" in 1 of 10 rows")[0]
    with pytest.raises(ValueError, match=message) as caught:
        data.load(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


REFUSED_FRAMES = {
    "categories": (pd.Categorical(["x", "y", "z", "x"]), r"'d' \(categories such as 'x'\)"),
    "dates": (pd.date_range("2020", periods=4), r"'d' \(dates or times, datetime64"),
    "durations": (pd.to_timedelta(range(4), unit="s"), "dates or times, timedelta64"),
    "periods": (pd.period_range("2020", periods=4), "dates or times, period"),
    "days": ([datetime.date(2020, 1, i) for i in range(1, 5)], "dates, 2020-01-01 in row 1"),
    "missing numbers": (pd.array([1, None, 3, 4], dtype="Int64"), "1 missing, in column 'd' .*row 2"),
    "missing booleans": ([True, None, False, True], "1 missing, in column 'd' .*row 2"),
    "lists": ([[1], [2], [3], [4]], r"text, \[1\] in row 1"),
    "complex": ([1j, 1, 2, 3], "complex numbers"),
    "a word": ([1, 2.5, "x", 3], r"text in 1 of 4 rows, 'x' in row 3"),
}


@pytest.mark.parametrize(("column", "message"), REFUSED_FRAMES.values(), ids=REFUSED_FRAMES)
def test_refused_columns_of_frames(column, message):
    frame = pd.DataFrame({"a": [0.5, 2.0, 3.0, 5.0], "d": column}, index=[7, 7, 7, 7])
    with pytest.raises(ValueError, match=f"data frame: .*{message}"):
        data.load(frame)


def test_other_refused_frames():
    two_levels = pd.DataFrame(np.eye(3), columns=pd.MultiIndex.from_tuples([("a", "b"), ("a", "c"), ("b", "c")]))
    for frame, message in (
        (FRAME[:0], "expected rows of numbers, received none"),
        (FRAME[[]], "at least one column"),
        (two_levels, "names of 2 levels"),
        (pd.DataFrame(np.eye(3), columns=[1, "1", 2]), "no name twice, received '1'"),
    ):
        with pytest.raises(ValueError, match=message):
            data.load(frame)


def test_what_is_no_table(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "folder.csv").mkdir()
    for name in ("pipe.csv", "folder.csv"):
        with pytest.raises(ValueError, match="a file that can be read"):
            data.load(tmp_path / name)
    for name in ("none.csv", "https://example.org/table.csv", "s3://bucket/table.parquet"):
        with pytest.raises(ValueError, match="there is no such"):
            data.load(name)
    broken = gzip.compress(TEXT.encode())[:-20]
    (tmp_path / "broken.csv.gz").write_bytes(broken)
    with pytest.raises(ValueError, match="a file that gzip can unpack"):
        data.load(tmp_path / "broken.csv.gz")


def test_names_of_columns_that_are_not_there():
    for arguments in ({"labels": "z"}, {"drop": ["a", "z"]}):
        with pytest.raises(ValueError, match=r"expected one of its columns, 'a', 'b', 'c', received 'z'"):
            data.load(FRAME, **arguments)
    with pytest.raises(ValueError, match=r"labels: expected the name of a column, received True"):
        data.load(FRAME, labels=True)
    with pytest.raises(ValueError, match="at least one column"):
        data.load(FRAME, drop=list("abc"))


def test_a_missing_label_is_refused():
    with pytest.raises(ValueError, match=r"column 'y', the labels: .* 1 missing, the first in row 3"):
        data.load(FRAME.assign(y=["u", "v", None] + ["u"] * 22), labels="y")


def test_more_than_memory_holds_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(_frames, "available_memory", lambda: 100)
    with pytest.raises(ValueError, match=r"25 rows of 3 columns, .*mmap_mode"):
        data.load(write(tmp_path, TEXT))


def test_a_row_without_an_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(_csv, "_LONGEST", 1000)
    monkeypatch.setattr(_csv, "_BLOCK", 400)
    for text, message in (("a" * 2000, "a line of over"), ("a,b\n1,2\n" + "1" * 3000, "rows that end")):
        with pytest.raises(ValueError, match=message):
            data.load(write(tmp_path, text))
    with pytest.raises(ValueError, match="a quote that is not closed"):
        data.load(write(tmp_path, 'a,b\n1,"' + "x" * 3000))


# --- warnings --------------------------------------------------------------------------------------------------------

WARNED = {
    "one value": (FRAME.assign(c=7), r"column 'c': one value alone in the training rows.*drop=\['c'\]"),
    "identifiers": (FRAME.assign(c=10**9 + 7919 * np.arange(25) ** 2), "column 'c': whole numbers beyond 2.24"),
    "row numbers": (FRAME.assign(c=np.arange(1, 26)), "column 'c': the numbers of the rows"),
}


@pytest.mark.parametrize(("frame", "message"), WARNED.values(), ids=WARNED)
def test_columns_that_are_no_features(frame, message):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data.load(frame)
    (warning,) = caught
    assert pd.Series([str(warning.message)]).str.contains(message).all()
