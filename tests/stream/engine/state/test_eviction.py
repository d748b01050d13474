"""Rows out of memory and back: no result depends on where a row was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ember_core.pipeline import FleetModel
from stream.engine import META_KEY, Engine, Limits, SliceOffsets
from stream.engine.state.spill import Spill
from stream.kafka.recovery.spill_files import SpillFiles
from stream.records import Reason
from tests.simulation.spill import DictSpill
from tests.stream.engine.conftest import (
    TP,
    Run,
    decoded,
    eventful,
    feed_into,
    interleaved,
    offsets_of,
    rows_of,
    run,
    signal,
)

STALE = 5.0
KEYS = [b"k%d" % i for i in range(13)]


class Checkpointed:
    """An engine whose dirty rows are written to a log after every batch."""

    def __init__(self, engine: Engine) -> None:
        self.run = Run(engine)
        self.log: list[tuple[bytes, bytes | None]] = []

    def feed(self, feed: Any, size: int, begin: int = 0) -> Checkpointed:
        for at in range(begin, len(feed), size):
            feed_into(self.run, feed, [min(at + size, len(feed))], begin=at)
            dirty = self.run.engine.take_dirty(TP)
            self.log += zip(dirty.keys, dirty.rows, strict=True)
        return self

    def rows(self) -> dict[bytes, bytes | None]:
        return {key: self.run.engine.row(TP, key) for key in {k for k, _ in self.log} - {META_KEY}}


@pytest.mark.parametrize("max_keys", [3, 5])
def test_scores_events_and_rows_are_those_of_unbounded_memory(
    model: FleetModel, spill: Callable[[], Spill], max_keys: int
) -> None:
    """Faults, silences, late rows and all; a silent key falls silent also where it is away."""
    feed = list(eventful())
    limits = Limits(max_keys=max_keys, stale_intervals=STALE)
    bounded = Checkpointed(Engine(model, None, limits, spill)).feed(feed, 2)
    free = run(model, feed, limits=Limits(max_keys=64, stale_intervals=STALE))
    assert bounded.run.scores == free.scores
    assert bounded.run.events == free.events
    assert bounded.rows() == free.rows()
    assert bounded.run.engine.meta(TP) == free.engine.meta(TP)
    assert bounded.run.engine.active_keys <= max_keys
    moved = bounded.run.engine.moved
    assert moved.evicted > max_keys
    assert moved.returned > max_keys
    assert moved.forgotten == 0


def feed_of(keys: list[bytes], rows: int = 7) -> list[Any]:
    return interleaved(*(rows_of(k, signal(rows, 3, n)) for n, k in enumerate(keys)))


def test_recovery_puts_rows_away_too(model: FleetModel, spill: Callable[[], Spill]) -> None:
    feed = feed_of(KEYS)
    free = run(model, feed)
    wrote = Checkpointed(Engine(model)).feed(feed, 11)
    engine = Engine(model, None, Limits(max_keys=3), spill)
    keys, values = zip(*[*wrote.log, *wrote.log[:20]], strict=True)  # a zombie's late rows as well
    report = engine.load(TP, list(keys), list(values))
    assert report.damaged == []
    assert engine.active_keys <= 3
    assert {key: engine.row(TP, key) for key in KEYS} == free.rows()
    more = feed_of(KEYS, 9)
    after = Checkpointed(engine).feed(more, 2, begin=len(feed))
    assert after.run.events == feed_into(free, more, begin=len(feed)).events
    assert after.rows() == free.rows()


def test_what_is_loaded_while_memory_waits_to_be_written_is_put_away_at_once(
    model: FleetModel, spill: Callable[[], Spill]
) -> None:
    """A standby beside a busy partition: none of its rows may be dropped for want of room."""
    wrote = Checkpointed(Engine(model)).feed(feed_of(KEYS), 11)
    engine = Engine(model, None, Limits(max_keys=3), spill)
    feed_into(Run(engine), feed_of(KEYS[:3], 1), [1, 2, 3])
    assert engine.key_capacity() == 0
    other = ("telemetry", 5)
    keys, values = zip(*wrote.log, strict=True)
    assert engine.load(other, list(keys), list(values)).damaged == []
    assert {key: engine.row(other, key) for key in KEYS} == wrote.rows()


def test_a_tombstone_forgets_a_row_that_is_away(
    model: FleetModel, spill: Callable[[], Spill]
) -> None:
    engine = Checkpointed(Engine(model, None, Limits(max_keys=2), spill)).feed(feed_of(KEYS), 1)
    away = [key for key in KEYS if key not in engine.run.engine._parts[TP].index]
    engine.run.engine.load(TP, [away[0]], [None])
    assert engine.run.engine.row(TP, away[0]) is None
    assert engine.run.engine.row(TP, away[1]) is not None


def test_rows_that_are_not_written_out_stay_and_a_new_key_is_refused(model: FleetModel) -> None:
    engine = Engine(model, None, Limits(max_keys=3), DictSpill)
    done = feed_into(Run(engine), feed_of(KEYS[:5], 1), [1, 2, 3, 4, 5])
    assert engine.key_capacity() == 0
    assert [r.reason for step in done.steps for r in step.rejected] == [Reason.KEY_LIMIT] * 2
    engine.take_dirty(TP)
    assert engine.key_capacity() == 3


def test_without_room_on_disk_the_oldest_are_forgotten_and_their_tombstones_written(
    model: FleetModel,
) -> None:
    limits = Limits(max_keys=2)
    bounded = Checkpointed(Engine(model, None, limits, lambda: DictSpill(3)))
    bounded.feed(feed_of(KEYS, 1), 1)
    engine = bounded.run.engine
    gone = {key for key, row in bounded.log if row is None}
    assert len(gone) == engine.moved.forgotten > 0
    kept = {key for key in KEYS if engine.row(TP, key) is not None}
    assert gone <= set(KEYS) - kept
    assert len(kept) >= 4
    fresh = Engine(model)
    keys, values = zip(*bounded.log, strict=True)
    fresh.load(TP, list(keys), list(values))
    assert all(fresh.row(TP, key) is None for key in gone)
    assert int(offsets_of(feed_of(KEYS, 1))[-1]) == engine.meta(TP).absorbed


def test_a_standby_keeps_what_was_written_anew_after_it_had_forgotten_it(model: FleetModel) -> None:
    wrote = Checkpointed(Engine(model)).feed(feed_of(KEYS), 1)
    standby = Engine(model, None, Limits(max_keys=2), lambda: DictSpill(3))
    keys, values = zip(*wrote.log[: 2 * len(KEYS)], strict=True)
    standby.load(TP, list(keys), list(values))
    assert standby.moved.forgotten > 0
    newest = {key: row for key, row in wrote.log if key in KEYS[:5]}
    standby.load(TP, list(newest), list(newest.values()))
    assert {key for key in KEYS if standby.row(TP, key)} == set(KEYS[:5])
    promoted = standby.take_dirty(TP)
    assert [k for k, row in zip(promoted.keys, promoted.rows, strict=True) if row is None] == [
        key for key in KEYS if key not in newest
    ]


def test_files_are_gone_with_the_partition(model: FleetModel, tmp_path: Path) -> None:
    files = SpillFiles(tmp_path / "spill", 2**40)
    engine = Checkpointed(Engine(model, None, Limits(max_keys=2), files)).feed(feed_of(KEYS), 1)
    assert files.used() > 0
    engine.run.engine.detach(TP)
    assert files.used() == 0
    assert list((tmp_path / "spill").iterdir()) == []


def test_a_key_put_away_is_known_to_the_other_partitions(
    model: FleetModel, spill: Callable[[], Spill]
) -> None:
    done = Checkpointed(Engine(model, limits=Limits(max_keys=3), spill=spill))
    done.feed(interleaved(*(rows_of(key, signal(2, 3, 0)) for key in KEYS[:7])), 2)
    engine, other = done.run.engine, (TP[0], TP[1] + 1)
    away = [key for key in KEYS[:7] if key not in engine._parts[TP].index]
    assert len(away) >= 4
    engine.attach(other)
    feed = [m for key in away for m in rows_of(key, signal(1, 3, 0))]
    stamps = np.array([m.timestamp_ms for m in feed], dtype=np.int64)
    found = engine.step(other, decoded(feed, 3), SliceOffsets(np.arange(len(feed)), stamps))
    assert [r.reason for r in found.rejected] == [Reason.WRONG_PARTITION] * len(away)
