"""Every message ends in exactly one named count, and the counts add up to the offsets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ember_core.pipeline import FleetModel
from stream.engine import Engine, Limits, Outcome, SliceOffsets, WindowSpec
from stream.records import Reason
from tests.stream.engine.conftest import (
    INTERVAL,
    QUICK,
    SECOND,
    START,
    TP,
    Run,
    Sent,
    cuts_of,
    decoded,
    feed_into,
    rows_of,
    run,
    same,
    sent,
    signal,
)

HOUR_MS = 3_600_000

samples = st.tuples(
    st.sampled_from([b"a", b"b", b"n1", b"n2", b"n3"]),
    st.integers(0, 40).map(lambda i: START + i * INTERVAL * SECOND),
    st.tuples(*[st.sampled_from([1.5, -70.0, float("nan")])] * 3),
)
messages = st.builds(
    Sent,
    samples=st.lists(samples, min_size=1, max_size=4).map(tuple),
    reason=st.sampled_from([None, None, None, None, Reason.NOT_JSON, Reason.NO_KEY]),
    gap=st.sampled_from([0, 0, 0, 1, 7]),
    timestamp_ms=st.sampled_from([START // 1000 + 200_000, 2**43, START // 1000 - HOUR_MS]),
)
feeds = st.lists(messages, min_size=1, max_size=60)


@QUICK
@given(feed=feeds, cut=st.integers(1, 59), keys=st.integers(1, 6), mode=st.booleans())
def test_counts_add_up_to_the_offsets_whatever_comes(
    model: FleetModel, feed: list[Sent], cut: int, keys: int, mode: bool
) -> None:
    """Refusals, late, repeated, absent, future and key limit; one batch or two, twice the same."""
    window = WindowSpec("time", 20 * SECOND, 30 * SECOND) if mode else None
    limits = Limits(max_keys=keys)
    whole = run(model, feed, limits=limits, window=window)
    parts = run(model, feed, sorted({min(cut, len(feed)), len(feed)}), limits=limits, window=window)
    same(parts, whole)
    for one in (whole, parts):
        meta = one.engine.meta(TP)
        assert sum(meta.counts.values()) == meta.absorbed + 1 - meta.first_offset
        steps = sum(sum(s.counts.values()) for s in one.steps)
        assert steps == sum(meta.counts.values())
        rejected = sum(len(s.rejected) for s in one.steps)
        assert rejected == sum(n for f, n in meta.counts.items() if f in set(Reason))
    assert whole.counts().get("absent", 0) == sum(m.gap for m in feed[1:])
    again = feed_into(Run(whole.engine), feed)  # all of it is known
    assert (again.events, again.scores, again.steps[0].counts) == ([], {}, {})
    assert again.engine.meta(TP) == parts.engine.meta(TP)


def test_each_message_has_the_fate_it_should(model: FleetModel) -> None:
    """One of every kind; a message takes the best outcome of its samples."""
    good = signal(90, 3, 0)
    at = [START + i * INTERVAL * SECOND for i in range(90)]
    feed = [
        sent(b"a", at[1], good[1]),  # scored
        sent(b"new", at[1], good[1]),  # warming
        sent(b"a", at[0], good[0]),  # late
        sent(b"a", at[1], good[1]),  # late: as old as the last row
        Sent(reason=Reason.WRONG_TYPE),
        sent(b"a", at[2] + 1, good[2], timestamp_ms=at[2] // 1000 - HOUR_MS),  # future by 1 us
        sent(b"a", at[2], good[2], timestamp_ms=at[2] // 1000 - HOUR_MS),  # just not
        sent(b"one too many", at[2], good[2], gap=3),
        Sent(((b"a", at[0], (0.0,) * 3), (b"a", at[3], tuple(good[3])))),  # late and scored
        Sent(((b"new", at[2], (0.0,) * 3), (b"a", at[0], (0.0,) * 3))),  # warming and late
    ]
    done = run(model, feed, limits=Limits(max_keys=2))
    assert done.counts() == {
        Outcome.SCORED: 3,
        Outcome.WARMING: 2,
        Outcome.LATE: 2,
        Outcome.ABSENT: 3,
        Reason.WRONG_TYPE: 1,
        Reason.FUTURE: 1,
        Reason.KEY_LIMIT: 1,
    }
    (step,) = done.steps
    assert [(r.message, r.reason) for r in step.rejected] == [
        (4, Reason.WRONG_TYPE),
        (5, Reason.FUTURE),
        (7, Reason.KEY_LIMIT),
    ]
    assert "state.max_keys" in step.rejected[-1].detail
    assert "input.time_unit" in step.rejected[1].detail
    assert step.late == [2, 3, 8, 9]
    assert [row[0] for row in done.scores[b"a"]] == [at[1], at[2], at[3]]


def test_a_refused_message_leaves_no_trace(model: FleetModel) -> None:
    """Not in the rows, the clock or the keys: none of its samples is absorbed."""
    good = rows_of(b"a", signal(4, 3, 0))
    ahead = START + 90_000 * SECOND
    bad = Sent(((b"x", START, (0.0,) * 3), (b"a", ahead, (9.0,) * 3)), timestamp_ms=START // 1000)
    clean, done = run(model, good), run(model, [*good, bad])
    assert done.counts()["future"] == 1
    assert done.rows() == clean.rows()
    assert done.engine.meta(TP).clock_us == clean.engine.meta(TP).clock_us
    over = Sent(((b"x", START, (0.0,) * 3), (b"y", START, (0.0,) * 3), (b"a", ahead, (9.0,) * 3)))
    done = run(model, [*good, over], limits=Limits(max_keys=2))
    assert done.counts()["key_limit"] == 1
    assert done.rows() == clean.rows()


@pytest.mark.parametrize("size", [1, 2, 9])
def test_a_message_beyond_the_key_limit_takes_no_room_from_the_next(
    model: FleetModel, size: int
) -> None:
    """Two new keys in one message where one fits: neither; the next message's key does."""
    good = signal(3, 3, 0)
    over = Sent(tuple((key, START, tuple(good[0])) for key in (b"x", b"y")))
    feed = [sent(b"a", START, good[0]), over, *rows_of(b"y", good), *rows_of(b"x", good)]
    done = run(model, feed, cuts_of(size, len(feed)), limits=Limits(max_keys=2))
    assert set(done.rows()) == {b"a", b"y"}
    assert done.counts() == {"scored": 1, "warming": 3, "key_limit": 4}


