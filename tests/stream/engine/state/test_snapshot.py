"""Scans of the rows of a partition: their rows and the log behind them are all of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ember_core.pipeline import FleetModel
from stream.engine import META_KEY, Engine, Limits, RowBlock
from stream.engine.state.snapshot import SnapshotScan
from stream.engine.state.spill import Spill
from stream.kafka.recovery.spill_files import SpillFiles
from tests.simulation.spill import DictSpill
from tests.stream.engine.conftest import (
    TP,
    Run,
    feed_into,
    interleaved,
    mark_dirty,
    rows_of,
    signal,
)

KEYS = [b"k%02d" % i for i in range(23)]


@pytest.fixture(params=["dictionary", "file"])
def spill(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Spill]:
    """Where rows go."""
    return DictSpill if request.param == "dictionary" else SpillFiles(tmp_path, 2**40)


def feed_of(keys: list[bytes], rows: int = 5) -> list[Any]:
    return interleaved(*(rows_of(k, signal(rows, 3, n)) for n, k in enumerate(keys)))


def blocks(scan: SnapshotScan, limit: int = 3) -> list[RowBlock]:
    found = []
    while (block := scan.take(limit)) is not None:
        assert 0 < len(block.keys) <= limit
        found.append(block)
    return found


def loaded(model: FleetModel, found: list[RowBlock], max_keys: int = 64, spill: Any = None) -> Any:
    engine = Engine(model, None, Limits(max_keys=max_keys), spill)
    engine.attach(TP)
    for block in found:
        report = engine.load_block(TP, block)
        assert report.damaged == []
    return engine


def test_an_idle_partition_is_copied_whole(model: FleetModel) -> None:
    run = feed_into(Run(Engine(model, None, Limits(max_keys=64))), feed_of(KEYS))
    run.engine.take_dirty(TP)
    scan = run.engine.scan(TP)
    found = blocks(scan)
    assert scan.waiting == 0
    assert sorted(key for block in found for key in block.keys) == KEYS
    copy = loaded(model, found)
    assert {key: copy.row(TP, key) for key in KEYS} == run.rows()
    dirty = copy.take_dirty(TP)
    assert dirty.keys == [META_KEY]  # nothing that would have to be written again


def test_rows_that_are_not_written_yet_are_passed_over_and_counted(model: FleetModel) -> None:
    run = feed_into(Run(Engine(model, None, Limits(max_keys=64))), feed_of(KEYS))
    run.engine.take_dirty(TP)
    mark_dirty(run.engine, TP, KEYS[3:7])
    scan = run.engine.scan(TP)
    found = [key for block in blocks(scan) for key in block.keys]
    assert sorted(found) == [*KEYS[:3], *KEYS[7:]]
    assert scan.waiting == 4


@pytest.mark.parametrize("limit", [1, 4, 50])
def test_a_copy_and_the_log_behind_it_are_the_state(
    model: FleetModel, spill: Callable[[], Spill], limit: int
) -> None:
    """While the scan goes on, rows change, are put away and come back, and checkpoints are made."""
    feed = feed_of(KEYS, 9)
    engine = Engine(model, None, Limits(max_keys=7), spill)
    run, at, size = Run(engine), 0, 2
    log: list[tuple[bytes, bytes | None]] = []

    def go_on(batches: int) -> None:
        nonlocal at
        for _ in range(batches):
            if at < len(feed):
                feed_into(run, feed, [min(at + size, len(feed))], begin=at)
                at += size
                dirty = engine.take_dirty(TP)
                log.extend(zip(dirty.keys, dirty.rows, strict=True))

    go_on(40)
    begin = len(log)
    scan = engine.scan(TP)
    found = []
    while (block := scan.take(limit)) is not None:
        found.append(block)
        go_on(3)
    scan.close()
    go_on(1)
    copy = loaded(model, found, 7, spill)
    tail = log[begin:]
    report = copy.load(TP, [key for key, _ in tail], [row for _, row in tail])
    assert report.damaged == []
    whole = Engine(model, None, Limits(max_keys=64))
    whole.load(TP, [key for key, _ in log], [row for _, row in log])
    assert engine.moved.returned > 0
    for key in KEYS:
        assert copy.row(TP, key) == whole.row(TP, key), key


def test_more_rows_than_memory_holds_are_put_away(
    model: FleetModel, spill: Callable[[], Spill]
) -> None:
    run = feed_into(Run(Engine(model, None, Limits(max_keys=64))), feed_of(KEYS))
    run.engine.take_dirty(TP)
    copy = loaded(model, blocks(run.engine.scan(TP)), 5, spill)
    assert copy.active_keys <= 5
    assert {key: copy.row(TP, key) for key in KEYS} == run.rows()


def test_a_row_that_is_there_and_newer_stays(model: FleetModel) -> None:
    run = feed_into(Run(Engine(model, None, Limits(max_keys=64))), feed_of(KEYS[:2], 5), [4])
    run.engine.take_dirty(TP)
    (old,) = blocks(run.engine.scan(TP))
    feed_into(run, feed_of(KEYS[:2], 5), begin=4)
    new = run.rows()
    again = RowBlock([*old.keys, *old.keys], np.concatenate([old.rows, old.rows]))
    report = run.engine.load_block(TP, again)
    assert report.stale == 4
    assert run.rows() == new


def test_who_gives_the_partition_up_ends_the_scan(model: FleetModel) -> None:
    run = feed_into(Run(Engine(model, None, Limits(max_keys=64))), feed_of(KEYS))
    run.engine.take_dirty(TP)
    scan = run.engine.scan(TP)
    scan.take(3)
    assert not scan.gone
    run.engine.detach(TP)
    assert scan.gone
    assert scan.take(3) is None
