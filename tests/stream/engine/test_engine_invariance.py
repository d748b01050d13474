"""However the log is cut, mixed or laid out in memory: the same bits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ember_core.pipeline import FleetModel
from stream.engine import Limits
from tests.stream.engine.conftest import (
    KNOWN,
    QUICK,
    TP,
    Run,
    Sent,
    cuts_of,
    feed_into,
    fit,
    interleaved,
    rows_of,
    run,
    same,
    signal,
)

LIMITS = Limits(max_keys=64, stale_intervals=5.0)


@pytest.fixture(scope="module")
def whole(model: FleetModel, feed: list[Sent]) -> Run:
    """The feed in one batch."""
    return run(model, feed, limits=LIMITS)


def test_the_feed_has_every_fate_and_every_kind_of_event(whole: Run, feed: list[Sent]) -> None:
    """The equalities below are about something."""
    assert set(whole.counts()) == {"scored", "warming", "late", "absent", "not_json", "future"}
    assert set(whole.scores) == {*KNOWN, b"new", b"also new"}
    kinds = {(b["status"], b["reason"]) for b in whole.triggers()}
    assert kinds == {
        *(("firing", "evidence"), ("resolved", "evidence")),
        *(("resolved", "stale"), ("firing", "returned")),
    }
    kinds = {(b["status"], b["reason"]) for b in whole.triggers(name="EmberKeyStale")}
    assert kinds == {("firing", "stale"), ("resolved", "returned")}
    assert any(e.kind == "anomaly" for e in whole.events)


@pytest.mark.parametrize("size", [1, 7, 256, 4096])
def test_the_size_of_a_batch_changes_nothing(
    model: FleetModel, feed: list[Sent], whole: Run, size: int
) -> None:
    same(run(model, feed, cuts_of(size, len(feed)), limits=LIMITS), whole)


@QUICK
@given(data=st.data())
def test_cuts_anywhere_change_nothing(
    model: FleetModel, feed: list[Sent], whole: Run, data: st.DataObject
) -> None:
    cuts = data.draw(st.sets(st.integers(1, len(feed) - 1), max_size=25))
    same(run(model, feed, [*sorted(cuts), len(feed)], limits=LIMITS), whole)


@pytest.mark.parametrize("order", ["F", "strided"])
def test_the_layout_of_the_input_in_memory_changes_nothing(
    model: FleetModel, feed: list[Sent], whole: Run, order: str
) -> None:
    same(run(model, feed, cuts_of(101, len(feed)), limits=LIMITS, order=order), whole)


@QUICK
@given(seed=st.integers(0, 2**32 - 1), size=st.sampled_from([3, 50, 1000]))
def test_how_the_keys_are_mixed_changes_no_score_and_no_event_of_a_key(
    model: FleetModel, seed: int, size: int
) -> None:
    """Each key keeps its own order; nothing is said of silences, which are the partition's."""
    feeds = []
    for number, key in enumerate((*KNOWN, b"new")):
        values = signal(97, 3, number)
        values[80:87] += 70.0
        feeds.append(rows_of(key, values))
    limits = Limits(max_keys=64, stale_intervals=0)
    tidy = run(model, interleaved(*feeds), limits=limits)
    rng = np.random.default_rng(seed)
    turns = rng.permutation(np.repeat(np.arange(4), 97))
    queues = [iter(f) for f in feeds]
    mixed = [next(queues[k]) for k in turns.tolist()]
    other = run(model, mixed, cuts_of(size, len(mixed)), limits=limits)
    assert other.scores == tidy.scores
    for key in other.scores:
        assert [e for e in other.events if e.key == key] == [e for e in tidy.events if e.key == key]
    assert tidy.triggers()


def test_two_keys_of_the_same_partition_and_two_partitions_do_not_mix(model: FleetModel) -> None:
    """A key has the same scores alone as among others, and state of one partition is its own."""
    alone = run(model, rows_of(b"a", signal(31, 3, 0)))
    feed = interleaved(*(rows_of(k, signal(31, 3, n)) for n, k in enumerate((b"a", b"b", b"x"))))
    among = run(model, feed)
    assert among.scores[b"a"] == alone.scores[b"a"]
    among.engine.attach(("telemetry", 4))
    assert among.engine.keys(("telemetry", 4)) == 0
    before = among.rows()
    among.engine.detach(("telemetry", 4))
    assert among.rows() == before
    among.engine.detach(TP)
    assert among.engine.active_keys == 0


@pytest.mark.parametrize("windows", ["dilated", "hop"])
def test_windows_of_rows_are_as_indifferent_to_cuts(windows: str) -> None:
    one = fit(KNOWN[:2], ("only",), rows=160, windows=windows)
    feeds = [rows_of(key, signal(80, 1, n)) for n, key in enumerate((*KNOWN[:2], b"new"))]
    feed = interleaved(*feeds)
    whole = run(one, feed)
    same(run(one, feed, cuts_of(1, len(feed))), whole)
    same(run(one, feed, cuts_of(29, len(feed))), whole)


def test_a_fleet_of_38_channels_is_as_indifferent_to_cuts() -> None:
    """Many visible units: products of several blocks."""
    names = tuple(f"c{i}" for i in range(38))
    wide = fit((b"a",), names, rows=150, residuals=(), horizons=(1,), levels=True, hidden=11)
    config = wide.pipeline.config
    assert wide.pipeline.n_visible >= 38 * 8 + 2 * config.harmonics * len(config.periods_seconds)
    rng = np.random.default_rng(5)
    feed = interleaved(*(rows_of(k, signal(23, 38, n)) for n, k in enumerate((b"a", b"z"))))
    # the new key would not be scored yet
    wide.configure(warmup_score=3, warmup_alarm=5)
    whole = run(wide, feed)
    assert len(whole.scores[b"z"]) == 20
    same(run(wide, feed, cuts_of(1, len(feed))), whole)
    cuts = sorted(rng.choice(np.arange(1, len(feed)), 6, replace=False).tolist())
    same(run(wide, feed, [*cuts, len(feed)]), whole)


def test_an_empty_fetch_changes_nothing(model: FleetModel) -> None:
    feed = rows_of(b"a", signal(5, 3, 0))
    done = run(model, feed)
    before, meta = done.rows(), done.engine.meta(TP).encode()
    feed_into(done, feed, [5], begin=5)
    assert (done.rows(), done.engine.meta(TP).encode()) == (before, meta)