def test_a_partition_begins_to_count_at_its_first_message(model: FleetModel) -> None:
    """A log whose beginning was deleted owes nothing for it; fresh partitions say so by -1."""
    engine = Engine(model)
    engine.attach(TP)
    assert (engine.meta(TP).first_offset, engine.meta(TP).absorbed) == (-1, -1)
    done = feed_into(Run(engine), rows_of(b"a", signal(3, 3, 0)), first_offset=10**12)
    meta = done.engine.meta(TP)
    assert (meta.first_offset, meta.absorbed) == (10**12, 10**12 + 2)


def test_missing_values_are_counted_where_they_are_filled_in(model: FleetModel) -> None:
    """One per channel and row; late records and single-channel samples of a whole row are none."""
    values = signal(7, 3, 0)
    values[2:5, 1] = np.nan
    late = sent(b"a", START, (np.nan, 1.0, np.nan))
    assert run(model, [*rows_of(b"a", values), late]).steps[0].missing == 3
    long = [
        sent(b"a", START + i * INTERVAL * SECOND, np.where(np.arange(3) == c, row, np.nan))
        for i, row in enumerate(values)
        for c in range(3)
        if row[c] == row[c]
    ]
    window = WindowSpec("time", INTERVAL * SECOND, 0)
    assert run(model, long, window=window).steps[0].missing == 3


def test_a_key_is_refused_where_another_partition_has_its_state(model: FleetModel) -> None:
    """In the same topic only; the message leaves nothing behind, and its key goes on at home."""
    good, odd = signal(4, 3, 0), b"rack\xff7"
    home, other, another = TP, (TP[0], TP[1] + 1), ("elsewhere", TP[1] + 1)
    engine = Engine(model)
    done = feed_into(Run(engine), rows_of(odd, good[:2]))
    before = done.rows()
    for tp in (other, another):
        engine.attach(tp)
    both = Sent(((b"b", START, tuple(good[0])), (odd, START, tuple(good[0]))))
    feed = [both, sent(b"c", START, good[0])]
    stamps = np.array([m.timestamp_ms for m in feed], dtype=np.int64)
    found = engine.step(other, decoded(feed, 3), SliceOffsets(np.arange(5, 7), stamps))
    ((message, reason, why),) = found.rejected
    assert (message, reason) == (0, Reason.WRONG_PARTITION)
    assert f"Expected partition {home[1]}. Received: partition={other[1]}." in why
    assert "rebase --partitioner" in why
    assert r"Key 'rack\xff7' has" in why
    assert engine.meta(other).counts == {"wrong_partition": 1, "scored": 1}
    assert engine.row(other, b"b") is None
    assert done.rows() == before
    found = engine.step(another, decoded(feed, 3), SliceOffsets(np.arange(2), stamps))
    assert not found.rejected
    engine.detach(home)
    again = engine.step(other, decoded(feed[:1], 3), SliceOffsets(np.arange(7, 8), stamps[:1]))
    assert not again.rejected  # nobody here knows of another place
