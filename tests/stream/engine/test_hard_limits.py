"""Hard limits of rules: they fire beside the model, from the first record on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ember_core.pipeline import FleetModel
from stream.control import NO_CONTROL
from stream.control.rules import Limit, Rule
from stream.engine import Engine, Limits, WindowSpec
from tests.stream.engine.conftest import (
    INTERVAL,
    QUICK,
    SECOND,
    START,
    TP,
    Run,
    Sent,
    cuts_of,
    feed_into,
    rows_of,
    run,
    same,
    sent,
    signal,
)
from tests.stream.engine.rules_feed import control_of, run_by
from tests.stream.engine.test_engine_versions import read, written

NAME = "EmberLimit"
LIMITS = Limits(max_keys=64, hard_limits=True, stale_intervals=0.0)
HOT = control_of(hot=Rule(channels=("heat",), limit=Limit(above=90.0)))


def rows_with(heat: Sequence[float], key: bytes = b"new") -> list[Sent]:
    """Rows of a key that has these values in one channel."""
    return rows_of(key, np.array([[1.0, value, 2.0] for value in heat]))


def told(done: Run) -> list[tuple[str, str, str, int]]:
    """Status, reason, direction and row of each trigger."""
    out = []
    for body in done.triggers(name=NAME):
        at = np.datetime64(body["window"]["start"].rstrip("Z"), "us").astype(int)
        row = (int(at) - START) // (INTERVAL * SECOND)
        out.append((body["status"], body["reason"], body["labels"]["direction"], row))
    return out


def restarted(model: FleetModel, done: Run, limits: Limits) -> Engine:
    """A worker that takes over from a changelog."""
    log: dict[bytes, bytes | None] = {}
    written(done.engine, log)
    engine = Engine(model, None, limits)
    engine.attach(TP)
    return read(engine, log)


def test_it_fires_at_the_first_record_and_resolves_when_back(model: FleetModel) -> None:
    done = run_by(model, rows_with([95, 96, 80, 80, 99]), HOT, limits=LIMITS)
    assert told(done) == [
        ("firing", "limit", "above", 0),
        ("resolved", "within_limit", "above", 2),
        ("firing", "limit", "above", 4),
    ]
    first, resolved, _ = done.triggers(name=NAME)
    assert first["labels"] == {
        "alertname": NAME,
        "channel": "heat",
        "direction": "above",
        "key": "new",
        "topic": "telemetry",
    }
    since = "2023-11-14T22:13:20Z"
    assert first["limit"] == {
        "channel": "heat",
        "direction": "above",
        "value": 95.0,
        "bound": 90.0,
        "since": since,
    }
    assert first["rules"] == resolved["rules"] == ["hot"]
    assert first["fingerprint"] == resolved["fingerprint"]
    assert resolved["startsAt"] == since
    assert len({e.id for e in done.events}) == 3
    assert not run(model, rows_with([95, 96, 80]), limits=LIMITS).events


def test_for_counts_event_time(model: FleetModel) -> None:
    """Each return within the limit begins it anew; a missing value neither begins nor ends it."""
    rule = Rule(channels=("heat",), limit=Limit(below=10.0, for_="30s"))
    heat = [5, 5, 5, 20, 5, np.nan, 5, 5, np.nan, 20]
    done = run_by(model, rows_with(heat), control_of(rule), limits=LIMITS)
    assert told(done) == [
        ("firing", "limit", "below", 7),
        ("resolved", "within_limit", "below", 9),
    ]
    firing, resolved = done.triggers(name=NAME)
    assert firing["limit"]["since"] == "2023-11-14T22:14:00Z"
    assert firing["startsAt"] == resolved["startsAt"] == firing["limit"]["since"]


def test_several_limits_of_a_channel_are_one_alert_and_each_counts(model: FleetModel) -> None:
    warn = Rule(channels=("heat",), limit=Limit(above=80.0, for_="50s"))
    high = Rule(channels=("h*",), limit=Limit(above=90.0, for_="20s"))
    now = Rule(channels=("heat",), limit=Limit(above=100.0))
    for rules in ((warn, high, now), (now, high, warn)):
        for heat, row in (
            ([85] * 8, 5),
            ([85, 85, 95, 95, 95, 95], 4),
            ([85, 105, 85, 85, 85, 85], 1),
        ):
            done = run_by(model, rows_with(heat), control_of(*rules), limits=LIMITS)
            assert told(done)[0] == ("firing", "limit", "above", row)
    # Back from the highest one it is within its limits, until the lowest has lasted.
    heat = [85, 105, 85, 85, 85, 85, 70]
    assert told(run_by(model, rows_with(heat), control_of(warn, now), limits=LIMITS))[1:] == [
        ("resolved", "within_limit", "above", 2),
        ("firing", "limit", "above", 5),
        ("resolved", "within_limit", "above", 6),
    ]


def test_an_ignored_channel_keeps_its_limit(model: FleetModel) -> None:
    control = control_of(
        Rule(ignore=True), Rule(channels=("heat",), limit=Limit(above=90.0), ignore=True)
    )
    assert told(run_by(model, rows_with([95]), control, limits=LIMITS))


def test_backlog_tells_nothing_until_it_ends(model: FleetModel) -> None:
    engine = Engine(model, None, LIMITS, control=HOT)
    engine.attach(TP)
    engine.meta(TP).events_from = 17 + 3
    done = feed_into(Run(engine), rows_with([95, 96, 97, 98, 50]))
    assert told(done) == [
        ("firing", "limit", "above", 3),
        ("resolved", "within_limit", "above", 4),
    ]


def test_a_limit_that_is_removed_resolves_with_the_next_row(model: FleetModel) -> None:
    for after in (NO_CONTROL, control_of(other=Rule(keys=("z",), limit=Limit(above=1.0)))):
        done = Run(Engine(model, None, LIMITS, control=HOT))
        feed = rows_with([95, 96, 97])
        feed_into(done, feed, [1])
        done.engine.use_control(after)
        feed_into(done, feed, [2, 3], begin=1)
        assert told(done) == [
            ("firing", "limit", "above", 0),
            ("resolved", "limit_removed", "above", 1),
        ]
        fingerprints = {b["fingerprint"] for b in done.triggers(name=NAME)}
        assert len(fingerprints) == 1


def test_the_first_limit_needs_no_setting(model: FleetModel) -> None:
    """Rows get its fields in mid-stream, and what they have learnt stays."""
    feed = rows_of(b"a", signal(90, 3, 0))
    one, two = (Run(Engine(model, None, Limits(max_keys=64, hard_limits=h))) for h in (0, 1))
    for done in (one, two):
        feed_into(done, feed, [40])
        done.engine.use_control(control_of(Rule(channels=("heat",), limit=Limit(above=-1e9))))
        feed_into(done, feed, [90], begin=40)
    same(one, two)
    assert told(one) == [("firing", "limit", "above", 40)]


def test_a_restart_goes_on_with_it(model: FleetModel) -> None:
    """Open alerts, and since when a limit is broken, are state of the key."""
    rule = Rule(channels=("heat",), limit=Limit(above=90.0, for_="30s"))
    control = control_of(rule)
    feed = rows_with([95, 95, 95, 95, 95, 80, 95])
    whole = run_by(model, feed, control, limits=LIMITS)
    assert len(told(whole)) == 2
    for end in range(1, len(feed)):
        first = run_by(model, feed[:end], control, limits=LIMITS)
        second = Run(restarted(model, first, LIMITS))
        second.engine.use_control(control)
        feed_into(second, feed, begin=end)
        assert first.events + second.events == whole.events
        assert second.rows() == whole.rows()


def test_a_worker_without_the_fields_resolves_open_ones(model: FleetModel) -> None:
    first = run_by(model, rows_with([95, 95]), HOT, limits=LIMITS)
    engine = restarted(model, first, Limits(max_keys=64, stale_intervals=0.0))
    (event,) = engine.give_up(TP)
    done = Run(engine, events=[event])
    (body,) = done.triggers(name=NAME)
    assert (body["status"], body["reason"]) == ("resolved", "settings")
    assert body["fingerprint"] == first.triggers(name=NAME)[0]["fingerprint"]


VALUES = st.lists(st.sampled_from([50.0, 85.0, 95.0, 105.0, np.nan]), min_size=4, max_size=25)


@QUICK
@given(a=VALUES, b=VALUES, size=st.integers(1, 12))
def test_cuts_change_nothing(model: FleetModel, a: list, b: list, size: int) -> None:
    control = control_of(
        Rule(channels=("heat",), limit=Limit(above=100.0, below=60.0)),
        Rule(channels=("heat", "load"), limit=Limit(above=80.0, for_="25s")),
        Rule(keys=("y",), limit=Limit(below=90.0, for_="10s")),
    )
    feed = sorted(
        rows_with(a, b"x") + rows_with(b, b"y"), key=lambda m: (m.samples[0][1], m.samples[0][0])
    )
    whole = run_by(model, feed, control, limits=LIMITS)
    same(run_by(model, feed, control, cuts_of(size, len(feed)), limits=LIMITS), whole)


def test_rows_of_intervals_have_limits_too(model: FleetModel) -> None:
    window = WindowSpec("time", 20 * SECOND, 0)
    feed = [sent(b"a", START + i * 10 * SECOND, [1.0, 95.0, 2.0]) for i in range(5)]
    done = feed_into(Run(Engine(model, window, LIMITS, control=HOT)), feed)
    assert [status for status, *_ in told(done)] == ["firing"]


@pytest.mark.parametrize("rules", [1, 5])
def test_many_broken_limits_fit_in_a_row(model: FleetModel, rules: int) -> None:
    """More with a `for` than a row has places: the first ones by name count."""
    control = control_of(*[Rule(limit=Limit(above=-1e9, for_="10s")) for _ in range(rules)])
    done = run_by(model, rows_with([1.0, 1.0, 1.0]), control, limits=LIMITS)
    assert told(done) == [("firing", "limit", "above", 1)] * 3
