"""Marks of false alarms: the same needs more before it fires again, and nothing else does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from ember_core.pipeline import FleetModel
from stream.control import ControlSet, Document, Feedback
from stream.engine import Engine
from stream.engine.marks import HALF_LIFE_SECONDS
from stream.errors import UserError
from stream.feedback import feedback_of
from stream.records import rfc3339
from tests.core.pipeline.evidence import fleet
from tests.stream.engine.conftest import (
    KNOWN,
    Run,
    Sent,
    body_of,
    cuts_of,
    feed_into,
    rows_of,
    same,
    sent,
    signal,
)
from tests.stream.engine.rules_feed import LIMITS, firing, run_by

NEXT = fleet.DAYS * fleet.DAY_ROWS
EVERY, REPEATS, OTHER = 150, 10, 3


def marked(bodies: Sequence[dict]) -> ControlSet:
    """A false alarm of each event."""
    return ControlSet.of(
        Document(
            name=f"m{i}",
            author="me",
            time="2026-01-01T00:00:00Z",
            body=feedback_of(f"event-{i}", [body], "false-alarm"),
        )
        for i, body in enumerate(bodies)
    )


def learning(model: FleetModel, feed: list[Sent], key: bytes, most: int = 3) -> Run:
    """The first episodes are marked when they have fired; the other channel's never is."""
    done = Run(Engine(model, None, LIMITS))
    marks: list[dict] = []
    begin = 0
    for end in [*range(20, len(feed), 20), len(feed)]:
        feed_into(done, feed, [end], begin=begin)
        begin = end
        told = [b for b in firing(done, key) if b["top_channels"][0]["name"] in ("heat", "latency")]
        if len(told) > len(marks) and len(marks) < most:
            marks = told[:most]
            done.engine.use_control(marked(marks))
    return done


def repeated(x: np.ndarray, channel: int, other: int, size: float, factor: float) -> np.ndarray:
    """The same fault again and again, and in between some of another channel."""
    x = x.copy()
    rng = np.random.default_rng(4)
    for i in range(REPEATS):
        at = 150 + i * EVERY
        x[at : at + 8, channel] += size * rng.uniform(0.9, 1.1)
        if i >= REPEATS - OTHER:
            x[at + 75 : at + 83, other] *= factor
    return x


@pytest.fixture(scope="module")
def by_channel(tmp_path_factory: pytest.TempPathFactory) -> FleetModel:
    folder = tmp_path_factory.mktemp("model")
    fleet.model().save(folder)
    return FleetModel.load(folder, backend="numpy")


def heard(done: Run, name: str) -> int:
    """Episodes and updates that a channel leads."""
    return sum(b["top_channels"][0]["name"] == name for b in firing(done))


def test_repeats_fall_silent_beside_joint_evidence(touchy: FleetModel) -> None:
    values = repeated(signal(150 + REPEATS * EVERY, 3, 0, part=5), 1, 0, 70.0, 1.0)
    for i in range(REPEATS - OTHER, REPEATS):
        values[225 + i * EVERY : 233 + i * EVERY, 0] += 30.0
    feed = rows_of(KNOWN[0], values)
    plain, done = run_by(touchy, feed, ControlSet()), learning(touchy, feed, KNOWN[0])
    assert heard(plain, "heat") >= 6
    assert heard(done, "heat") - 3 <= 0.2 * (heard(plain, "heat") - 3)
    assert heard(done, "load") >= heard(plain, "load") > 0


def test_repeats_fall_silent_beside_channel_evidence(by_channel: FleetModel) -> None:
    count = 150 + REPEATS * EVERY
    values = repeated(fleet.rows(1, NEXT, count), 1, 0, 25.0, 2.0)
    at = fleet.times(NEXT, count)
    feed = [sent(b"host-1", at[i], values[i]) for i in range(count)]
    plain, done = run_by(by_channel, feed, ControlSet()), learning(by_channel, feed, b"host-1")
    assert heard(plain, "latency") >= 4
    assert heard(done, "latency") - 3 <= 0.2 * (heard(plain, "latency") - 3)
    assert heard(done, "load") >= heard(plain, "load") > 0


