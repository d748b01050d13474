"""Feedback `normal-now`: the present is usual at once, and the episode ends with that reason."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core.pipeline import FleetModel
from stream.control import ControlSet, Document
from stream.engine import Engine, Limits
from stream.feedback import feedback_of
from stream.records import rfc3339
from tests.core.pipeline.evidence import fleet
from tests.stream.engine.conftest import Run, Sent, cuts_of, feed_into, rows_of, same, sent, signal
from tests.stream.engine.rules_feed import firing, run_by

LIMITS = Limits(max_keys=64, hard_limits=True)
NEXT = fleet.DAYS * fleet.DAY_ROWS
SHIFT, MARK, BACK, ROWS = 200, 240, 400, 440


def normal(body: dict, name: str = "n") -> ControlSet:
    feedback = feedback_of("event", [body], "normal-now")
    return ControlSet.of(
        [Document(name=name, author="me", time="2026-01-01T00:00:00Z", body=feedback)]
    )


@pytest.fixture(scope="module")
def by_channel(tmp_path_factory: pytest.TempPathFactory) -> FleetModel:
    folder = tmp_path_factory.mktemp("model")
    fleet.model().save(folder)
    return FleetModel.load(folder, backend="numpy")


def shifted(number: int = 0) -> list[Sent]:
    values = signal(ROWS, 3, number, part=5)
    values[SHIFT:BACK, 1] += 70.0
    return rows_of(b"abc"[number : number + 1], values)


def shifted_host(channel: int) -> list[Sent]:
    """Latencies are larger by a factor, others by a number."""
    values = fleet.rows(1, NEXT, ROWS)
    values[SHIFT:BACK, channel] *= 2.0 if channel == 1 else 1.0
    values[SHIFT:BACK, channel] += 0.0 if channel == 1 else 30.0
    at = fleet.times(NEXT, ROWS)
    return [sent(b"host-1", at[i], values[i]) for i in range(ROWS)]


def marked_at(model: FleetModel, feed: list[Sent], begin: int = 0) -> tuple[Run, ControlSet]:
    done = feed_into(Run(Engine(model, None, LIMITS)), feed, [MARK])
    (body, *_) = firing(done)
    control = normal(body)
    done.engine.use_control(control)
    feed_into(done, feed, begin=MARK)
    return done, control


def rows_told(done: Run, feed: list[Sent]) -> list[tuple[str, str, int]]:
    times = [m.samples[0][1] for m in feed]
    return [
        (
            b["status"],
            b["reason"],
            times.index(int(np.datetime64(b["window"]["start"].rstrip("Z"), "us").astype(int))),
        )
        for b in done.triggers()
    ]


def test_the_episode_ends_at_once_and_the_new_level_is_usual(model: FleetModel) -> None:
    """The return to the old level is a fault then."""
    feed = shifted()
    plain = run_by(model, feed, ControlSet(), limits=LIMITS)
    done, _ = marked_at(model, feed)
    assert rows_told(plain, feed)[0][:2] == ("firing", "evidence")
    told = rows_told(done, feed)
    assert told[1] == ("resolved", "normal_now", MARK)
    assert not [entry for entry in told[2:] if entry[2] < BACK]
    severity = [row[3] for row in done.scores[b"a"]]
    assert max(severity[MARK:BACK]) < 2.0 < max(severity[BACK : BACK + 6])


@pytest.mark.parametrize("channel", [0, 1, 3])
def test_beside_channel_evidence_too(by_channel: FleetModel, channel: int) -> None:
    feed = shifted_host(channel)
    done, _ = marked_at(by_channel, feed)
    told = rows_told(done, feed)
    assert told[1] == ("resolved", "normal_now", MARK)
    times = [m.samples[0][1] for m in feed]
    led = [
        (b["top_channels"][0]["name"], b["window"]["start"])
        for b in firing(done)
        if b["top_channels"][0]["name"] == fleet.CHANNELS[channel]
    ]
    back = rfc3339(times[BACK])
    assert [start for _, start in led if rfc3339(times[MARK]) <= start < back] == []
    assert [start for _, start in led if back <= start]


def test_other_keys_and_other_channels_keep_what_they_know(model: FleetModel) -> None:
    feed = shifted()
    _, control = marked_at(model, feed)
    other = shifted(1)
    same(
        run_by(model, other, control, limits=LIMITS),
        run_by(model, other, ControlSet(), limits=LIMITS),
    )
    values = signal(ROWS, 3, 0, part=5)
    values[SHIFT:, 1] += 70.0
    values[350:358, 0] += 70.0
    done, _ = marked_at(model, rows_of(b"a", values))
    last = firing(done)[-1]
    assert last["top_channels"][0]["name"] == "load"


def test_it_counts_once_whatever_the_cuts(model: FleetModel) -> None:
    """From the event's time on: a replay with the document from the beginning takes it there."""
    feed = shifted()
    _, control = marked_at(model, feed)
    whole = run_by(model, feed, control, limits=LIMITS)
    begin = firing(run_by(model, feed, ControlSet(), limits=LIMITS))[0]["window"]["start"]
    assert control.documents[0].body.time == begin
    for size in (1, 7, 100):
        same(run_by(model, feed, control, cuts_of(size, len(feed)), LIMITS), whole)
    first = run_by(model, feed[:300], control, limits=LIMITS)
    first.engine.use_control(ControlSet())
    first.engine.use_control(control)
    feed_into(first, feed, begin=300)
    assert first.events == whole.events


def test_a_new_key_goes_on_learning(model: FleetModel) -> None:
    feed = rows_of(b"new", signal(120, 3, 7))
    body = {
        "labels": {"alertname": "EmberFiring", "key": "new", "topic": "telemetry"},
        "window": {"start": "2023-11-14T22:20:00Z"},
    }
    with_it = run_by(model, feed, normal(body), limits=LIMITS)
    without = run_by(model, feed, ControlSet(), limits=LIMITS)
    assert with_it.scores == without.scores
