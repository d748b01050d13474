"""The benchmark of keys never seen: where they begin, and what is counted of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks import frame
from benchmarks.cold_start import lines
from benchmarks.cold_start.beginnings import Beginning, fault_spans, places
from benchmarks.cold_start.figures import figures
from benchmarks.cold_start.sets import ColdSet
from ember_core.data.sources import Dataset, KeyTable
from stream.backtest import KeyScores

MINUTE = 60_000_000
TRAIN, TEST = 3000, 600
FAULT = slice(TRAIN + 200, TRAIN + 260)


def _table() -> KeyTable:
    n = TRAIN + TEST
    label = np.zeros(n, np.int8)
    label[FAULT] = 1
    is_train = np.arange(n) < TRAIN
    return KeyTable(b"k", np.arange(n) * MINUTE, None, np.zeros((n, 1)), is_train, label)


def _said(kind: Any, age: int, table: KeyTable, fires: list[int]) -> Beginning:
    """A key that is scored from its row 30 on, and fires at these rows."""
    rows = np.arange(30, len(table.time_us))
    trigger = np.isin(rows, fires).astype(np.int8)
    assert table.label is not None
    score = table.label[rows].astype(np.float32)
    blank = np.zeros(len(rows), np.float32)
    scores = KeyScores(
        table.time_us[rows], score, blank, blank, blank, trigger > 0, trigger, trigger > 0
    )
    return Beginning(kind, age, table, scores, is_joint=True)


def test_a_key_begins_before_each_fault_and_amid_it() -> None:
    table = _table()
    assert fault_spans(table) == [(FAULT.start, FAULT.stop - 1)]
    found = places(table, (30, 500))
    assert {(kind, age) for kind, age, _ in found} == {
        *(("healthy", 0), ("broken", 0)),
        *((kind, age) for kind in ("fault", "scored") for age in (30, 500)),
    }
    for kind, age, rows in found:
        if kind == "healthy":
            assert rows[-1] < TRAIN
        elif kind in ("fault", "broken"):
            assert rows[0] == FAULT.start - age
        else:
            assert rows[0] == TRAIN - age


def test_figures_count_by_the_rows_of_a_key() -> None:
    table = _table()
    day = np.zeros(1440, np.int8)
    healthy = KeyTable(b"h", MINUTE * np.arange(1440), None, np.zeros((1440, 1)), day > 0, day)
    said = [
        _said("healthy", 0, healthy, [40, 700]),
        _said("scored", 30, table, []),
        _said("fault", 30, table, [35]),
        _said("fault", 30, table, []),
        _said("broken", 0, table, [33]),
    ]
    cold_set = ColdSet("set", Dataset(("x",), (table,), divided=True), ((0,),), 60.0, 20)
    found = figures(said, (30, 500), cold_set)
    early, late = found["by_age"][30], found["by_age"][500]
    assert early["false_a_day"] == pytest.approx(1440 / 470)
    assert late["false_a_day"] == pytest.approx(1440 / 940)
    assert (early["caught"], early["faults"]) == (1, 2)
    assert early["vus_pr"] == pytest.approx(1.0)
    assert late["vus_pr"] is None
    assert found["broken"] == {"caught": 1, "faults": 1}
    assert found["first_day"]["false"] == pytest.approx(2.0)


def test_a_result_is_a_table_of_sets_and_rows() -> None:
    cold = {"vus_pr": 0.4, "false_a_day": 0.1, "caught": 3, "faults": 4}
    result = {
        "sets": {
            "asd": {
                "cold": {"by_age": {30: cold}, "broken": {"caught": 1, "faults": 2}},
                "known": cold | {"vus_pr": 0.5},
            }
        }
    }
    text = "\n".join(lines(result))
    assert "80 %" in text
    assert "3 of 4" in text
    assert "1 of 2" in text


def test_a_wrong_set_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert frame.main(["cold_start", "--sets", "guesses"]) == 1
    assert "cold_start could not be measured" in capsys.readouterr().err