def test_a_mark_is_for_its_key_and_side_and_fades(model: FleetModel) -> None:
    values = signal(260, 3, 0, part=5)
    values[200:208, 1] += 70.0
    (body, *_) = firing(run_by(model, rows_of(b"a", values), ControlSet()))
    control = marked([body])
    assert not firing(run_by(model, rows_of(b"a", values), control))
    down = signal(260, 3, 0, part=5)
    down[200:208, 1] -= 70.0
    (other, *_) = firing(run_by(model, rows_of(b"a", down), control))
    assert other["top_channels"][0]["direction"] == "below"
    late = rows_of(b"a", values, 1_700_000_000_000_000 + round(20 * HALF_LIFE_SECONDS * 1e6))
    assert firing(run_by(model, late, control))
    (again, *_) = firing(run_by(model, late, control))
    assert again["threshold"] == pytest.approx(body["threshold"], abs=1e-3)
    b = signal(260, 3, 1, part=5)
    b[200:208, 1] += 70.0
    assert firing(run_by(model, rows_of(b"b", b), control))


def test_cuts_change_nothing(model: FleetModel) -> None:
    values = signal(260, 3, 0, part=5)
    values[150:158, 1] += 70.0
    values[200:208, 1] += 90.0
    feed = rows_of(b"a", values)
    control = marked(firing(run_by(model, feed, ControlSet()))[:1])
    whole = run_by(model, feed, control)
    for size in (1, 13):
        same(run_by(model, feed, control, cuts_of(size, len(feed))), whole)


def test_a_companion_is_silent_while_the_marked_channel_goes_on_and_not_alone(
    by_channel: FleetModel,
) -> None:
    count = 300
    at, usual = fleet.times(NEXT, count), fleet.rows(1, NEXT, count)
    body = Feedback(
        event="e",
        verdict="false-alarm",
        key="host-1",
        topic="t",
        above=("latency",),
        companions_above=("load",),
        time="2020-01-01T00:00:00Z",
        excess=30.0,
    )

    def leads(values: np.ndarray, control: ControlSet, size: int | None = None) -> set[str]:
        feed = [sent(b"host-1", at[i], values[i]) for i in range(count)]
        done = run_by(by_channel, feed, control, cuts_of(size or count, count))
        return {b["top_channels"][0]["name"] for b in firing(done)}

    (topic,) = {b["labels"]["topic"] for b in firing(_both(by_channel, at, usual))}
    mark = Document(
        name="m",
        author="me",
        time="2026-01-01T00:00:00Z",
        body=msgspec.structs.replace(body, topic=topic, time=rfc3339(int(at[0]))),
    )
    alone, both = usual.copy(), usual.copy()
    alone[200:208, 0] *= 2.0
    both[200:208, 0] *= 2.0
    both[200:208, 1] += 25.0
    assert leads(alone, ControlSet()) == leads(alone, ControlSet.of([mark])) == {"load"}
    assert leads(both, ControlSet())
    for size in (None, 1, 13):
        assert not leads(both, ControlSet.of([mark]), size)


def _both(model: FleetModel, at: np.ndarray, usual: np.ndarray) -> Run:
    values = usual.copy()
    values[200:208] *= 2.0
    feed = [sent(b"host-1", at[i], values[i]) for i in range(len(values))]
    return run_by(model, feed, ControlSet())


def test_feedback_on_what_no_mark_changes_is_refused(model: FleetModel, tmp_path: Path) -> None:
    values = signal(400, 3, 0)
    values[250:, 1] = np.nan
    events = run_by(model, rows_of(b"a", values), ControlSet()).events
    missing = next(body_of(e) for e in events if b"EmberChannelMissing" in e.body)
    with pytest.raises(UserError, match=r"none of the model.*rule with ignore"):
        feedback_of("x", [missing], "false-alarm")
    limit = {**missing, "labels": {**missing["labels"], "alertname": "EmberLimit"}}
    with pytest.raises(UserError, match=r"EmberLimit\. Change its limit"):  # it fires when ignored
        feedback_of("x", [limit], "false-alarm")
    assert feedback_of("x", [missing], "real").validate() == ""
