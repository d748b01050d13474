"""Order of time: late records, intervals of event time, no look-ahead."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ember_core.pipeline import FleetModel
from stream.engine import Limits, WindowSpec
from tests.stream.engine.conftest import (
    INTERVAL,
    QUICK,
    SECOND,
    START,
    Sent,
    cuts_of,
    interleaved,
    rows_of,
    run,
    same,
    sent,
    signal,
)

LATENESS = 25
SPEC = WindowSpec("time", INTERVAL * SECOND, LATENESS * SECOND)
KEYS = (b"a", b"b", b"new")


def at(i: float) -> int:
    return START + int(i * INTERVAL * SECOND)


def test_a_record_not_newer_than_its_keys_last_is_late_and_changes_nothing(
    model: FleetModel,
) -> None:
    """Mode count; a key's first record never is; other keys do not matter."""
    rows = rows_of(b"a", signal(30, 3, 0))
    clean = run(model, rows)
    stale = [sent(b"a", at(i - back), (1e6,) * 3) for i, back in ((9, 0), (15, 1), (20, 12))]
    feed = [*rows[:10], stale[0], *rows[10:16], stale[1], *rows[16:21], stale[2], *rows[21:]]
    feed.insert(25, sent(b"b", START - 10**12, (0.0,) * 3))
    for size in (1, 5, 99):
        done = run(model, feed, cuts_of(size, len(feed)))
        assert done.counts() == {"scored": 31, "late": 3}
        assert done.scores[b"a"] == clean.scores[b"a"]
        assert sum(len(s.late) for s in done.steps) == 3
    one_step = run(model, feed)
    assert one_step.steps[0].late == [10, 17, 23]


def long(seed: int, rows: int) -> tuple[list[Sent], list[Sent]]:
    """A wide feed, and the same one channel per record, out of order within the lateness."""
    rng = np.random.default_rng(seed)
    wide, single = [], []
    for number, key in enumerate(KEYS):
        values = signal(rows, 3, number)
        if number == 0:
            values[70:76] += 50.0
        values[rng.random(values.shape) < 0.1] = np.nan
        values[np.isnan(values).all(axis=1), 0] = 1.0
        keep = rng.random(rows) > 0.05
        keep[[0, -1]] = True
        wide.append([sent(key, at(i), values[i]) for i in np.flatnonzero(keep)])
        for i in np.flatnonzero(keep).tolist():
            for c in np.flatnonzero(~np.isnan(values[i])).tolist():
                time_us = at(i) + int(rng.integers(0, INTERVAL * SECOND))
                row = np.full(3, np.nan)
                row[c] = values[i, c]
                single.append(
                    (time_us + int(rng.integers(0, LATENESS * SECOND)), key, time_us, row)
                )
    single.sort(key=lambda s: s[0])
    return interleaved(*wide), [sent(key, time_us, row) for _, key, time_us, row in single]


@QUICK
@given(seed=st.integers(0, 2**32 - 1), size=st.sampled_from([1, 40, 10_000]))
def test_single_channel_records_in_any_order_within_the_lateness_equal_the_wide_file(
    model: FleetModel, seed: int, size: int
) -> None:
    """Bit for bit, for every interval that has closed; nothing is late."""
    wide, single = long(seed, 83)
    flush = [sent(key, at(200), (0.0,) * 3) for key in KEYS]  # closes what is open
    limits = Limits(max_keys=8, stale_intervals=0)  # silence is the partition's clock, not a key's
    reference = run(model, wide, limits=limits)
    feed = [*single, *flush]
    done = run(model, feed, cuts_of(size, len(feed)), window=SPEC, limits=limits)
    assert "late" not in done.counts()
    assert done.scores == reference.scores
    assert {(e.id, e.time_us) for e in done.events} == {(e.id, e.time_us) for e in reference.events}
    assert sum(s.missing for s in done.steps) == sum(s.missing for s in reference.steps) > 0


def test_an_interval_closes_when_its_keys_own_time_passes_its_end_by_the_lateness(
    model: FleetModel,
) -> None:
    """To the microsecond, and by no other key's time."""
    feed = [sent(b"a", at(0) + 3, (1.0, 2.0, 3.0)), sent(b"b", at(50), (1.0, 2.0, 3.0))]
    just_not = sent(b"a", at(1) + LATENESS * SECOND - 1, (1.0, 2.0, 3.0))
    just = sent(b"a", at(1) + LATENESS * SECOND, (1.0, 2.0, 3.0))
    assert b"a" not in run(model, [*feed, just_not], window=SPEC).scores
    done = run(model, [*feed, just_not, just], window=SPEC)
    assert [s[0] for s in done.scores[b"a"]] == [at(0)]
    assert done.counts() == {"windowed": 3, "scored": 1}
    late = sent(b"a", at(1) - 1, (9.0, 9.0, 9.0))
    after = run(model, [*feed, just_not, just, late], window=SPEC)
    assert after.counts() == {"windowed": 3, "scored": 1, "late": 1}
    assert after.scores == done.scores
    not_late = sent(b"a", at(1), (9.0, 9.0, 9.0))  # the next interval is open still
    after = run(model, [*feed, just_not, just, not_late], window=SPEC)
    assert after.counts() == {"windowed": 4, "scored": 1}


@pytest.mark.parametrize("size", [1, 3, 100])
def test_one_record_may_close_several_intervals(model: FleetModel, size: int) -> None:
    """In their order; its message counts once; empty intervals give no row."""
    values = signal(4, 3, 0)
    feed = [sent(b"a", at(i), row) for i, row in zip((2, 0, 1, 4), values, strict=True)]
    feed.append(sent(b"a", at(90), values[0]))
    done = run(model, feed, cuts_of(size, len(feed)), window=SPEC)
    assert [s[0] for s in done.scores[b"a"]] == [at(0), at(1), at(2), at(4)]
    assert done.counts()["scored"] <= 2
    wide = [sent(b"a", at(i), values[j]) for i, j in ((0, 1), (1, 2), (2, 0), (4, 3))]
    assert done.scores == run(model, wide).scores
    same(done, run(model, feed, window=SPEC))


@QUICK
@given(
    seed=st.integers(0, 2**32 - 1),
    at_row=st.integers(1, 69),
    windowed=st.booleans(),
)
def test_later_records_never_change_earlier_scores(
    model: FleetModel, seed: int, at_row: int, windowed: bool
) -> None:
    """Whatever follows, in the same batch too: nothing looks ahead."""
    window = SPEC if windowed else None
    feeds = [signal(70, 3, n) for n in range(3)]
    first = interleaved(*(rows_of(k, v) for k, v in zip(KEYS, feeds, strict=True)))
    rng = np.random.default_rng(seed)
    other = []
    for key, values in zip(KEYS, feeds, strict=True):
        changed = values.copy()
        changed[at_row:] = rng.choice([1e6, -40.0, np.nan, 3.0], changed[at_row:].shape)
        changed[np.isnan(changed).all(axis=1), 1] = 0.0
        other.append(rows_of(key, changed))
    a, b = run(model, first, window=window), run(model, interleaved(*other), window=window)
    for key in a.scores:
        before = [s for s in a.scores[key] if s[0] < at(at_row)]
        assert [s for s in b.scores[key] if s[0] < at(at_row)] == before
    head = [e for e in a.events if e.time_us < at(at_row) and b"evidence" in e.body]
    assert [e for e in b.events if e.time_us < at(at_row) and b"evidence" in e.body] == head
    assert a.scores != b.scores or windowed or at_row > 60
