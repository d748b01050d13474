"""Silent keys: one firing and one resolved, by the partition's clock and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core.pipeline import FleetModel
from stream.engine import Limits
from stream.records import rfc3339
from tests.stream.engine.conftest import (
    INTERVAL,
    SECOND,
    START,
    TP,
    Run,
    Sent,
    cuts_of,
    feed_into,
    interleaved,
    rows_of,
    run,
    same,
    sent,
    signal,
)

LIMITS = Limits(max_keys=64, stale_intervals=5.0)
SIZES = pytest.mark.parametrize("size", [1, 4, 1000])
STALE = "EmberKeyStale"


def without(feed: list[Sent], begin: int, end: int) -> list[Sent]:
    return feed[:begin] + feed[end:]


def patience_us(model: FleetModel, key: bytes) -> int:
    return int(model.key_state["interval"][model.keys.index(key)] * 5.0 * 1e6)


def stale(done: Run, key: bytes) -> list[tuple[str, str]]:
    return [(b["status"], b["reason"]) for b in done.triggers(key, STALE)]


@SIZES
def test_a_silent_key_fires_once_and_resolves_once(model: FleetModel, size: int) -> None:
    """From the clock's passing its patience to its next record; both events name one episode."""
    b = without(rows_of(b"b", signal(60, 3, 1)), 20, 45)
    feed = interleaved(rows_of(b"a", signal(60, 3, 0)), b)
    done = run(model, feed, cuts_of(size, len(feed)), limits=LIMITS)
    assert stale(done, b"b") == [("firing", "stale"), ("resolved", "returned")]
    assert stale(done, b"a") == []
    fired, back = done.triggers(b"b", STALE)
    since = START + 19 * INTERVAL * SECOND + patience_us(model, b"b")
    assert fired["startsAt"] == back["startsAt"] == rfc3339(since)
    assert fired["endsAt"] is None
    assert back["endsAt"] == rfc3339(START + 45 * INTERVAL * SECOND)
    assert fired["fingerprint"] == back["fingerprint"]
    same(done, run(model, feed, limits=LIMITS))


def test_a_silence_that_a_delayed_record_ends_does_not_end_before_it_began(
    model: FleetModel,
) -> None:
    """Its event time lies before the time at which the key counted as idle."""
    b = rows_of(b"b", signal(60, 3, 1))
    feed = [*interleaved(rows_of(b"a", signal(60, 3, 0)), b[:20]), b[20]]
    fired, back = run(model, feed, limits=LIMITS).triggers(b"b", STALE)
    assert back["status"] == "resolved"
    assert back["endsAt"] == back["startsAt"] == fired["startsAt"]


@SIZES
def test_a_key_that_never_returns_stays_silent(model: FleetModel, size: int) -> None:
    feed = interleaved(rows_of(b"a", signal(90, 3, 0)), rows_of(b"b", signal(9, 3, 1)))
    done = run(model, feed, cuts_of(size, len(feed)), limits=LIMITS)
    assert stale(done, b"b") == [("firing", "stale")]


@SIZES
def test_a_key_may_fall_silent_again_and_again(model: FleetModel, size: int) -> None:
    """Also twice within one batch."""
    b = rows_of(b"b", signal(90, 3, 1))
    b = b[:10] + b[30:31] + b[50:52] + b[80:]
    feed = interleaved(rows_of(b"a", signal(90, 3, 0)), b)
    done = run(model, feed, cuts_of(size, len(feed)), limits=LIMITS)
    assert stale(done, b"b") == [("firing", "stale"), ("resolved", "returned")] * 3
    assert len({e.id for e in done.events}) == len(done.events)


@SIZES
def test_a_laggard_that_keeps_sending_is_never_silent(model: FleetModel, size: int) -> None:
    """Its event times are an hour behind the partition's; patience counts from when it sent."""
    ahead = rows_of(b"a", signal(60, 3, 0), START + 3_600 * SECOND)
    behind = rows_of(b"b", signal(60, 3, 1))
    feed = [m for pair in zip(ahead, behind, strict=True) for m in pair]
    done = run(model, feed, cuts_of(size, len(feed)), limits=LIMITS)
    assert stale(done, b"b") == stale(done, b"a") == []


