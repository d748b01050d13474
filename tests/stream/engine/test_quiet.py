"""Silence of a whole partition: the worker's clock tells what another key's record would."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from ember_core.pipeline import FleetModel
from stream.engine import Engine, Limits, MetaRow, WindowSpec
from stream.engine.quiet import MARGIN_US, note_quiet, quiet_clock
from stream.engine.state.spill import Spill
from stream.records import Event
from tests.stream.engine.conftest import (
    INTERVAL,
    SECOND,
    START,
    TP,
    Run,
    Sent,
    feed_into,
    interleaved,
    rows_of,
    run,
    sent,
    signal,
)

LIMITS = Limits(max_keys=64, stale_intervals=5.0)
SPEC = WindowSpec("time", INTERVAL * SECOND, 25 * SECOND)
HOUR = 3_600 * SECOND
ROWS = 200
WINDOWS = pytest.mark.parametrize("window", [None, SPEC])


def feed(fault: float = 300.0) -> list[Sent]:
    """Three keys; the last reading of the first is far from the others."""
    values = signal(ROWS, 3, 0)
    values[-1] += fault
    keys = ((b"a", values), (b"b", signal(ROWS, 3, 1)), (b"new", signal(ROWS, 3, 7)))
    return interleaved(*(rows_of(key, rows) for key, rows in keys))


def clock_of(engine: Engine) -> int:
    return engine.meta(TP).clock_us


def told(engine: Engine, clock_us: int) -> list[Event]:
    engine.schedule_silence(TP, clock_us)
    return engine.tell_silence(TP).events


@WINDOWS
def test_what_is_told_is_what_a_record_of_another_key_shows(
    model: FleetModel, window: WindowSpec | None
) -> None:
    """Bit for bit: intervals are closed and judged first, keys are idle since the same time."""
    quiet = run(model, feed(), window=window, limits=LIMITS)
    shown = run(model, feed(), window=window, limits=LIMITS)
    clock_us = clock_of(quiet.engine) + HOUR
    feed_into(shown, [sent(b"other", clock_us, signal(1, 3, 9)[0])], first_offset=10_000)
    events = told(quiet.engine, clock_us)
    assert events == shown.steps[-1].events
    assert {(event.kind, event.key) for event in events} >= {("trigger", b"a"), ("trigger", b"b")}
    assert clock_of(quiet.engine) == clock_of(shown.engine)
    rows = shown.rows()
    assert quiet.rows() == {key: rows[key] for key in (b"a", b"b", b"new")}


@WINDOWS
def test_it_is_told_once_and_a_record_ends_it(model: FleetModel, window: WindowSpec | None) -> None:
    done = run(model, feed(0.0), window=window, limits=LIMITS)
    before = len(done.events)
    first_us = clock_of(done.engine)
    done.events += told(done.engine, first_us + HOUR)
    assert told(done.engine, first_us + 2 * HOUR) == []
    back = rows_of(b"a", signal(3, 3, 0), START + (ROWS + 700) * INTERVAL * SECOND)
    feed_into(done, back, first_offset=10_000)
    stale = [e for e in done.events[before:] if b"EmberKeyStale" in e.body and e.key == b"a"]
    assert [b'"resolved"' in event.body for event in stale] == [False, True]


@WINDOWS
def test_a_restart_tells_the_same_before_its_first_record(
    model: FleetModel, window: WindowSpec | None
) -> None:
    """The meta row is written before anything is told; nothing is told twice after a checkpoint."""
    done = run(model, feed(), window=window, limits=LIMITS)
    done.engine.schedule_silence(TP, clock_of(done.engine) + HOUR)
    dirty = done.engine.take_dirty(TP)
    second = Engine(model, window, LIMITS)
    second.load(TP, dirty.keys, dirty.rows)
    second.migrate(TP)
    second.open(TP, second.meta(TP).absorbed + 1, -1)
    assert second.tell_silence(TP).events == done.engine.tell_silence(TP).events != []
    assert clock_of(second) == clock_of(done.engine)
    later = second.take_dirty(TP)
    third = Engine(model, window, LIMITS)
    third.load(TP, [*dirty.keys, *later.keys], [*dirty.rows, *later.rows])
    assert third.meta(TP).silent_until_us is msgspec.UNSET
    assert third.tell_silence(TP).events == []
    assert b"silent_until_us" not in third.meta(TP).encode()


def test_only_a_clock_that_shows_a_key_idle_is_told(model: FleetModel) -> None:
    engine = run(model, feed(), limits=LIMITS).engine
    began_us = clock_of(engine)
    stale_us = int(5.0 * INTERVAL * SECOND)
    for quiet_us in (0, stale_us // 2, stale_us, MARGIN_US):
        assert engine.silent_clock(TP, began_us, quiet_us) is None
    clock_us = engine.silent_clock(TP, began_us, 2 * stale_us + MARGIN_US)
    assert clock_us == began_us + 2 * stale_us
    assert told(engine, clock_us)
    assert engine.silent_clock(TP, began_us, HOUR) is None  # every key is told
    assert run(model, feed()).engine.silent_clock(TP, began_us, stale_us) is None
    never = run(model, feed(), limits=Limits(max_keys=64, stale_intervals=0.0)).engine
    assert never.silent_clock(TP, began_us, 24 * HOUR) is None


def test_a_partition_without_a_record_has_no_clock(model: FleetModel) -> None:
    engine = Engine(model, None, LIMITS)
    engine.attach(TP)
    assert engine.silent_clock(TP, clock_of(engine), 24 * HOUR) is None


def test_rows_on_the_disk_fall_silent_too(model: FleetModel, spill: Callable[[], Spill]) -> None:
    limits = Limits(max_keys=1, stale_intervals=5.0)
    bounded = Run(Engine(model, None, limits, spill))
    messages = feed()
    for at in range(len(messages)):
        feed_into(bounded, messages, [at + 1], begin=at)
        bounded.engine.take_dirty(TP)
    free = run(model, messages, limits=LIMITS)
    began_us = clock_of(free.engine)
    events: list[Event] = []
    # Each time memory has room for one key only; a checkpoint makes room for the next.
    for minutes in range(60, 64):
        clock_us = bounded.engine.silent_clock(TP, began_us, minutes * 60 * SECOND)
        if clock_us is not None:
            events += told(bounded.engine, clock_us)
            bounded.engine.take_dirty(TP)
    expected = told(free.engine, began_us + HOUR)
    assert {event.id: event.body for event in events} == {e.id: e.body for e in expected}


def test_a_usual_silence_of_the_partition_is_waited_for() -> None:
    """One of an hour may be an outage; the second shows that records come in bursts."""
    meta = MetaRow(clock_us=START)
    tell = 2 * HOUR - MARGIN_US
    assert quiet_clock(meta, START, 2 * HOUR) == START + tell
    note_quiet(meta, HOUR)
    assert quiet_clock(meta, START, HOUR + 2 * MARGIN_US) == START + HOUR + MARGIN_US
    note_quiet(meta, HOUR)
    assert quiet_clock(meta, START, HOUR + 2 * MARGIN_US) == START
    assert quiet_clock(meta, START, 2 * HOUR) == START + tell
    for _ in range(24 * 14 * 5):  # bursts of ten minutes only
        note_quiet(meta, HOUR // 6)
    assert quiet_clock(meta, START, HOUR) == START + HOUR - MARGIN_US


def test_a_short_pause_is_not_noted() -> None:
    meta = MetaRow()
    note_quiet(meta, MARGIN_US)
    assert b"quiet_us" not in meta.encode()
