"""History that only warms up: state as ever, no events, and the same end of it after a restart."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core.pipeline import FleetModel
from stream.engine import Engine, Limits
from tests.stream.engine.conftest import (
    TP,
    Run,
    Sent,
    cuts_of,
    feed_into,
    offsets_of,
    rows_of,
    same,
    signal,
)

LIMITS = Limits(max_keys=64, stale_intervals=5.0)


def history(model: FleetModel, feed: list[Sent], until: int, size: int = 1000) -> Run:
    """A fresh engine whose first `until` messages are history."""
    offsets = offsets_of(feed)
    engine = Engine(model, limits=LIMITS)
    engine.attach(TP)
    assert engine.open(TP, int(offsets[0]), int(offsets[until]))
    return feed_into(Run(engine), feed, cuts_of(size, len(feed)))


@pytest.mark.parametrize("size", [1, 13, 1000])
def test_history_gives_no_events_and_ends_at_its_offset(
    touchy: FleetModel, feed: list[Sent], size: int
) -> None:
    """However the log is cut: a batch that holds the end is silent before it and not after."""
    until = 431
    done = history(touchy, feed, until, size)
    whole = history(touchy, feed, until)
    same(done, whole)
    for step, begin in zip(done.steps, [0, *cuts_of(size, len(feed))], strict=False):
        assert all(begin + at >= until for at in step.sources)
    assert done.events
    everything = feed_into(Run(Engine(touchy, limits=LIMITS)), feed)
    assert len(done.events) < len(everything.events)
    assert sum(done.counts().values()) == done.engine.meta(TP).absorbed + 1 - 17


def test_a_silence_that_was_not_said_is_not_said_to_be_over(model: FleetModel) -> None:
    """A key that went away before the events begin comes back without a word."""
    a, b = rows_of(b"a", signal(60, 3, 0)), rows_of(b"b", signal(60, 3, 1))
    feed = sorted(a + b[:10] + b[45:], key=lambda m: m.samples[0][1])
    quiet = history(model, feed, 40)
    loud = feed_into(Run(Engine(model, limits=LIMITS)), feed)
    assert [t["status"] for t in loud.triggers(b"b", "EmberKeyStale")] == ["firing", "resolved"]
    assert quiet.triggers(b"b", "EmberKeyStale") == []
    assert not np.any(quiet.engine.flagged("stale"))


def test_a_restart_within_history_goes_on_with_it(touchy: FleetModel, feed: list[Sent]) -> None:
    """The meta row says where it ends, also when it was written before the first record."""
    until, at, offsets = 431, 120, offsets_of(feed)
    whole = history(touchy, feed, until)
    for stopped_at in (0, at):
        first = Engine(touchy, limits=LIMITS)
        first.attach(TP)
        first.open(TP, int(offsets[0]), int(offsets[until]))
        begun = feed_into(Run(first), feed, [stopped_at])
        dirty = first.take_dirty(TP)
        second = Engine(touchy, limits=LIMITS)
        second.load(TP, dirty.keys, dirty.rows)
        assert not second.open(TP, int(offsets[stopped_at]), int(offsets[-1]))
        done = feed_into(Run(second), feed, begin=stopped_at)
        assert begun.events == []
        assert done.events == whole.events
        assert done.rows() == whole.rows()


def test_without_history_nothing_is_written_first(model: FleetModel) -> None:
    """A log that is empty, or read from its end, needs no meta row before its first record."""
    engine = Engine(model)
    engine.attach(TP)
    assert not engine.open(TP, 17, 17)
    assert not engine.open(TP, 17, -1)
