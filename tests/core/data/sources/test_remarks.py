"""What a source tells about columns and rows that it does not use as they stand."""

from __future__ import annotations

import pandas as pd

from ember_core.data.sources import DataOptions, Remark, read
from ember_core.data.sources._remarks import Remarks


def test_columns_left_out_are_told_by_name():
    frame = pd.DataFrame(
        {
            "ts": [0, 60, 120],
            "cpu": [1.0, 2.0, 3.0],
            "note": ["warm", None, "cold"],
            "fan": [None] * 3,
        }
    )
    data = read([frame], chunk_rows=2)
    assert [(r.kind, r.column, r.first_row, r.example) for r in data.remarks] == [
        ("text_column", "note", 1, "warm"),
        ("empty_column", "fan", 0, ""),
    ]
    assert data.remarks[0].sentence() == (
        "the pandas DataFrame: column 'note': left out, as it is no column of numbers "
        "(first in row 1: 'warm')."
    )


def test_columns_that_the_user_named_are_not_told():
    frame = pd.DataFrame({"ts": [0, 60], "cpu": [1.0, 2.0], "note": ["a", "b"], "fan": [None] * 2})
    assert read([frame], DataOptions(drop="note,fan")).remarks == ()
    assert read([frame], DataOptions(channels="cpu")).remarks == ()


def test_a_share_of_the_rows_counts_nothing_twice():
    frame = pd.DataFrame({"ts": [0, 60], "cpu": [1.0, 2.0], "note": ["a", "b"]})
    assert len(read([frame], DataOptions(train_head="50%")).remarks) == 1


def test_equal_remarks_add_up_and_keep_the_first_row():
    remarks = Remarks("a.csv")
    remarks.add("missing_word", "taken as missing", column="cpu", count=2, first_row=7, example="-")
    remarks.extend([Remark("missing_word", "taken as missing", "b.csv", "cpu", 3, 90, "n/a")])
    (remark,) = remarks
    assert (remark.count, remark.first_row, remark.example, remark.source) == (5, 7, "-", "a.csv")
    assert remark.as_json()["count"] == 5
    assert "first_row" not in Remark("rows", "sorted by time").as_json()
    assert Remark("rows", "sorted by time", count=1).sentence() == "sorted by time (1 row)."
    assert Remark("x", "kept", example="b").sentence() == "kept (such as 'b')."
