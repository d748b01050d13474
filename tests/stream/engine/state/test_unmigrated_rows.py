"""Rows of another model: with a spill none is lost for want of memory, whatever comes when."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ember_core.pipeline import FleetModel
from stream.engine import META_KEY, Engine, Limits, Tombstone, WindowSpec
from stream.engine.state.spill import Spill
from tests.stream.engine.conftest import (
    CHANNELS,
    KNOWN,
    TP,
    Run,
    eventful,
    feed_into,
    fit,
    interleaved,
    rows_of,
    signal,
)

STALE = 5.0
KEYS = [b"k%d" % i for i in range(13)]
Log = list[tuple[bytes, Any]]


@pytest.fixture(scope="module")
def retrained(tmp_path_factory: pytest.TempPathFactory) -> FleetModel:
    """Same shapes, other weights."""
    found = fit(KNOWN, CHANNELS, rows=150, seed=1)
    found.save(tmp_path_factory.mktemp("retrained"))
    return found


def log_of(model: FleetModel, feed: Any, begin: int = 0) -> Log:
    """What a worker writes of a feed, all of it in one checkpoint."""
    engine = Engine(model)
    feed_into(Run(engine), feed, begin=begin)
    dirty = engine.take_dirty(TP)
    return list(zip(dirty.keys, dirty.rows, strict=True))


def feed_of(keys: list[bytes], rows: int = 3) -> Any:
    return interleaved(*(rows_of(k, signal(rows, 3, n)) for n, k in enumerate(keys)))


def load(engine: Engine, log: Log, size: int = 1000) -> Engine:
    for at in range(0, len(log), size):
        keys, values = zip(*log[at : at + size], strict=True)
        engine.load(TP, list(keys), list(values))
    return engine


def rows(engine: Engine, keys: list[bytes] = KEYS) -> dict[bytes, bytes | None]:
    return {key: engine.row(TP, key) for key in keys}


@pytest.mark.parametrize("max_keys", [1, 3, 12, 13])
@pytest.mark.parametrize("limit", [None, 2])
def test_every_key_is_kept_under_another_model(
    model: FleetModel,
    retrained: FleetModel,
    spill: Callable[[], Spill],
    max_keys: int,
    limit: int | None,
) -> None:
    log = log_of(model, feed_of(KEYS))
    free = load(Engine(retrained), log)
    assert free.migrate(TP).accepted == len(KEYS)
    engine = Engine(retrained, None, Limits(max_keys=max_keys), spill)
    held = []
    for each in log:
        load(engine, [each])
        held.append(len(engine._parts[TP].unmigrated))
    assert max(held) <= max_keys
    report = engine.migrate(TP, limit)
    accepted, damaged = report.accepted, list(report.damaged)
    while engine.unmigrated(TP):
        report = engine.migrate(TP, limit)
        accepted += report.accepted
        damaged += report.damaged
    assert (accepted, damaged) == (len(KEYS), [])
    assert engine.active_keys <= max_keys
    assert rows(engine) == rows(free)
    assert None not in rows(engine).values()


@pytest.mark.parametrize("max_keys", [3, 5])
def test_scores_and_events_are_those_of_unbounded_memory(
    model: FleetModel, retrained: FleetModel, spill: Callable[[], Spill], max_keys: int
) -> None:
    feed = list(eventful())
    log = log_of(model, feed[: len(feed) // 2])
    bounded, free = (
        go_on(load(Engine(retrained, None, limits(most), spill), log), feed, len(feed) // 2)
        for most in (max_keys, 64)
    )
    assert free.events
    assert bounded.scores == free.scores
    assert bounded.events == free.events
    assert bounded.engine.moved.returned > 0
    keys = [key for key, _ in log if key != META_KEY]
    assert rows(bounded.engine, keys) == rows(free.engine, keys)


def test_a_key_whose_row_waits_as_it_was_falls_silent_on_time(
    model: FleetModel, spill: Callable[[], Spill]
) -> None:
    """Under another layout of the same model, where nothing begins anew."""
    feed = list(interleaved(*(rows_of(key, signal(20, 3, 0)) for key in KNOWN)))
    log = sorted(log_of(model, feed), key=lambda each: each[0] == b"a")  # it stays in memory
    feed += rows_of(b"a", signal(60, 3, 0))[20:]
    bounded, free = (
        go_on(load(Engine(model, WindowSpec("time"), limits(most), spill), log), feed, 60)
        for most in (2, 64)
    )
    assert [event.key for event in free.events if event.kind == "trigger"] == [b"b", b"c"]
    assert bounded.events == free.events
    assert rows(bounded.engine, [b"b", b"c"]) == rows(free.engine, [b"b", b"c"])


def limits(max_keys: int) -> Limits:
    return Limits(max_keys=max_keys, stale_intervals=STALE)


def go_on(engine: Engine, feed: Any, begin: int) -> Run:
    """Take rows over, then absorb what follows, with a checkpoint before every other message."""
    assert engine.migrate(TP).damaged == []
    engine.open(TP, begin, -1)
    done = Run(engine)
    for at in range(begin, len(feed), 2):
        engine.take_dirty(TP)
        feed_into(done, feed, [min(at + 2, len(feed))], begin=at)
    return done


@pytest.mark.parametrize("seed", range(12))
def test_in_whatever_order_rows_of_two_models_come_the_same_is_kept(
    model: FleetModel, retrained: FleetModel, spill: Callable[[], Spill], seed: int
) -> None:
    """Late rows, tombstones, and a partition that was given away while it was taken over."""
    rng = np.random.default_rng(seed)
    feed = feed_of(KEYS[:7], 4)
    log: Log = []
    for by, begin in ((model, 0), (model, 7), (retrained, 14), (model, 21)):
        written = log_of(by, feed[: begin + 7], begin)
        log += [written[-1]] if begin == 0 else []
        log += [each for each in written if each[0] != META_KEY]
    log += [
        (KEYS[0], Tombstone(9)),
        (KEYS[1], None),
        (KEYS[2], Tombstone(10**6)),
        (KEYS[3], Tombstone(17)),
    ]
    order = rng.permutation(len(log)).tolist()
    small = Engine(retrained, None, Limits(max_keys=int(rng.integers(1, 4))), spill)
    free = Engine(retrained, None, Limits(max_keys=64), spill)
    described = [each for each in log if each[0] == META_KEY]
    for engine in (small, free):
        load(engine, described)
    for place in order:
        for engine in (small, free):
            load(engine, [log[place]])
        if rng.random() < 0.2:
            for engine in (small, free):
                assert engine.migrate(TP, 2).damaged == []
    for engine in (small, free):
        assert engine.migrate(TP).damaged == []
        assert engine.unmigrated(TP) == 0
    assert rows(small, KEYS[:7]) == rows(free, KEYS[:7])


def test_rows_are_written_once_their_partition_is_processed(
    model: FleetModel, retrained: FleetModel
) -> None:
    """Until then they may leave memory; a partition that is given away leaves nothing behind."""
    log = log_of(model, feed_of(KEYS[:4]))
    engine = load(Engine(retrained), log)
    owner = load(Engine(retrained), log)
    for each in (engine, owner):
        assert each.migrate(TP).accepted == 4
        assert each.key_capacity() == Limits().max_keys
        assert each.take_dirty(TP).keys == [META_KEY]
    owner.open(TP, 12, -1)
    written = owner.take_dirty(TP)
    assert set(written.keys) == {*KEYS[:4], META_KEY}
    rows_written = dict(zip(written.keys, written.rows, strict=True))
    load(engine, [(KEYS[0], rows_written[KEYS[0]])])  # as a standby
    engine.open(TP, 12, -1)
    assert set(engine.take_dirty(TP).keys) == {*KEYS[1:4], META_KEY}
    assert engine.take_dirty(TP).keys == [META_KEY]


def test_rows_on_disk_that_nothing_describes_are_named_and_forgotten(
    model: FleetModel, retrained: FleetModel, spill: Callable[[], Spill]
) -> None:
    log = [each for each in log_of(model, feed_of(KEYS)) if each[0] != META_KEY]
    engine = load(Engine(retrained, None, Limits(max_keys=3), spill), log)
    report = engine.migrate(TP)
    assert report.accepted == 0
    assert {key for key, _ in report.damaged} == set(KEYS)
    assert all("no meta row describes" in why for _, why in report.damaged)
    assert set(rows(engine).values()) == {None}


def test_rows_of_a_newer_layout_are_known_on_the_disk_too(
    model: FleetModel, spill: Callable[[], Spill]
) -> None:
    log = [each for each in log_of(model, feed_of(KEYS)) if each[0] != META_KEY]
    newer: Log = [(key, (9).to_bytes(2, "little") + row[2:]) for key, row in log]
    engine = load(Engine(model, None, Limits(max_keys=3), spill), newer)
    assert engine.newer(TP) == 9
    assert len(engine._parts[TP].unmigrated) <= 3
    load(engine, log[1:])
    assert engine.newer(TP) == 9
    load(engine, log[:1])
    assert engine.newer(TP) == 0


@pytest.mark.parametrize("gone", [None, Tombstone(10**6), b"short"])
def test_what_ends_a_row_in_memory_ends_its_old_copy_on_the_disk(
    model: FleetModel, spill: Callable[[], Spill], gone: Any
) -> None:
    old, new = (log_of(model, feed_of(KEYS[:3], n))[:3] for n in (2, 4))
    engine = load(Engine(model, None, Limits(max_keys=1), spill), old)
    load(engine, new[:1])
    assert engine.row(TP, KEYS[0]) == new[0][1]
    assert KEYS[0] in engine._parts[TP].index
    load(engine, [(KEYS[0], gone)])
    assert engine.row(TP, KEYS[0]) is None
