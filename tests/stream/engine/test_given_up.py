"""Alerts that a state row does not hold open any more: each is resolved once, with the reason."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ember_core.pipeline import FleetModel
from stream.engine import Engine, Limits, ProfiledEngine, Profiles, WindowSpec
from stream.records import Event
from tests.simulation.spill import DictSpill
from tests.stream.engine.alerts import FAULT, faulty, open_alerts
from tests.stream.engine.conftest import (
    CHANNELS,
    INTERVAL,
    KNOWN,
    SECOND,
    START,
    TP,
    Run,
    body_of,
    feed_into,
    fit,
    interleaved,
    rows_of,
    signal,
)

LIMITS = Limits(max_keys=64, stale_intervals=5.0)
GIVEN_UP = {("EmberFiring", "a"): "channels", ("EmberChannelMissing", "a"): "channels"}


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> FleetModel:
    """The same channels, other weights."""
    path = tmp_path_factory.mktemp("bundles") / "other"
    fit(KNOWN, CHANNELS, rows=211, hidden=13).save(path)
    return FleetModel.load(path, backend="numpy")


@pytest.fixture(scope="module")
def wider(tmp_path_factory: pytest.TempPathFactory) -> FleetModel:
    """One channel more."""
    path = tmp_path_factory.mktemp("bundles") / "wider"
    fit(KNOWN, (*CHANNELS, "noise"), rows=211).save(path)
    return FleetModel.load(path, backend="numpy")


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> FleetModel:
    """The first channel only."""
    path = tmp_path_factory.mktemp("bundles") / "narrow"
    fit(KNOWN, CHANNELS[:1], rows=211).save(path)
    return FleetModel.load(path, backend="numpy")


def begun(
    model: FleetModel, limits: Limits = LIMITS, spill: type[DictSpill] | None = None
) -> tuple[Run, dict[bytes, bytes | None]]:
    """A worker whose keys have open alerts, and the changelog that it has written."""
    engine = Engine(model, None, limits, spill)
    engine.attach(TP)
    engine.open(TP, 17, -1)
    done = feed_into(Run(engine), faulty())
    assert open_alerts(done.events) == {
        ("EmberFiring", "a", ""),
        ("EmberChannelMissing", "a", "flow"),
        ("EmberKeyStale", "b", ""),
    }
    return done, written(engine)


def written(engine: Engine) -> dict[bytes, bytes | None]:
    """A checkpoint."""
    dirty = engine.take_dirty(TP)
    return dict(zip(dirty.keys, dirty.rows, strict=True))


def started(
    model: FleetModel,
    log: dict[bytes, bytes | None],
    limits: Limits = LIMITS,
    window: WindowSpec | None = None,
) -> Engine:
    """A worker that begins with this changelog."""
    engine = Engine(model, window, limits)
    report = engine.load(TP, list(log), list(log.values()))
    assert not report.damaged
    assert not engine.migrate(TP).damaged
    engine.open(TP, engine.meta(TP).absorbed + 1, -1)
    return engine


def reasons(events: Sequence[Event]) -> dict[tuple[str, str], str]:
    """Reason of each resolved trigger."""
    bodies = [body_of(event) for event in events]
    assert {body["status"] for body in bodies} <= {"resolved"}
    return {(body["labels"]["alertname"], body["labels"]["key"]): body["reason"] for body in bodies}


def test_a_model_of_the_same_channels_goes_on_with_all(
    model: FleetModel, other: FleetModel
) -> None:
    """An episode is the operator's; the new weights end it when the key is itself again."""
    done, log = begun(model)
    engine = started(other, log)
    assert engine.give_up(TP) == []
    later = rows_of(b"a", signal(200, 3, 0), START + (FAULT + 40) * INTERVAL * SECOND)
    going_on = feed_into(Run(engine), later, first_offset=10_000)
    assert open_alerts([*done.events, *going_on.events]) == {("EmberKeyStale", "b", "")}


