"""Trial of a retrained model on the last days of a history."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ember_core.data.sources import Dataset, KeyTable
from stream.engine import WindowSpec
from stream.training import train
from stream.trials import DAY_US, before, held_back_since, try_on
from tests.stream.engine.conftest import SMALL

STEP_US = 1_200_000_000
START_US = 1_767_225_600_000_000
ROWS = 6 * 72


def history() -> Dataset:
    """Six days of three hosts, with a counter."""
    rng = np.random.default_rng(0)
    tables = []
    for k in range(3):
        phase = 2.0 * np.pi * np.arange(ROWS) / 72
        values = np.stack(
            [np.sin(phase) + rng.normal(0, 0.2, ROWS), np.cumsum(rng.poisson(900.0, ROWS))], axis=1
        )
        times = START_US + STEP_US * np.arange(ROWS)
        nothing = np.zeros(ROWS, np.bool_)
        tables.append(KeyTable(b"host-%d" % k, times, None, values, nothing, None))
    return Dataset(("load", "total"), tuple(tables), divided=False)


def test_the_last_seventh_is_held_back_within_bounds() -> None:
    def since(days: float) -> float:
        table = history().tables[0]
        table = replace(table, time_us=START_US + np.array([0, int(days * DAY_US)]))
        held = held_back_since(Dataset(("load",), (table,), divided=False))
        return round(days - (held - START_US) / DAY_US, 3)

    assert [since(days) for days in (1, 4, 14, 60)] == [0.25, 1.0, 2.0, 3.0]
    assert held_back_since(Dataset((), (), divided=False)) == 0


def test_a_newest_record_of_a_wrong_clock_moves_nothing() -> None:
    data = history()
    wrong = data.tables[0].time_us.copy()
    wrong[-1] += 900 * DAY_US
    tables = (replace(data.tables[0], time_us=wrong), *data.tables[1:])
    assert held_back_since(replace(data, tables=tables)) == held_back_since(data)


def test_a_candidate_is_trained_before_and_judged_since() -> None:
    """The rows are those of each model's own recipe; the counter is a rate in both."""
    data = history()
    since = held_back_since(data)
    early = before(data, since)
    assert all(early.tables[0].time_us[early.rows(0, "train")] < since)
    candidate = train(early, epochs=1, **SMALL)
    assert candidate.report["rows"] < 3 * ROWS
    verdict = try_on(candidate, candidate, data, WindowSpec(), since_us=since)
    assert verdict.figures["keys"] == 3
    assert 2.5 < verdict.figures["key_days"] < 3.1
    assert verdict.figures["faults_caught"] == verdict.figures["faults_caught_in_service"]
    first = try_on(candidate, None, data, WindowSpec(), since_us=since)
    assert first.accepted == (first.figures["pages"] <= first.figures["pages_allowed"])


def test_records_that_are_not_to_train_on_are_not_judged_either() -> None:
    data = history()
    chosen = np.arange(ROWS) < 100
    tables = tuple(replace(table, is_train=chosen) for table in data.tables)
    early = before(replace(data, tables=tables, divided=True), START_US + 50 * STEP_US)
    assert early.rows(0, "train").tolist() == list(range(50))
