"""Generated fleets: the same from the same seed, faults where they are said to be."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from benchmarks.ordinary.kinds import KINDS
from benchmarks.ordinary.variants import VARIANTS, make
from benchmarks.ordinary.write import dataset, write
from benchmarks.paging.clock import clock_of
from benchmarks.paging.fleet import Fleet
from ember_core.data.sources import DataOptions, read

SMALL = ("single", "five_minutes", "mixed", "new_keys", "pumps", "fridges", "meters")


@cache
def fleet_of(name: str) -> Fleet:
    return make(name, 7)


def test_a_seed_gives_the_same_fleet_and_another_seed_another() -> None:
    first, again, other = fleet_of("single"), make("single", 7), make("single", 8)
    assert first.faults == again.faults
    for one, two in zip(first.keys, again.keys, strict=True):
        np.testing.assert_array_equal(one.times_us, two.times_us)
        np.testing.assert_array_equal(one.values, two.values)
    assert other.faults != first.faults


@pytest.mark.parametrize("name", SMALL)
def test_faults_lie_in_the_scored_part_of_their_key(name: str) -> None:
    fleet = fleet_of(name)
    assert len(fleet.faults) == (VARIANTS[name].faults * (1 if VARIANTS[name].keys else 2))
    assert sum(fault.hidden for fault in fleet.faults) >= 0.9 * VARIANTS[name].hidden
    for series in fleet.keys:
        assert (np.diff(series.times_us) > 0).all()
        assert not series.train[int(series.train.sum()) :].any(), "training comes first"
        assert series.values.shape == (len(series.times_us), len(fleet.channels))
        for fault in series.events:
            assert fault.key == series.key
            assert series.train.sum() < fault.first <= fault.last < len(series.times_us)
            assert set(fault.channels) <= set(fleet.channels)


@pytest.mark.parametrize("name", SMALL)
def test_only_a_silent_channel_is_missing(name: str) -> None:
    for series in fleet_of(name).keys:
        missing = np.isnan(series.values)
        for fault in series.events:
            if fault.kind == "channel_silent":
                rows = slice(fault.first, fault.last + 1)
                (channel,) = (fleet_of(name).channels.index(c) for c in fault.channels)
                assert missing[rows, channel].all()
                missing[rows, channel] = False
        assert not missing.any()


def test_a_fault_lasts_as_long_as_its_kind() -> None:
    fleet = fleet_of("five_minutes")
    for series in fleet.keys:
        for fault in series.events:
            low, high = KINDS[fault.kind].seconds
            if KINDS[fault.kind].at_job or "job" in fault.kind:
                continue
            lasted = (series.times_us[fault.last] - series.times_us[fault.first]) * 1e-6
            # Rows at its ends may be lost, and it takes whole rows.
            assert 0.75 * low - 4 * 300 <= lasted <= high + 300, fault


def test_faults_have_the_size_they_are_said_to_have() -> None:
    """A busy loop takes 40 points, a leak 2 percent an hour, errors come ten times as often."""
    seen = set()
    fleet = fleet_of("five_minutes")
    for series in fleet.keys:
        for fault in series.events:
            inside = series.values[fault.first : fault.last + 1]
            before = series.values[fault.first - 12 : fault.first]
            column = fleet.channels.index(fault.channels[0])
            step = np.median(inside[:, column]) - np.median(before[:, column])
            if fault.kind == "busy_loop" and not fault.hidden:
                assert 15 < step < 65 or inside[:, column].max() == 100.0
            elif fault.kind == "memory_leak":
                hours = (series.times_us[fault.last] - series.times_us[fault.first]) / 3.6e9
                assert inside[-1, column] > 99 or (
                    abs(inside[-1, column] - before[-1, column] - 2 * hours) < 15
                )
            elif fault.kind == "error_burst":
                usual = series.values[series.train, column].mean()
                assert inside[:, column].mean() > 4 * usual
            elif fault.kind == "stuck_sensor":
                assert len(np.unique(inside[:, column])) == 1
            elif fault.kind == "disk_fills":
                assert inside[-1, column] > 95
            else:
                continue
            seen.add(fault.kind)
    assert len(seen) == 5


def test_a_hidden_fault_begins_inside_another_of_other_channels() -> None:
    hidden = [(s, f) for s in fleet_of("five_minutes").keys for f in s.events if f.hidden]
    assert hidden
    for series, fault in hidden:
        around = [f for f in series.events if f.first < fault.first and f.last > fault.last]
        assert len(around) == 1
        assert not set(around[0].channels) & set(fault.channels)
        hours = series.times_us[fault.first] - series.times_us[around[0].first]
        assert hours > 2 * 3.6e9


def test_new_keys_have_a_short_history_in_the_fleet_they_join() -> None:
    joined, alone = fleet_of("new_keys"), fleet_of("five_minutes")
    assert len(joined.new_keys) == 10
    for series, whole in zip(joined.keys, alone.keys, strict=True):
        rows = int(series.train.sum())
        if series.key in joined.new_keys:
            assert 0.5 * 288 < rows <= 288
        else:
            assert rows == whole.train.sum()
        np.testing.assert_array_equal(series.values, whole.values[-len(series.values) :])
        assert [f.kind for f in series.events] == [f.kind for f in whole.events]


def test_people_keep_to_the_local_clock() -> None:
    """When the clock is put forward, the same hour of the day comes an hour of UTC earlier."""
    begin = int(datetime(2025, 3, 29, tzinfo=UTC).timestamp())
    times = (begin + 60 * np.arange(3 * 1440)) * 1_000_000
    clock = clock_of(times, 60.0, "Europe/Berlin")
    for row in (0, 1500, 1600, 3000, 4000):
        there = datetime.fromtimestamp(times[row] / 1e6, ZoneInfo("Europe/Berlin"))
        assert clock.hour[row] == pytest.approx(there.hour + there.minute / 60)
        assert clock.weekday[row] == there.weekday()
    noons = times[clock.local_rows(12.0)] // 60_000_000
    assert np.diff(noons).tolist() == [23 * 60, 24 * 60]


def test_a_holiday_is_a_sunday() -> None:
    begin = int(datetime(2025, 4, 17, 12, tzinfo=UTC).timestamp())
    clock = clock_of((begin + 3600 * np.arange(24)) * 1_000_000, 3600.0, "Europe/Berlin")
    assert clock.weekday[0] == 3
    assert clock.weekday[-1] == 6, "Good Friday"
    assert len(clock.holidays) == 1


def test_files_hold_what_the_data_set_holds(tmp_path: Path) -> None:
    fleet = make("single", 6)
    write(fleet, tmp_path / "data")
    options = DataOptions(time="time", split="split", label="label")
    from_files, direct = read([tmp_path / "data"], options), dataset(fleet)
    assert from_files.channels == direct.channels
    for one, two in zip(from_files.tables, direct.tables, strict=True):
        assert one.key == two.key
        np.testing.assert_array_equal(one.time_us, two.time_us)
        np.testing.assert_array_equal(one.values, two.values)
        np.testing.assert_array_equal(one.is_train, two.is_train)
        np.testing.assert_array_equal(one.label, two.label)
    truth = json.loads((tmp_path / "data.faults.json").read_text())
    assert [f["kind"] for f in truth["faults"]] == [f.kind for f in fleet.faults]
    with (tmp_path / "data" / f"{fleet.keys[0].key}.csv").open() as file:
        assert next(csv.reader(file)) == ["time", "split", *fleet.channels, "label"]
