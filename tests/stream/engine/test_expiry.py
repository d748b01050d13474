"""Keys that are silent for too long are forgotten: at the same record, however the log is cut."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ember_core.pipeline import FleetModel
from stream.engine import META_KEY, Engine, Limits
from stream.engine.state.spill import Spill
from stream.kafka.recovery.spill_files import SpillFiles
from tests.simulation.spill import DictSpill
from tests.stream.engine.conftest import (
    INTERVAL,
    SECOND,
    TP,
    Run,
    cuts_of,
    eventful,
    feed_into,
    interleaved,
    rows_of,
    run,
    sent,
    signal,
)

TTL = 13 * INTERVAL * SECOND
STALE = 5.0


def limits(max_keys: int = 64, stale: float = STALE, ttl_us: int = TTL) -> Limits:
    return Limits(max_keys=max_keys, stale_intervals=stale, ttl_us=ttl_us)


def told(found: Run) -> dict[str, Any]:
    """Events by id; which of other keys' events stand between them is left open."""
    return {event.id: event for event in found.events}


@pytest.mark.parametrize("size", [1, 2, 17, 200, 10_000])
@pytest.mark.parametrize("stale", [STALE, 0.0])
def test_it_does_not_depend_on_batches(model: FleetModel, size: int, stale: float) -> None:
    feed = list(eventful())
    once = run(model, feed, limits=limits(stale=stale))
    cut = run(model, feed, cuts_of(size, len(feed)), limits=limits(stale=stale))
    assert once.engine.moved.expired > 0
    assert cut.scores == once.scores
    assert told(cut) == told(once)
    assert cut.rows() == once.rows()
    assert cut.engine.meta(TP) == once.engine.meta(TP)
    kept = run(model, feed, limits=limits(stale=stale, ttl_us=0))
    assert kept.scores != once.scores


@pytest.fixture(params=["dictionary", "file"])
def spill(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Spill]:
    return DictSpill if request.param == "dictionary" else SpillFiles(tmp_path, 2**40)


@pytest.mark.parametrize("size", [1, 2, 40])
def test_it_does_not_depend_on_where_rows_are_or_when_they_are_swept(
    model: FleetModel, spill: Callable[[], Spill], size: int
) -> None:
    feed = list(eventful())
    free = run(model, feed, limits=limits())
    bounded = Run(Engine(model, None, limits(max_keys=5), spill))
    log: dict[bytes, bytes | None] = {}
    for begin in range(0, len(feed), size):
        feed_into(bounded, feed, [min(begin + size, len(feed))], begin=begin)
        dirty = bounded.engine.take_dirty(TP)
        log |= dict(zip(dirty.keys, dirty.rows, strict=True))
    if size <= 2:  # else a batch has more keys than memory, and some are refused
        assert bounded.scores == free.scores
        assert bounded.engine.meta(TP) == free.engine.meta(TP)
    del log[META_KEY]
    for key, row in log.items():
        assert bounded.engine.row(TP, key) == row


def test_a_key_leaves_a_tombstone_and_warms_up_anew(model: FleetModel) -> None:
    early = rows_of(b"new", signal(7, 3, 1))
    others = rows_of(b"other", signal(40, 3, 2))
    late = [sent(b"new", others[-1].samples[0][1] + 1, signal(1, 3, 3)[0])]
    feed = interleaved(early, others) + late
    found = Run(Engine(model, None, limits(stale=0.0)))
    feed_into(found, feed, [len(feed) - 30])
    found.engine.take_dirty(TP)
    feed_into(found, feed, [len(feed) - 1], begin=len(feed) - 30)
    assert found.engine.row(TP, b"new") is None
    assert found.engine.moved.expired == 1
    dirty = found.engine.take_dirty(TP)
    assert dict(zip(dirty.keys, dirty.rows, strict=True))[b"new"] is None
    feed_into(found, feed, [len(feed)], begin=len(feed) - 1)
    row = found.engine.row(TP, b"new")
    assert row is not None
    fresh = run(model, late, limits=limits(stale=0.0))
    views = found.engine.layout.views
    for name in ("rows", "seq", "last_time"):
        assert (
            views(np.frombuffer(row, np.uint8)[None])[name]
            == views(np.frombuffer(fresh.rows()[b"new"] or b"", np.uint8)[None])[name]
        )


def test_a_silence_is_over_when_its_key_is_forgotten(model: FleetModel) -> None:
    feed = interleaved(rows_of(b"a", signal(9, 3, 0)), rows_of(b"b", signal(60, 3, 1)))
    found = Run(Engine(model, None, limits()))
    for end in range(5, len(feed) + 5, 5):
        feed_into(found, feed, [min(end, len(feed))], begin=end - 5)
        found.engine.take_dirty(TP)
    silences = found.triggers(b"a", "EmberKeyStale")
    assert [body["status"] for body in silences] == ["firing", "resolved"]
    assert found.engine.row(TP, b"a") is None