def test_a_start_killed_before_its_checkpoint_says_the_same_again_and_then_no_more(
    model: FleetModel, wider: FleetModel
) -> None:
    _, log = begun(model)
    first = started(wider, log)
    events = first.give_up(TP)
    again = started(wider, log)
    assert again.give_up(TP) == events
    later = started(wider, log | written(again))
    assert later.give_up(TP) == []


def test_a_change_while_running_says_what_a_restart_says(
    model: FleetModel, wider: FleetModel
) -> None:
    done, log = begun(model)
    done.engine.switch_model(wider, [TP])
    events = done.engine.give_up(TP)
    assert events == started(wider, log).give_up(TP) != []
    assert started(wider, log | written(done.engine)).give_up(TP) == []


def test_other_channels_give_up_what_is_said_of_channels(
    model: FleetModel, wider: FleetModel
) -> None:
    done, log = begun(model)
    engine = started(wider, log)
    events = engine.give_up(TP)
    assert reasons(events) == GIVEN_UP
    assert engine.give_up(TP) == []
    assert open_alerts([*done.events, *events]) == {("EmberKeyStale", "b", "")}
    body, firing = body_of(events[0]), done.triggers(b"a")[-1]
    for same in ("startsAt", "labels", "fingerprint"):
        assert body[same] == firing[same]
    assert body["endsAt"] >= body["startsAt"]
    assert body["top_channels"] == []  # their numbers mean other channels now
    assert "other channels" in body["annotations"]["summary"]


def test_a_setting_that_is_off_gives_up_its_alerts(model: FleetModel) -> None:
    done, log = begun(model)
    engine = started(model, log, Limits(max_keys=64, missing_channels=False))
    events = engine.give_up(TP)
    assert reasons(events) == {("EmberChannelMissing", "a"): "settings"}
    going_on = Run(started(model, log, Limits(max_keys=64, stale_intervals=0.0)))
    back = rows_of(b"b", signal(1, 3, 1), START + (FAULT + 60) * INTERVAL * SECOND)
    feed_into(going_on, back, first_offset=10_000)
    names = [body["reason"] for body in going_on.triggers(b"b", "EmberKeyStale")]
    assert names == ["returned"]
    assert ("EmberKeyStale", "b", "") not in open_alerts([*done.events, *going_on.events])


def test_a_key_of_a_model_with_more_channels_leaves_no_alert_under_profiles(
    model: FleetModel, narrow: FleetModel
) -> None:
    """No model is for it any more; the other one does not know all of its channels."""
    _, log = begun(model)
    engine = ProfiledEngine(Profiles([("x-*", narrow)]), None, LIMITS)
    assert not engine.load(TP, list(log), list(log.values())).damaged
    assert not engine.migrate(TP).damaged
    engine.open(TP, engine.meta(TP).absorbed + 1, -1)
    events = engine.give_up(TP)
    assert reasons(events)["EmberFiring", "a"] == "model"
    for event in events:
        named = {top["name"] for top in body_of(event)["top_channels"]}
        assert named <= set(narrow.channels)


def test_what_stays_open_is_not_resolved(model: FleetModel) -> None:
    _, log = begun(model)
    engine = started(model, log)
    assert engine.give_up(TP) == []
    assert started(model, log, Limits(max_keys=64, stale_intervals=0.0)).give_up(TP) == []


def test_a_key_that_expires_leaves_no_alert(model: FleetModel) -> None:
    ttl = Limits(max_keys=64, stale_intervals=0.0, ttl_us=30 * INTERVAL * SECOND)
    _, log = begun(model)
    done = Run(started(model, log, ttl))
    written(done.engine)  # only rows that are written expire
    later = rows_of(b"c", signal(3, 3, 2), START + (FAULT + 200) * INTERVAL * SECOND)
    feed_into(done, later, first_offset=10_000)
    assert reasons([e for e in done.events if e.kind == "trigger"]) == {
        ("EmberFiring", "a"): "ttl",
        ("EmberChannelMissing", "a"): "ttl",
        ("EmberKeyStale", "b"): "ttl",
    }