@SIZES
def test_alone_in_its_partition_no_key_falls_silent(model: FleetModel, size: int) -> None:
    """Nothing says that time has passed before the key itself does."""
    feed = without(rows_of(b"b", signal(90, 3, 1)), 20, 80)
    done = run(model, feed, cuts_of(size, len(feed)), limits=LIMITS)
    assert done.triggers(name=STALE) == []


@SIZES
def test_late_and_refused_records_keep_no_key_alive_and_move_no_other(
    model: FleetModel, size: int
) -> None:
    """A clock stuck in the past is silence; a time in the future is not the partition's."""
    a, b = rows_of(b"a", signal(40, 3, 0)), rows_of(b"b", signal(10, 3, 1))
    stuck = sent(b"b", START, (1.0, 1.0, 1.0))
    feed = [m for message in interleaved(a, b) for m in (message, stuck)]
    done = run(model, feed, cuts_of(size, len(feed)), limits=LIMITS)
    assert stale(done, b"b") == [("firing", "stale")]
    ahead = sent(b"a", START + 10**6 * SECOND, (0.0,) * 3, timestamp_ms=START // 1000)
    feed = [*interleaved(a[:10], b), ahead]
    done = run(model, feed, cuts_of(size, len(feed)), limits=LIMITS)
    assert done.counts()["future"] == 1
    assert done.triggers(name=STALE) == []


@SIZES
def test_a_key_whose_clock_is_ahead_makes_no_other_silent(model: FleetModel, size: int) -> None:
    """Fifty minutes ahead it is not refused; Kafka's timestamp says what the time is."""
    a, b, c = (rows_of(key, signal(40, 3, seed)) for seed, key in enumerate((b"a", b"b", b"c")))
    ahead = [
        sent(b"c", time_us + 3_000 * SECOND, values)
        for message in c
        for _, time_us, values in message.samples
    ]
    feed = [
        Sent(message.samples, timestamp_ms=START // 1000 + row * INTERVAL * 1000)
        for row, messages in enumerate(zip(a, b, ahead, strict=True))
        for message in messages
    ]
    done = run(model, feed, cuts_of(size, len(feed)), limits=LIMITS)
    assert "future" not in done.counts()
    assert done.triggers(name=STALE) == []
    late = [m for m in feed if m.samples[0][0] != b"b" or m.timestamp_ms < START // 1000 + 200_000]
    done = run(model, late, cuts_of(size, len(late)), limits=LIMITS)
    assert stale(done, b"b") == [("firing", "stale")]


@SIZES
def test_an_episode_is_over_while_its_key_is_silent(model: FleetModel, size: int) -> None:
    """Every firing has its resolved, and both halves of the episode say when it began."""
    values = signal(260, 3, 1)
    values[86:90] += 70.0
    b = without(rows_of(b"b", values), 90, 115)
    feed = interleaved(rows_of(b"a", signal(260, 3, 0)), b)
    done = run(model, feed, cuts_of(size, len(feed)), limits=LIMITS)
    told = done.triggers(b"b")
    assert [(e["status"], e["reason"]) for e in told[:4]] == [
        ("firing", "evidence"),
        ("resolved", "stale"),
        ("firing", "returned"),
        ("resolved", "evidence"),
    ]
    since = rfc3339(START + 89 * INTERVAL * SECOND + patience_us(model, b"b"))
    assert told[1]["endsAt"] == since
    assert {e["startsAt"] for e in told[:4]} == {told[0]["startsAt"]}
    assert told[1]["rows"] == told[2]["rows"] == 4
    assert stale(done, b"b") == [("firing", "stale"), ("resolved", "returned")]
    order = [e.id for e in done.events if e.key == b"b" and e.kind == "trigger"]
    assert len(set(order)) == len(order)


@SIZES
@pytest.mark.parametrize("shown", [70.0, 5.0, 0.0])
def test_silence_changes_no_other_event(model: FleetModel, size: int, shown: float) -> None:
    """What a key alone would tell, it tells among others too, before, in and after a silence."""
    values = signal(130, 3, 1)
    values[86:90] += shown
    values[118:121] -= shown
    b = without(rows_of(b"b", values), 90, 115)
    alone = run(model, b, limits=LIMITS)
    feed = interleaved(rows_of(b"a", signal(130, 3, 0)), b)
    among = run(model, feed, cuts_of(size, len(feed)), limits=LIMITS)
    assert stale(among, b"b")
    assert not stale(alone, b"b")
    evidence = [
        [(e.id, e.body) for e in done.events if e.key == b"b" and b'"evidence"' in e.body]
        for done in (alone, among)
    ]
    assert evidence[0] == evidence[1]
    assert alone.scores[b"b"] == among.scores[b"b"]


def test_keys_that_fall_silent_together_are_told_in_one_order(model: FleetModel) -> None:
    """By deadline, then key: not by who was in the batch or where the rows lie."""
    b, c = rows_of(b"b", signal(12, 3, 1)), rows_of(b"c", signal(12, 3, 2))
    both = [m for pair in zip(b, c, strict=True) for m in pair]
    both[-2:] = both[:-3:-1]  # b came first, and is the last to send
    feed = [*both, sent(b"a", START + 10_000 * SECOND, (0.0, 0.0, 0.0))]
    whole = run(model, feed, limits=LIMITS)
    told = [(e.time_us, e.key) for e in whole.events if b"EmberKeyStale" in e.body]
    assert {key for _, key in told} == {b"b", b"c"}
    assert told == sorted(told)
    for cut in range(1, len(feed)):
        same(run(model, feed, [cut, len(feed)], limits=LIMITS), whole)


def test_a_key_that_is_loaded_later_falls_silent_in_time(model: FleetModel) -> None:
    """Rows that arrive from the changelog after the partition has moved on are looked at again."""
    b = run(model, rows_of(b"b", signal(3, 3, 1), START - 40 * SECOND), limits=LIMITS)
    done = run(model, rows_of(b"a", signal(4, 3, 0)), [1, 2, 3, 4], limits=LIMITS)
    assert done.engine.load(TP, [b"b"], [b.engine.row(TP, b"b")]).accepted == 1
    more = sent(b"a", START + 40 * SECOND, (0.0, 0.0, 0.0))
    feed_into(done, [more], first_offset=900)
    assert stale(done, b"b") == [("firing", "stale")]


def test_a_key_that_still_warms_up_is_never_silent(model: FleetModel) -> None:
    """Its usual interval is not known yet."""
    feed = interleaved(rows_of(b"a", signal(90, 3, 0)), rows_of(b"new", signal(9, 3, 1)))
    assert run(model, feed, limits=LIMITS).triggers(name=STALE) == []


def test_patience_of_zero_intervals_is_endless(model: FleetModel) -> None:
    feed = interleaved(rows_of(b"a", signal(90, 3, 0)), rows_of(b"b", signal(9, 3, 1)))
    done = run(model, feed, limits=Limits(max_keys=64, stale_intervals=0))
    assert done.triggers(name=STALE) == []


def test_silence_and_return_change_no_score(model: FleetModel) -> None:
    """Scores are the key's own; what the partition's clock does stands apart."""
    b = without(rows_of(b"b", signal(60, 3, 1)), 20, 45)
    alone = run(model, b, limits=LIMITS)
    among = run(model, interleaved(rows_of(b"a", signal(60, 3, 0)), b), limits=LIMITS)
    assert stale(among, b"b")
    assert [s[:4] for s in alone.scores[b"b"]] == [s[:4] for s in among.scores[b"b"]]
    assert np.isfinite([s[1] for s in among.scores[b"b"]]).all()
