"""Crash, reload, replay: the state is what it would have been."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ember_core.pipeline import FleetModel
from stream.engine import META_KEY, Engine, Limits, MetaRow, WindowSpec
from stream.records import Event
from tests.stream.engine.conftest import (
    INTERVAL,
    QUICK,
    SECOND,
    START,
    TP,
    Run,
    Sent,
    feed_into,
    mark_dirty,
    offsets_of,
    rows_of,
    run,
    same,
    sent,
    signal,
)

LIMITS = Limits(max_keys=64, stale_intervals=5.0)
LATENESS = WindowSpec("time", INTERVAL * SECOND, 25 * SECOND)
OWN = {"scored", "warming", "windowed", "late", "repeated"}  # outcomes a key's own row decides


class Log:
    """A compacted topic before compaction: rows in the order written."""

    def __init__(self) -> None:
        self.entries: list[tuple[bytes, bytes | None]] = []

    def write(self, engine: Engine, rows: float = 1.0) -> None:
        """One checkpoint; of one that is cut short the first `rows` and no meta row arrive."""
        dirty = engine.take_dirty(TP)
        entries = list(zip(dirty.keys, dirty.rows, strict=True))
        assert entries[-1][0] == META_KEY
        self.entries += entries if rows == 1.0 else entries[: int(rows * (len(entries) - 1))]

    def read(self, model: FleetModel, window: WindowSpec | None) -> Engine:
        """A new worker."""
        engine = Engine(model, window, LIMITS)
        keys, values = zip(*self.entries, strict=True) if self.entries else ((), ())
        assert engine.load(TP, list(keys), list(values)).damaged == []
        return engine


def scored(*runs: Run) -> set[tuple]:
    return {(key, *row) for r in runs for key, rows in r.scores.items() for row in rows}


def told(*runs: Run) -> dict[str, Event]:
    """Events by id; one that comes twice is the same, byte for byte."""
    out: dict[str, Event] = {}
    for r in runs:
        for event in r.events:
            assert out.setdefault(event.id, event) == event
    return out


@pytest.fixture(scope="module", params=["count", "time"])
def window(request: pytest.FixtureRequest) -> WindowSpec | None:
    return LATENESS if request.param == "time" else None


@pytest.fixture(scope="module")
def whole(model: FleetModel, feed: list[Sent], window: WindowSpec | None) -> Run:
    """The feed without a crash."""
    return run(model, feed, window=window, limits=LIMITS)


def test_no_two_events_of_a_run_share_an_id(whole: Run) -> None:
    assert len(told(whole)) == len(whole.events) > 10


@pytest.mark.parametrize("overlap", [0, 1, 60])
def test_a_restart_at_a_checkpoint_is_not_seen_in_the_results(
    model: FleetModel, feed: list[Sent], window: WindowSpec | None, whole: Run, overlap: int
) -> None:
    """Messages at or below the meta row's offset are skipped, in scores, events and counts."""
    first = feed_into(Run(Engine(model, window, LIMITS)), feed, [100, 171, 230])
    log = Log()
    log.write(first.engine)
    second = Run(log.read(model, window), scores=first.scores, events=first.events)
    feed_into(second, feed, [241, 300, len(feed)], begin=230 - overlap)
    same(second, whole)


@QUICK
@given(
    cuts=st.lists(st.integers(1, 440), min_size=3, max_size=6, unique=True).map(sorted),
    share=st.floats(0.0, 0.99),
)
def test_a_checkpoint_cut_short_loses_nothing_and_doubles_nothing(
    model: FleetModel,
    feed: list[Sent],
    window: WindowSpec | None,
    whole: Run,
    cuts: list[int],
    share: float,
) -> None:
    """Some rows are ahead of the meta row: what they absorbed is repeated, not applied again."""
    first, log, begin = Run(Engine(model, window, LIMITS)), Log(), 0
    first.engine.attach(TP)
    for cut in cuts:
        feed_into(first, feed, [cut], begin=begin)
        begin = cut
        log.write(first.engine, share if cut == cuts[-1] else 1.0)
    second = Run(log.read(model, window))
    # offsets were committed with the last whole checkpoint
    feed_into(second, feed, [cuts[-1] + 5, len(feed)], begin=cuts[-2])
    assert second.rows() == whole.rows()
    assert scored(first, second) == scored(whole)
    assert told(first, second) == told(whole)
    counts, expected = Counter(second.counts()), Counter(whole.counts())
    assert sum(counts[f] for f in OWN) == sum(expected[f] for f in OWN)
    assert {k: v for k, v in counts.items() if k not in OWN} == {
        k: v for k, v in expected.items() if k not in OWN
    }
    meta = second.engine.meta(TP)
    assert counts.total() == meta.absorbed + 1 - meta.first_offset


def test_a_saved_bundle_gives_the_same_bits(
    model: FleetModel, feed: list[Sent], tmp_path: Path
) -> None:
    """Scores, events, which name the model, and rows, also those of keys never seen."""
    model.save(tmp_path)
    loaded = FleetModel.load(tmp_path, backend="numpy")
    assert loaded.sha256 == model.sha256
    same(run(loaded, feed, limits=LIMITS), run(model, feed, limits=LIMITS))


def test_only_changed_rows_are_dirty_and_a_failed_write_puts_them_back(
    model: FleetModel, feed: list[Sent]
) -> None:
    done = run(model, feed[:40], limits=LIMITS)
    engine = done.engine
    everything = engine.take_dirty(TP)
    assert sorted(everything.keys[:-1]) == sorted(done.rows())
    assert engine.take_dirty(TP).keys == [META_KEY]
    feed_into(done, feed, [41], begin=40)
    changed = {s[0] for s in feed[40].samples}
    assert set(engine.take_dirty(TP).keys[:-1]) == changed
    mark_dirty(engine, TP, changed)
    part = engine.take_dirty(TP, limit=1)
    assert len(part.keys) == len(part.rows) == 2
    assert part.rows[0] == engine.row(TP, part.keys[0])
    meta = MetaRow.decode(part.rows[-1] or b"")
    assert meta == engine.meta(TP)
    assert meta.absorbed == offsets_of(feed)[40]


def test_rows_are_copies(model: FleetModel, feed: list[Sent]) -> None:
    """What is being written does not change while the stream goes on."""
    done = run(model, feed[:40], limits=LIMITS)
    dirty = done.engine.take_dirty(TP)
    before = list(dirty.rows)
    feed_into(done, feed, begin=40)
    assert list(dirty.rows) == before
    assert done.engine.row(TP, dirty.keys[0]) != before[0]
    assert np.frombuffer(before[0] or b"", dtype=np.uint8).size == done.engine.row_bytes


def test_a_late_record_counts_once_however_often_it_is_replayed(model: FleetModel) -> None:
    """Also where it is the last its row had seen before the crash."""
    feed = rows_of(b"a", signal(9, 3, 0))
    feed.append(sent(b"a", START, (1.0, 2.0, 3.0)))
    first, log = run(model, feed, limits=LIMITS), Log()
    log.write(first.engine, 0.0)
    log.entries = [(b"a", first.engine.row(TP, b"a"))]  # written; the meta row was not
    second = feed_into(Run(log.read(model, None)), feed)
    assert second.rows() == first.rows()
    assert second.counts() == {"repeated": 10}
