"""A channel that vanishes in mid-stream is told once, and its return too."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core.pipeline import FleetModel
from stream.engine import Engine, Limits, WindowSpec
from stream.engine.missing_channels import FIRST_GAP, STEPS, TIMES
from tests.stream.engine.conftest import (
    INTERVAL,
    SECOND,
    START,
    TP,
    Run,
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
from tests.stream.engine.test_engine_versions import read, written

NAME = "EmberChannelMissing"
ROWS, GONE, BACK = 400, 250, 350
MAX_GAP = 10


def told(done: Run, key: bytes = b"a") -> list[tuple[str, str, str, int]]:
    return [
        (b["status"], b["reason"], b["labels"]["channel"], b["rows"])
        for b in done.triggers(key, NAME)
    ]


def without(values: np.ndarray, channel: int, begin: int, end: int | None = None) -> np.ndarray:
    values = values.copy()
    values[begin:end, channel] = np.nan
    return values


def test_a_channel_that_vanishes_fires_once_and_resolves_when_it_returns(
    model: FleetModel,
) -> None:
    feed = rows_of(b"a", without(signal(ROWS, 3, 0), 1, GONE, BACK))
    done = run(model, feed)
    assert told(done) == [
        ("firing", "channel_missing", "heat", MAX_GAP + 1),
        ("resolved", "channel_returned", "heat", BACK - GONE),
    ]
    fired, resolved = (e for e in done.events if NAME.encode() in e.body)
    assert fired.time_us == START + (GONE + MAX_GAP) * INTERVAL * SECOND
    assert resolved.time_us == START + BACK * INTERVAL * SECOND
    assert fired.id != resolved.id
    bodies = body_of(fired), body_of(resolved)
    assert bodies[0]["fingerprint"] == bodies[1]["fingerprint"]
    assert bodies[0]["labels"] == {
        "alertname": NAME,
        "channel": "heat",
        "key": "a",
        "topic": "telemetry",
    }
    assert bodies[0]["annotations"]["summary"] == "Channel heat of a has stopped coming"
    assert done.steps[0].missing_by_channel == {"heat": BACK - GONE}


def test_scores_and_other_events_are_those_without_it(model: FleetModel) -> None:
    values = without(signal(ROWS, 3, 0), 1, GONE, BACK)
    values[370:380] += 70.0
    feed = rows_of(b"a", values)
    plain = run(model, feed, limits=Limits(max_keys=64, missing_channels=False))
    done = run(model, feed)
    assert done.scores == plain.scores
    assert [e for e in done.events if NAME.encode() not in e.body] == plain.events
    assert plain.triggers(name=NAME) == []
    assert plain.engine.row_bytes < done.engine.row_bytes


@pytest.mark.parametrize("window", [None, WindowSpec(mode="time", lateness_us=0)])
@pytest.mark.parametrize("size", [4, 64])
def test_the_cut_of_the_log_changes_nothing(
    model: FleetModel, size: int, window: WindowSpec | None
) -> None:
    rng = np.random.default_rng(5)
    feeds = []
    for number, key in enumerate((b"a", b"b", b"new")):
        values = without(signal(400, 3, number), number, 230, 300)
        values[:, (number + 1) % 3][rng.random(400) < 0.3] = np.nan
        feeds.append(rows_of(key, without(values, number, 360)))
    feed = interleaved(*feeds)
    whole = run(model, feed, window=window)
    same(whole, run(model, feed, cuts_of(size, len(feed)), window=window))
    assert told(whole)
    assert told(whole, b"new")


def test_a_channel_that_a_key_never_had_is_not_missing(model: FleetModel) -> None:
    done = run(model, rows_of(b"a", without(signal(ROWS, 3, 0), 2, 0)))
    assert told(done) == []


@pytest.mark.parametrize("every", [4, 30, 150])
def test_a_channel_that_comes_now_and_then_is_not_missing_in_between(
    model: FleetModel, every: int
) -> None:
    """And is, once it stays away for several of its own gaps."""
    rows = 210 * every if every < 100 else 3_000
    values = signal(rows + 9 * every, 3, 0)
    values[np.arange(len(values)) % every > 0, 2] = np.nan
    regular = run(model, rows_of(b"a", values[:rows]))
    assert told(regular) == []
    values[rows:, 2] = np.nan
    vanished = run(model, rows_of(b"a", values))
    assert len(told(vanished)) == (1 if every < 100 else 0)


def test_a_channel_that_is_missing_at_random_is_not_told(model: FleetModel) -> None:
    values = signal(3_000, 3, 0)
    rng = np.random.default_rng(3)
    values[rng.random(3_000) < 0.9, 2] = np.nan
    values[rng.random(3_000) < 0.5, 1] = np.nan
    assert told(run(model, rows_of(b"a", values))) == []


def test_a_lasting_absence_is_not_told_again_and_again(model: FleetModel) -> None:
    """After a long absence the channel has to be regular again before the next is told."""
    values = without(signal(700, 3, 0), 1, GONE, BACK)
    for begin in range(BACK + 5, 550, 40):
        values[begin : begin + 20, 1] = np.nan
    assert len(told(run(model, rows_of(b"a", values)))) == 2


def test_a_gap_in_the_quiet_rows_is_told_when_they_end(model: FleetModel) -> None:
    """A known key is quiet for 64 rows, an unknown one warms up."""
    known = run(model, rows_of(b"a", without(signal(600, 3, 0), 1, 60)))
    assert [rows for _, _, _, rows in told(known)] == [_limit_after(60) + 1]
    unknown = run(model, rows_of(b"new", without(signal(600, 3, 0), 1, 60)))
    assert [status for status, *_ in told(unknown, b"new")] == ["firing"]
    quiet = model.pipeline.config.quiet_rows
    assert told(run(model, rows_of(b"a", without(signal(quiet, 3, 0), 1, 30)))) == []


def _limit_after(values: int) -> int:
    """Rows after which a channel is missing that came with each of the first rows."""
    gap = FIRST_GAP
    for _ in range(values - 1):
        gap -= max(gap // 32, 1)
    return max(MAX_GAP, TIMES * gap // STEPS)


def test_a_key_that_is_forgotten_takes_its_alert_with_it(model: FleetModel) -> None:
    feed = rows_of(b"a", without(signal(280, 3, 0), 1, GONE))
    later = START + 10_000 * SECOND
    feed += [sent(b"b", later + 10 * i * SECOND, [1.0, 2.0, 3.0]) for i in range(60)]
    limits = Limits(max_keys=64, ttl_us=3_600 * SECOND)
    done = Run(Engine(model, None, limits))
    for begin in range(0, len(feed), 10):
        feed_into(done, feed, [begin + 10], begin=begin)
        done.engine.take_dirty(TP)
    assert [(status, rows) for status, _, _, rows in told(done)] == [
        ("firing", MAX_GAP + 1),
        ("resolved", 280 - GONE),
    ]


@pytest.mark.parametrize("on_first", [False, True])
def test_a_row_of_a_worker_with_the_setting_the_other_way_is_migrated(
    model: FleetModel, on_first: bool
) -> None:
    """Nothing else changes; where it is switched on, it learns from there."""
    feed = rows_of(b"a", without(signal(ROWS, 3, 0), 1, 310))
    limits = [Limits(max_keys=64, missing_channels=on) for on in (on_first, not on_first)]
    first = feed_into(Run(Engine(model, None, limits[0])), feed, [100])
    log: dict[bytes, bytes | None] = {}
    written(first.engine, log)
    second = Run(read(Engine(model, None, limits[1]), log))
    feed_into(second, feed, begin=100)
    whole = run(model, feed, limits=Limits(max_keys=64, missing_channels=False))
    assert second.scores[b"a"] == whole.scores[b"a"][100:]
    assert [status for status, *_ in told(second)] == ([] if on_first else ["firing"])


def test_a_restart_goes_on_with_what_was_told(model: FleetModel) -> None:
    feed = rows_of(b"a", without(signal(ROWS, 3, 0), 1, GONE, BACK))
    whole = run(model, feed)
    for cut in (GONE + 5, GONE + MAX_GAP + 1, BACK - 1):
        first = feed_into(Run(Engine(model, None, Limits(max_keys=64))), feed, [cut])
        log: dict[bytes, bytes | None] = {}
        written(first.engine, log)
        second = Run(read(Engine(model, None, Limits(max_keys=64)), log), events=first.events)
        feed_into(second, feed, begin=cut)
        assert second.events == whole.events
