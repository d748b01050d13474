"""Usual pauses of a key: what recurs is not told, whatever the cut of the log."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ember_core.pipeline import FleetModel, PipelineConfig
from ember_core.pipeline.fit import Series, fit_pipeline
from stream.engine import Engine, Limits, WindowSpec
from tests.simulation.spill import DictSpill
from tests.stream.engine.conftest import (
    CHANNELS,
    INTERVAL,
    SECOND,
    SMALL,
    START,
    TP,
    Run,
    Sent,
    cuts_of,
    feed_into,
    interleaved,
    rows_of,
    run,
    same,
    signal,
)

LIMITS = Limits(max_keys=64, stale_intervals=5.0)
SPEC = WindowSpec("time", INTERVAL * SECOND, 25 * SECOND)
DAY, PAUSE, DAYS = 40, 15, 7
"""Rows of a day, those of its night, and days."""


def feed(last_night: int = 0) -> list[Sent]:
    """Key `a` pauses each night, the last time for longer; key `b` and a new one never do."""
    rows = DAY * DAYS + last_night
    a = [m for i, m in enumerate(rows_of(b"a", signal(rows, 3, 0))) if _is_day(i)]
    return interleaved(a, rows_of(b"b", signal(rows, 3, 1)), rows_of(b"new", signal(rows, 3, 9)))


def _is_day(row: int) -> bool:
    return row % DAY >= PAUSE and row < DAY * DAYS


def silences(done: Run, key: bytes = b"a") -> list[str]:
    return [body["startsAt"] for body in done.triggers(key, "EmberKeyStale") if not body["endsAt"]]


def test_the_fourth_pause_is_usual(model: FleetModel) -> None:
    """The first night comes before the first row: three are told."""
    done = run(model, feed(), limits=LIMITS)
    assert len(silences(done)) == 3
    assert silences(done, b"b") == silences(done, b"new") == []


def test_a_pause_that_is_longer_than_usual_is_told(model: FleetModel) -> None:
    assert len(silences(run(model, feed(last_night=PAUSE + 5), limits=LIMITS))) == 3
    done = run(model, feed(last_night=2 * PAUSE), limits=LIMITS)
    assert len(silences(done)) == 4


@pytest.mark.parametrize("window", [None, SPEC])
@pytest.mark.parametrize("size", [1, 7, 64])
def test_the_cut_of_the_log_changes_nothing(
    model: FleetModel, size: int, window: WindowSpec | None
) -> None:
    messages = feed(last_night=2 * PAUSE)
    whole = run(model, messages, window=window, limits=LIMITS)
    assert len(silences(whole)) == 4
    same(whole, run(model, messages, cuts_of(size, len(messages)), window=window, limits=LIMITS))


def test_a_restart_and_the_disk_change_nothing(model: FleetModel) -> None:
    """The deadline of a row that is read again is that of the row in memory."""
    messages = feed(last_night=2 * PAUSE)
    whole = run(model, messages, limits=LIMITS)
    limits, log = Limits(max_keys=2, stale_intervals=5.0), dict[bytes, bytes | None]()
    done = Run(Engine(model, None, limits, DictSpill))
    for begin in range(len(messages)):  # one by one: memory has room for a key that falls silent
        feed_into(done, messages, [begin + 1], begin=begin)
        dirty = done.engine.take_dirty(TP)
        log |= dict(zip(dirty.keys, dirty.rows, strict=True))
        if begin % 200 == 0:
            done.engine = Engine(model, None, limits, DictSpill)
            done.engine.load(TP, list(log), list(log.values()))
            done.engine.migrate(TP)
    assert done.events == whole.events


def test_training_learns_the_pauses_of_its_history(tmp_path: Path) -> None:
    """They are in the bundle, so that not one pause is told."""
    times = START - DAY * 10 * INTERVAL * SECOND + np.arange(DAY * 10) * INTERVAL * SECOND
    rows = np.arange(DAY * 10) % DAY >= PAUSE
    series = [
        Series(b"a", times[rows], signal(DAY * 10, 3, 0, part=0)[rows]),
        Series(b"b", times, signal(DAY * 10, 3, 1, part=0)),
    ]
    model = fit_pipeline(series, PipelineConfig(CHANNELS, **SMALL), epochs=2)
    model.save(tmp_path / "model")
    loaded = FleetModel.load(tmp_path / "model", backend="numpy")
    done = run(loaded, feed(), limits=LIMITS)
    assert silences(done) == silences(done, b"b") == []
    long = run(loaded, feed(last_night=2 * PAUSE), limits=LIMITS)
    assert len(silences(long)) == 1
    never = Limits(max_keys=64, stale_intervals=0.0)
    assert silences(run(loaded, feed(), limits=never)) == []
