"""A key that falls silent with an interval open: it is judged first, by the partition's clock."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ember_core.pipeline import FleetModel
from stream.engine import Engine, Limits, WindowSpec
from stream.engine.state.spill import Spill
from tests.conftest import examples
from tests.simulation.spill import DictSpill
from tests.stream.engine.conftest import (
    INTERVAL,
    QUICK,
    SECOND,
    START,
    TP,
    Run,
    Sent,
    body_of,
    cuts_of,
    feed_into,
    interleaved,
    rows_of,
    run,
    same,
    sent,
    signal,
)

LATENESS = 25
SPEC = WindowSpec("time", INTERVAL * SECOND, LATENESS * SECOND)
SHOCK = 300.0


def at(i: float) -> int:
    return START + int(i * INTERVAL * SECOND)


def dying(rows: int = 100, after: int = 60) -> list[Sent]:
    """Key a dies with a reading far above the rest; key b goes on."""
    a = signal(rows, 3, 0)
    a[-1] += SHOCK
    return interleaved(rows_of(b"a", a), rows_of(b"b", signal(rows + after, 3, 1)))


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_last_reading_of_a_device_that_dies_is_judged_before_its_silence_is_told(
    touchy: FleetModel, size: int
) -> None:
    feed = dying()
    done = run(touchy, feed, cuts_of(size, len(feed)), window=SPEC)
    of_a = [(e.kind, body_of(e)) for e in done.events if e.key == b"a"]
    last = [
        (kind, body["labels"]["alertname"], body["status"])
        for kind, body in of_a
        if kind == "trigger" or body["window"]["start"] == "2023-11-14T22:29:50Z"
    ][-4:]
    assert last == [
        ("anomaly", "EmberAnomaly", "firing"),
        ("trigger", "EmberFiring", "firing"),
        ("trigger", "EmberFiring", "resolved"),  # by the silence
        ("trigger", "EmberKeyStale", "firing"),
    ]
    assert done.scores[b"a"][-1][0] == at(99)
    assert len(done.scores[b"a"]) == 100
    assert sum(done.counts().values()) == len(feed)  # a row without a message of its own
    same(done, run(touchy, feed, window=SPEC))


def test_the_row_is_that_of_an_interval_closed_by_the_key_itself(touchy: FleetModel) -> None:
    """Scores do not tell who closed it."""
    feed = dying()
    by_silence = run(touchy, feed, window=SPEC)
    feed.append(sent(b"a", at(400), (0.0, 0.0, 0.0)))
    by_itself = run(touchy, feed, window=SPEC, limits=Limits(64, stale_intervals=0))
    assert by_itself.scores[b"a"] == by_silence.scores[b"a"]


def test_what_comes_later_of_a_closed_interval_is_late(model: FleetModel) -> None:
    """And the next interval begins as ever."""
    feed = dying()
    silent = run(model, feed, window=SPEC)
    rest = [sent(b"a", at(99) + 5 * SECOND, (1.0,) * 3), sent(b"a", at(100), (1.0,) * 3)]
    rest.append(sent(b"a", at(120), (1.0,) * 3))
    done = run(model, [*feed, *rest], window=SPEC)
    assert done.counts()["late"] == 1
    assert [row[0] for row in done.scores[b"a"]][-2:] == [at(99), at(100)]
    assert done.scores[b"a"][:-1] == silent.scores[b"a"]
    returned = done.triggers(b"a", "EmberKeyStale")[-1]
    assert returned["status"] == "resolved"
    # Not by the late sample; and no end comes before the begin, where the next one is delayed.
    assert returned["endsAt"] == returned["startsAt"] > "2023-11-14T22:30:00Z"


def wild(seed: int) -> list[Sent]:
    """Keys that fall silent and return, several in one message, late, by any clock."""
    rng = np.random.default_rng(seed)
    messages = []
    for number, key in enumerate((b"a", b"b", b"c", b"new", b"two")):
        now = 0.0
        values = signal(90, 3, number % 3)
        for i in range(int(rng.integers(50, 90))):
            now += float(rng.choice([0.3, 1.0, 1.3, 30.0], p=[0.3, 0.4, 0.26, 0.04]))
            shift = SHOCK if rng.random() < 0.05 else 0.0
            late = float(rng.choice([0.0, 1.0, 3.0], p=[0.8, 0.15, 0.05]))
            messages.append((now, key, at(now - late), values[i] + shift))
    messages.sort(key=lambda m: m[0])
    feed: list[Sent] = []
    for _, key, time_us, values in messages:
        sample = (key, time_us, tuple(values.tolist()))
        if feed and len(feed[-1].samples) == 1 and rng.random() < 0.2:
            feed[-1] = Sent((*feed[-1].samples, sample))
        else:
            feed.append(Sent((sample,)))
    return feed


@settings(QUICK, max_examples=examples(2))
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.sampled_from([2, 13, 100, 10_000]),
    stale=st.sampled_from([3.0, 20.0]),
    ttl=st.sampled_from([0, 40]),
    spilled=st.booleans(),
)
def test_silences_depend_on_the_log_only(
    touchy: FleetModel, seed: int, size: int, stale: float, ttl: int, spilled: bool
) -> None:
    """However it is cut, wherever the rows lie; keys that warm up meanwhile too."""
    feed = wild(seed)
    limits = Limits(64, stale_intervals=stale, ttl_us=ttl * INTERVAL * SECOND)
    one_by_one = run(touchy, feed, cuts_of(1, len(feed)), window=SPEC, limits=limits)
    if not spilled:
        done = run(touchy, feed, cuts_of(size, len(feed)), window=SPEC, limits=limits)
    else:
        done = _bounded(touchy, feed, stale, limits.ttl_us)
    assert done.scores == one_by_one.scores
    assert sum(len(rows) for rows in done.scores.values()) > 60
    assert any(name in str(e.body) for e in done.events for name in ("EmberKeyStale",))
    if not ttl:
        assert done.events == one_by_one.events
        assert done.engine.meta(TP) == one_by_one.engine.meta(TP)
        for key in (b"a", b"b", b"c", b"new", b"two"):
            assert done.engine.row(TP, key) == one_by_one.engine.row(TP, key)


def _bounded(model: FleetModel, feed: list[Sent], stale: float, ttl_us: int) -> Run:
    """Run with room for few keys, rows written out after each message."""
    spill: type[Spill] = DictSpill
    limits = Limits(3, stale_intervals=stale, ttl_us=ttl_us)
    done = Run(Engine(model, SPEC, limits, spill))
    for end in range(1, len(feed) + 1):
        feed_into(done, feed, [end], begin=end - 1)
        done.engine.take_dirty(TP)
    return done
