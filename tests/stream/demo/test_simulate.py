"""The fleet in real time."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stream.cli.simulate import simulate
from stream.demo.faults import Fault, Kind
from stream.demo.fleet import CHANNELS, START_US
from stream.demo.simulate import PERIOD_ROWS, Simulation
from stream.errors import UserError

NOW_US = 1_795_641_619_987_654
KEYS = 17


def test_history_ends_now_on_whole_intervals(tmp_path: Path) -> None:
    """The newest row is less than two intervals old."""
    simulation = Simulation(3, KEYS, 0.5, NOW_US)
    assert simulation.write_history(tmp_path / "h.csv", 11) == 11 * KEYS
    frame = pd.read_csv(tmp_path / "h.csv")
    assert list(frame) == ["ts", "key", *CHANNELS]
    assert frame["key"].nunique() == KEYS
    times = frame["ts"].unique()
    assert np.diff(times).tolist() == [500] * 10
    assert 0 < NOW_US // 1000 - times[-1] <= 1000


def test_records_go_on_from_now_with_faults_without_end() -> None:
    """Every period has one fault of each kind, equal for equal seeds; silent keys are missing."""
    started: list[Fault] = []
    simulation = Simulation(3, KEYS, 1.0, NOW_US)
    count = 2 * PERIOD_ROWS * KEYS - 200
    records = list(itertools.islice(simulation.records(on_fault=started.append), count))
    assert abs(records[0].time_us - NOW_US) < 1_000_000
    assert [record.time_us for record in records] == sorted(record.time_us for record in records)
    body = json.loads(records[0].value)
    assert body["ts"] == records[0].time_us // 1000
    assert list(body["values"]) == list(CHANNELS)
    assert sorted(fault.kind for fault in started) == sorted([*Kind, *Kind])
    silent = next(fault for fault in started if fault.kind is Kind.SILENT)
    first = records[0].time_us
    rows = [(r.time_us - first) // 1_000_000 for r in records if r.key == silent.name.encode()]
    begin = silent.onset - (first - START_US) // 1_000_000
    assert not set(rows) & set(range(begin, begin + silent.end - silent.onset))
    assert begin - 1 in rows
    second = Simulation(3, KEYS, 1.0, NOW_US).records()
    assert list(itertools.islice(second, 500)) == records[:500]


def test_a_healthy_fleet_has_no_faults() -> None:
    started: list[Fault] = []
    records = Simulation(3, KEYS, 1.0, NOW_US).records(healthy=True, on_fault=started.append)
    assert len(list(itertools.islice(records, KEYS * PERIOD_ROWS))) == KEYS * PERIOD_ROWS
    assert started == []


def test_wrong_use_is_a_sentence(tmp_path: Path) -> None:
    """The command needs a target, and sizes that a fleet can have."""
    with pytest.raises(UserError, match=r"--to TOPIC or --history FILE"):
        simulate()
    with pytest.raises(UserError, match=r"--to TOPIC or --history FILE"):
        simulate(to="t", history=tmp_path / "h.csv")
    with pytest.raises(UserError, match=r"--keys cannot be used. Expected at least 12"):
        simulate(to="t", keys=5)
