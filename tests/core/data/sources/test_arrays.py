"""Columns of numbers as arrays: the same by every way, ahead of the caller, and no further."""

from __future__ import annotations

import threading
import time

import numpy as np
import pandas as pd
import polars as pl
import pytest

from ember_core.data.sources import DataError, array_chunks
from ember_core.data.sources._arrays import ahead

ROWS = 2003


def table():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(50.0, 3.0, (ROWS, 3)).round(3), columns=list("abc"))
    frame.loc[rng.random(ROWS) < 0.2, "b"] = np.nan
    frame["n"] = np.arange(ROWS)
    frame.insert(0, "host", "h-1")
    return frame


@pytest.fixture(params=["csv", "csv;", "csv.gz", "parquet", "jsonl", "pandas", "polars"])
def data(request, tmp_path):
    frame, kind = table(), request.param
    if kind == "pandas":
        return frame
    if kind == "polars":
        return pl.from_pandas(frame)
    path = tmp_path / f"t.{kind.rstrip(';')}"
    if kind == "parquet":
        frame.to_parquet(path)
    elif kind == "jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, index=False, sep=";" if kind.endswith(";") else ",")
    return path


@pytest.mark.parametrize("columns", [(), ("n", "b")])
def test_every_way_gives_the_same_numbers(data, columns):
    chunks = list(array_chunks(data, columns, chunk_rows=97))
    assert max(len(chunk) for chunk in chunks) <= 97
    assert {chunk.dtype for chunk in chunks} == {np.dtype("float32")}
    wanted = table()[list(columns) or list("abcn")].to_numpy("float32")
    np.testing.assert_array_equal(np.concatenate(chunks), wanted)


def test_without_pyarrow_it_is_pandas_that_reads(tmp_path, monkeypatch):
    table().to_csv(tmp_path / "t.csv", index=False)
    fast = np.concatenate(list(array_chunks(tmp_path / "t.csv", dtype="float64")))
    monkeypatch.setattr("ember_core.data.sources._csv.find_spec", lambda _name: None)
    slow = np.concatenate(list(array_chunks(tmp_path / "t.csv", dtype="float64")))
    np.testing.assert_array_equal(fast, slow)


@pytest.mark.parametrize(
    ("columns", "said"),
    [(("x",), "'x'"), (("host",), "cannot be read|has no number|CSV conversion")],
)
def test_what_is_no_column_of_numbers_is_refused(data, columns, said):
    with pytest.raises(DataError, match=said):
        list(array_chunks(data, columns))


def test_a_thread_reads_ahead_but_not_far():
    taken = []

    def items():
        for number in range(17):
            taken.append(number)
            yield number

    reader = ahead(items(), 2)
    assert next(reader) == 0
    deadline = time.monotonic() + 30.0
    while len(taken) < 4 and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    assert taken == [0, 1, 2, 3]  # one with the caller, two that wait, one in the reader's hand
    assert list(reader) == list(range(1, 17))


def test_the_thread_ends_with_its_caller():
    before = threading.active_count()
    reader = ahead(iter(range(1_000_000)))
    next(reader)
    assert threading.active_count() == before + 1
    reader.close()
    assert threading.active_count() == before


def test_an_error_of_the_reader_reaches_the_caller():
    def items():
        yield 1
        raise DataError("broken")

    reader = ahead(items())
    assert next(reader) == 1
    with pytest.raises(DataError, match="broken"):
        next(reader)