def test_a_key_without_room_on_the_disk_leaves_no_alert(model: FleetModel) -> None:
    limits = Limits(max_keys=2, stale_intervals=5.0)
    done, _ = begun(model, limits, lambda: DictSpill(0))  # type: ignore[arg-type]
    later = START + (FAULT + 40) * INTERVAL * SECOND
    feed = interleaved(*(rows_of(b"n%d" % n, signal(1, 3, n), later + n) for n in range(2)))
    feed_into(done, feed, first_offset=10_000)
    assert done.engine.moved.forgotten == 2
    assert reasons([e for e in done.steps[-1].events if e.kind == "trigger"]) == {
        ("EmberFiring", "a"): "evicted",
        ("EmberChannelMissing", "a"): "evicted",
        ("EmberKeyStale", "b"): "evicted",
    }
    assert open_alerts(done.events) == set()


def test_a_row_on_the_disk_is_resolved_before_its_key_goes_on(
    model: FleetModel, wider: FleetModel
) -> None:
    limits = Limits(max_keys=2, stale_intervals=5.0)
    done, _ = begun(model, limits, DictSpill)
    now = START + (FAULT + 40) * INTERVAL * SECOND
    fresh = interleaved(*(rows_of(b"n%d" % n, signal(1, 3, n), now + n) for n in range(2)))
    feed_into(done, fresh, first_offset=10_000)
    written(done.engine)
    done.engine.switch_model(wider, [TP])
    assert done.engine.give_up(TP) == []
    written(done.engine)
    feed_into(done, rows_of(b"a", signal(2, 4, 0), now + 9), first_offset=11_000)
    first = body_of(done.steps[-1].events[0])
    assert (first["labels"]["key"], first["status"], first["reason"]) == (
        "a",
        "resolved",
        "channels",
    )
    assert b"a" in written(done.engine)


def test_a_start_with_more_rows_than_memory_resolves_all(
    model: FleetModel, wider: FleetModel
) -> None:
    _, log = begun(model)
    engine = Engine(wider, None, Limits(max_keys=1, stale_intervals=5.0), DictSpill)
    engine.load(TP, list(log), list(log.values()))
    engine.migrate(TP)
    engine.open(TP, engine.meta(TP).absorbed + 1, -1)
    events = engine.give_up(TP)
    if not events:  # its row found no room: all rows in memory wait for the first checkpoint
        log |= written(engine)
        events = engine.give_up(TP)
    assert reasons(events) == GIVEN_UP
    assert started(wider, log | written(engine)).give_up(TP) == []


def test_a_standby_leaves_to_its_owner_what_the_owner_has_resolved(
    model: FleetModel, wider: FleetModel
) -> None:
    _, log = begun(model)
    standby = Engine(wider, None, LIMITS)
    standby.load(TP, list(log), list(log.values()))
    standby.migrate(TP)
    owner = started(wider, log)
    assert owner.give_up(TP)
    rows = written(owner)
    standby.load(TP, list(rows), list(rows.values()))
    standby.migrate(TP)
    standby.open(TP, standby.meta(TP).absorbed + 1, -1)
    assert standby.give_up(TP) == []


def test_a_standby_that_takes_over_resolves_what_the_owner_did_not(
    model: FleetModel, wider: FleetModel
) -> None:
    """It has changed its model before the owner did."""
    _, log = begun(model)
    standby = Engine(model, None, LIMITS)
    standby.load(TP, list(log), list(log.values()))
    standby.switch_model(wider, [])
    standby.open(TP, standby.meta(TP).absorbed + 1, -1)
    assert reasons(standby.give_up(TP)) == GIVEN_UP
    assert b"a" in written(standby)
