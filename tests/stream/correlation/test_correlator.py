"""Which keys are one incident, and what is told of it."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.correlation import read_trigger
from stream.key_pattern import KeyPattern
from tests.stream.correlation.fleet import START, Fleet, trigger


def told(bodies: Any) -> list[tuple[str, int, int]]:
    return [(body.status, body.member_count, body.firing_count) for body in bodies]


def test_one_key_is_an_incident_with_begin_and_end() -> None:
    fleet = Fleet()
    fleet.write("web-7", margin=1.5, channels=("latency", "cpu"))
    (body,) = fleet.run(60.0)
    assert (body.status, body.severity_class, body.page) == ("firing", "warning", True)
    assert body.annotations["summary"] == "1 key fires, first web-7, latency"
    assert body.annotations["first"] == "web-7"
    assert body.starts_at == "2026-01-31T00:00:00Z"
    fleet.end("web-7", until=90.0)
    (end,) = fleet.run(60.0)
    assert (end.status, end.ends_at) == ("resolved", "2026-01-31T00:01:30Z")
    assert (end.id, end.fingerprint) == (body.id, body.fingerprint)
    assert fleet.correlator.open == 0


def test_a_storm_of_ten_thousand_keys_is_one_incident_with_three_messages() -> None:
    fleet = Fleet()
    draw = random.Random(1)
    channels = [f"channel-{n}" for n in range(40)]
    for n in range(10_000):
        fleet.write(f"host-{n}", draw.uniform(0, 30), channels=draw.sample(channels, 3))
        if n % 1_000 == 0:
            fleet.run(2.0, 1.0)
    fleet.run(1_200.0)
    for n in range(10_000):
        fleet.end(f"host-{n}", until=900.0 + draw.uniform(0, 60))
    fleet.run(60.0)
    bodies = [body for _, body in fleet.topic]
    assert len({body.id for body in bodies}) == 1
    assert len(bodies) <= 3
    assert [bodies[0].status, bodies[-1].status] == ["firing", "resolved"]
    assert bodies[-1].member_count == 10_000
    assert bodies[0].severity_class == "critical"
    assert all(len(body.members) <= 20 for body in bodies)
    assert fleet.correlator.firing == fleet.correlator.open == 0


def test_a_storm_that_comes_slowly_is_told_rarely() -> None:
    """Over five hours: the pauses between two messages grow."""
    fleet = Fleet()
    for n in range(3_000):
        fleet.write(f"host-{n}", 6.0 * n, channels=(f"c{n % 7}",))
        fleet.run(6.0, 6.0)
    main = [body for _, body in fleet.topic if body.is_storm or body.member_count > 20]
    assert len({body.id for body in main}) == 1
    assert len(main) <= 8


def test_the_first_cause_is_the_first_in_time_and_then_the_most_severe() -> None:
    fleet = Fleet()
    for key, since, margin in (("a", 30.0, 3.0), ("b", 10.0, 0.1), ("c", 10.0, 0.9)):
        fleet.write(key, since, margin=margin)
    (body,) = fleet.run(20.0)
    assert [member.key for member in body.members] == ["c", "b", "a"]
    assert body.annotations["first"] == "c"


@pytest.mark.parametrize(
    ("keys", "channels", "gap", "incidents"),
    [
        (("berlin-1", "berlin-2"), ("cpu", "disk"), 60.0, 1),  # the same site
        (("berlin-1", "paris-1"), ("cpu", "cpu"), 60.0, 1),  # the same channel
        (("berlin-1", "paris-1"), ("cpu", "disk"), 60.0, 2),
        (("berlin-1", "berlin-2"), ("cpu", "cpu"), 3_600.0, 2),  # not together
        (("berlin-1", "nowhere"), ("cpu", "disk"), 60.0, 2),
    ],
)
def test_keys_are_related_by_time_and_by_label_or_channel(
    keys: tuple[str, str], channels: tuple[str, str], gap: float, incidents: int
) -> None:
    fleet = Fleet(pattern="{site}-{host}")
    fleet.write(keys[0], 0.0, channels=[channels[0]])
    fleet.run(gap)
    fleet.write(keys[1], gap, channels=[channels[1]])
    fleet.run(3_600.0)
    assert len({body.id for _, body in fleet.topic}) == incidents


def test_the_cause_is_told_in_the_words_of_its_trigger_after_a_restart_too() -> None:
    fleet = Fleet()
    words = "a behaves unlike itself: memory 93 (expected 40, 71 %)"
    fleet.write("a", summary=words)
    (body,) = fleet.run(20.0)
    assert body.annotations["summary"] == words
    fleet.start()
    fleet.write("b", 10.0, summary="b too", margin=0.1)
    (body,) = fleet.run(700.0)
    assert body.annotations["summary"] == "2 keys fire together, first a, cpu"
    assert body.annotations["description"] == f"First: {words}. 2 of 2 keys fire now: a, b."
    assert body.annotations["cause"] == words


def test_labels_that_all_keys_have_alike_are_told() -> None:
    fleet = Fleet(pattern="{site}-{rack}-{host}")
    for n in range(3):
        fleet.write(f"berlin-r{n}-h", channels=[f"c{n}"])
    (body,) = fleet.run(20.0)
    assert body.common_labels == {"site": "berlin", "host": "h"}
    assert "(site berlin, host h)" in body.annotations["summary"]


def test_growth_is_told_after_a_while_and_a_higher_class_soon() -> None:
    fleet = Fleet()
    fleet.write("a", margin=0.1)
    fleet.run(20.0)
    fleet.write("b", 20.0, margin=0.1)
    assert fleet.run(500.0) == []
    (body,) = fleet.run(200.0)
    assert (body.status, body.reason, body.member_count) == ("updated", "member", 2)
    fleet.write("a", status="updated", margin=2.5)
    (body,) = fleet.run(120.0)
    assert (body.status, body.reason, body.severity_class) == ("updated", "class", "critical")


def test_another_leading_channel_is_told() -> None:
    fleet = Fleet(pattern="{site}-{host}")
    fleet.write("berlin-1", channels=["cpu"], margin=1.05)
    fleet.run(20.0)
    fleet.write("berlin-2", 10.0, channels=["cpu"])
    fleet.write("berlin-1", 10.0, channels=["disk"], name="EmberKeyStale", margin=0.0)
    (body,) = fleet.run(700.0)
    assert (body.reason, body.top_channels[0].name) == ("member", "cpu")
    for n in range(3, 9):
        fleet.write(f"berlin-{n}", 30.0, channels=["disk", "cpu"])
    (body,) = fleet.run(1_300.0)
    assert body.top_channels[0].name == "disk"


def test_an_incident_that_came_and_went_while_it_gathered_is_not_told() -> None:
    fleet = Fleet()
    fleet.write("a")
    fleet.run(5.0)
    fleet.end("a")
    assert fleet.run(600.0) == []


def test_a_key_that_flaps_stays_in_its_incident() -> None:
    fleet = Fleet()
    fleet.write("a")
    fleet.run(60.0)
    for n in range(10):
        fleet.end("a", until=60.0 + 20 * n)
        fleet.run(5.0)
        fleet.write("a", 65.0 + 20 * n)
        fleet.run(15.0)
    assert [body.status for _, body in fleet.topic] == ["firing"]
    assert fleet.topic[0][1].member_count == 1


def test_backlog_opens_nothing_and_its_end_counts() -> None:
    fleet = Fleet()
    view = read_trigger(trigger("a"), "0123456789abcdef")
    assert view is not None
    assert fleet.correlator.take(("t", 0), 9, view, fleet.now, is_backlog=True) == "backlog"
    fleet.correlator.take(("t", 0), 10, view, fleet.now)
    (body,) = fleet.run(20.0)
    assert body.annotations["explain"] == "ember explain 0123456789ab"
    fleet = Fleet()
    assert fleet.run(600.0) == []
    fleet.write("a")
    fleet.run(20.0)
    (tp,) = (tp for tp, bodies in fleet.log.items() if bodies)
    view = read_trigger(trigger("a", status="resolved", until=30.0))
    assert view is not None
    assert fleet.correlator.take(tp, 1, view, fleet.now, is_backlog=True) == "resolved"
    (body,) = fleet.run(60.0)
    assert body.status == "resolved"


def test_alerts_are_bounded() -> None:
    fleet = Fleet(max_alerts=50)
    for n in range(80):
        fleet.write(f"host-{n}")
    assert fleet.outcomes.count("withheld") == 30
    assert fleet.correlator.firing == 50


def test_long_keys_do_not_make_a_message_that_a_broker_refuses() -> None:
    fleet = Fleet(max_members=1_000)
    for n in range(1_000):
        fleet.write(f"{n}" + "\u0001" * 500)
    fleet.run(20.0)
    (body,) = (body for _, body in fleet.topic)
    assert body.member_count == 1_000
    assert len(msgspec.json.encode(body)) < 700_000


def test_a_restart_goes_on_with_the_same_incident() -> None:
    fleet = Fleet()
    for n in range(200):
        fleet.write(f"host-{n}", n / 10, channels=[f"c{n % 50}"])
    (first,) = fleet.run(20.0)
    for n in range(100):
        fleet.end(f"host-{n}")
    fleet.run(60.0)
    fleet.start()
    assert fleet.run(600.0) == []
    fleet.write("host-500", 60.0, channels=["other"])
    fleet.run(100.0)
    for n in [*range(100, 200), 500]:
        fleet.end(f"host-{n}")
    fleet.start()
    fleet.run(60.0)
    bodies = [body for _, body in fleet.topic]
    assert {body.id for body in bodies} == {first.id}
    assert told(bodies)[-1] == ("resolved", 201, 0)
    assert [body.status for body in bodies].count("resolved") == 1


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_kills_at_any_time_lose_no_incident_and_open_none_twice(data: st.DataObject) -> None:
    """Triggers of six keys in any order, with kills before and after the commit."""
    fleet = Fleet()
    firing: dict[str, float] = {}
    steps = data.draw(st.lists(st.integers(0, 9), min_size=5, max_size=60))
    for step in steps:
        key = f"k{data.draw(st.integers(0, 5))}"
        if step < 6:
            seconds = fleet.now - START
            if key in firing:
                fleet.end(key, firing.pop(key), until=seconds)
            else:
                firing[key] = seconds
                fleet.write(key, seconds, channels=[f"c{key}"])
        elif step < 8:
            fleet.run(data.draw(st.sampled_from([5.0, 20.0, 400.0, 1_500.0])))
        else:
            fleet.send(is_killed_before_commit=step == 9)
            fleet.start()
    fleet.run(30.0)
    in_open = {m.key for body in _newest(fleet) if body.status != "resolved" for m in body.members}
    assert set(firing) <= in_open
    for key, since in list(firing.items()):
        fleet.end(key, since, until=fleet.now - START)
    fleet.run(60.0)
    assert all(body.status == "resolved" for body in _newest(fleet))
    assert fleet.correlator.firing == 0
    # The same message may be written twice after a kill, but never another one in its place.
    by_id: dict[str, set[str]] = {}
    for message_id, (_, body) in zip(fleet.ids, fleet.topic, strict=True):
        by_id.setdefault(message_id, set()).add(body.status)
    assert all(len(statuses) == 1 for statuses in by_id.values())


def _newest(fleet: Fleet) -> list[Any]:
    return list({body.id: body for _, body in fleet.topic}.values())


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        ("host", "fields"),
        ("{a}{b}", "between two fields"),
        ("{a}-{a}", "once"),
        ("{a}-{b", "stands alone"),
    ],
)
def test_patterns_are_checked(pattern: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        KeyPattern(pattern)


def test_a_hostile_key_costs_no_time() -> None:
    pattern = KeyPattern("{a}-{b}-{c}-{d}-{e}-{f}!")
    assert pattern.labels("-" * 100_000) == {}
    assert pattern.labels("x-" * 50_000) == {}


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"status": "firing"}', b"\xff"])
def test_a_body_that_is_no_trigger_is_none(body: bytes) -> None:
    assert read_trigger(body) is None


def test_a_restart_leaves_out_what_had_ended_before_the_incident_began() -> None:
    """Alerts of the same kind within the window, which came and went while they waited."""
    fleet = Fleet(max_members=5)
    for n in range(4):  # open in every partition, so that it is read from there
        fleet.write(f"old-{n}", -1_000.0, channels=["disk"])
    for n in range(12):
        fleet.write(f"early-{n}", n / 10)
        fleet.end(f"early-{n}", n / 10, until=n / 10 + 5.0)
    fleet.run(30.0)
    for n in range(200):
        fleet.write(f"host-{n}", 240.0 + n / 10)
    fleet.run(1_500.0)
    before = fleet.topic[-1][1]
    assert before.member_count == 200
    fleet.start()
    fleet.run(1_500.0)
    fleet.write("host-500", 250.0)
    fleet.run(6_000.0)
    after = fleet.topic[-1][1]
    assert (after.id, after.member_count, after.firing_count) == (before.id, 201, 201)
    assert (after.starts_at, after.members) == (before.starts_at, before.members)
    assert after.annotations["first"] == before.annotations["first"]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_restart_changes_no_state(data: st.DataObject) -> None:
    """A fleet that is started anew writes the same messages as one that goes on."""
    sizes = {"max_members": 3}
    steady, killed = Fleet(**sizes), Fleet(**sizes)
    firing: dict[str, float] = {}
    for step in data.draw(st.lists(st.integers(0, 9), min_size=5, max_size=50)):
        if step < 7:
            key = f"k{data.draw(st.integers(0, 9))}"
            seconds = steady.now - START
            if seconds - firing.get(key, -20.0) < 20.0:
                continue  # it would come and go while it waits: see `Rereading`
            since = firing.pop(key, None)
            for fleet in (steady, killed):
                if since is not None:
                    fleet.end(key, since, until=seconds)
                else:
                    fleet.write(key, seconds, channels=[f"c{int(key[1]) % 2}"])
            if since is None:
                firing[key] = seconds
        # Nothing waits at the kill, which would begin to wait anew.
        pause = data.draw(st.sampled_from([20.0, 400.0, 1_500.0])) if step > 3 else 0.0
        for fleet in (steady, killed):
            fleet.run(pause)
        if pause:
            killed.start()
            killed.send()
    for fleet in (steady, killed):
        fleet.run(3_000.0)
    assert [body for _, body in killed.topic] == [body for _, body in steady.topic]


def test_limits_above_and_below_are_one_cause() -> None:
    fleet = Fleet()
    for key, direction in (("a", "above"), ("b", "below")):
        fleet.write(key, name="EmberLimit", direction=direction, reason="limit")
    (body,) = fleet.run(20.0)
    assert body.member_count == 2


@pytest.mark.parametrize(
    ("name", "begin", "end"),
    [
        ("EmberLimit", "limit", "within_limit"),
        ("EmberKeyStale", "stale", "returned"),
        ("EmberFiring", "evidence", "model"),
    ],
)
def test_an_incident_has_the_reasons_of_its_triggers(name: str, begin: str, end: str) -> None:
    fleet = Fleet()
    fleet.write("a", name=name, reason=begin)
    fleet.run(20.0)
    fleet.end("a", name=name, reason=end)
    fleet.start()
    fleet.run(60.0)
    assert [body.reason for _, body in fleet.topic] == [begin, end]
