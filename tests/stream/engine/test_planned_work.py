"""Planned work: nothing fires, nothing is learnt, and afterwards all goes on as after a pause."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ember_core.pipeline import FleetModel
from stream.control import NO_CONTROL, ControlSet
from stream.control.files import parse
from stream.control.rules import Limit, Rule
from stream.engine import Engine, Limits, ProfiledEngine, Profiles, WindowSpec
from tests.stream.control.calendar_files import GOOGLE
from tests.stream.engine.calendar_feed import calendar, control_with
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
from tests.stream.engine.rules_feed import LIMITS, firing, run_by
from tests.stream.engine.test_profiled_engine import of_key

ROWS, BEGIN, END = 300, 200, 240
STEP = INTERVAL * SECOND


def at(row: int) -> int:
    """Event time of a row of `rows_of`."""
    return START + row * STEP


def faulty(begin: int = BEGIN, end: int = END, size: float = 90.0) -> list[Sent]:
    values = signal(ROWS, 3, 0, part=5)
    values[begin:end, 0] += size
    return rows_of(b"a", values)


def work(begin: int = BEGIN, end: int = END, **fields) -> ControlSet:
    return control_with(calendar(at(begin), at(end), **{"grace": "0s", **fields}))


def text_of(time_us: int) -> str:
    return str(np.datetime64(time_us, "us"))[:19] + "Z"


def reasons(replay: Run, name: str = "EmberFiring") -> list[tuple[str, str]]:
    return [(body["status"], body["reason"]) for body in replay.triggers(None, name)]


def test_the_feed_has_a_row_a_step() -> None:
    assert [m.samples[0][1] for m in faulty()][:2] == [at(0), at(1)]


def test_planned_work_does_not_fire_and_scores_are_shown(model: FleetModel) -> None:
    feed = faulty()
    plain, replay = run(model, feed, limits=LIMITS), run_by(model, feed, work())
    assert firing(plain)
    assert not firing(replay)
    assert not [event for event in replay.events if event.time_us < at(END)]
    assert len(replay.scores[b"a"]) == len(plain.scores[b"a"])
    severity = [row[3] for row in replay.scores[b"a"]]
    assert max(severity[BEGIN:END]) > 4.0


def test_nothing_is_learnt_of_it(model: FleetModel) -> None:
    """The row of the key is that of a key which has sent nothing meanwhile; so is what follows."""
    feed = faulty()
    paused_feed = feed[:BEGIN] + feed[END:]
    replay, paused = run_by(model, feed, work()), run_by(model, paused_feed, work())
    engine_fields = ("offset", "seen", "pauses", "pause_time")
    rows = [row_fields(one_run, b"a") for one_run in (replay, paused)]
    for name, value in rows[0].items():
        if name not in engine_fields:
            np.testing.assert_array_equal(value, rows[1][name], err_msg=name)
    tail = [row[1:] for row in replay.scores[b"a"]][END:]
    assert tail == [row[1:] for row in paused.scores[b"a"]][BEGIN:]


def row_fields(replay: Run, key: bytes) -> dict[str, np.ndarray]:
    part = replay.engine._parts["telemetry", 3]
    slot = part.index[key]
    return {name: value[slot].copy() for name, value in replay.engine._store.fields.items()}


def test_the_grace_follows_again_and_does_not_fire(model: FleetModel) -> None:
    """A fault that outlasts it is a page."""
    feed = faulty(BEGIN, END + 20)
    assert not firing(run_by(model, feed, work(grace="220s")))
    fired = firing(run_by(model, faulty(BEGIN, END + 60, 200.0), work(grace="30s")))
    assert fired
    assert fired[0]["window"]["start"] >= "2023-11-14T22:53:50"
    plain, graced = (row_fields(run_by(model, feed, work(grace=g)), b"a") for g in ("0s", "220s"))
    np.testing.assert_array_equal(plain["anchor"], graced["anchor"])


def test_an_open_episode_ends_when_planned_work_begins(model: FleetModel) -> None:
    replay = run_by(model, faulty(BEGIN - 10, END + 60, 200.0), work())
    assert reasons(replay) == [("firing", "evidence"), ("resolved", "planned")]
    begun, resolved = replay.triggers(b"a")
    assert resolved["fingerprint"] == begun["fingerprint"]
    assert resolved["window"]["start"] == text_of(at(BEGIN))
    assert resolved["rules"] == ["calendar/work-0"]
    assert "is under planned work" in resolved["annotations"]["summary"]


def test_hard_limits_fire_unless_the_calendar_says_otherwise(model: FleetModel) -> None:
    limits = {"hot": Rule(channels=("load",), limit=Limit(above=-1e6))}
    for quiet, begin in ((False, 0), (True, END)):
        work_begin = calendar(at(0), at(END), grace="0s", quiet_limits=quiet)
        replay = run_by(model, faulty(), control_with(work_begin, **limits))
        (body,) = replay.triggers(b"a", "EmberLimit")
        assert body["status"] == "firing"
        assert body["window"]["start"] == text_of(at(begin))


def test_other_keys_and_topics_keep_their_bits(model: FleetModel) -> None:
    feed = faulty()
    plain = run(model, feed, limits=LIMITS)
    for fields in ({"keys": ("b*",)}, {"topics": ("logs",)}):
        same(run_by(model, feed, work(**fields)), plain)


def beside(feed: list[Sent], gone: range) -> list[Sent]:
    """The feed without some rows, and a key that goes on beside it."""
    other = rows_of(b"b", signal(ROWS, 3, 1, part=5))
    return [m for i in range(ROWS) for m in ([other[i]] if i in gone else [feed[i], other[i]])]


IDLE = Limits(max_keys=64, stale_intervals=5.0)


@pytest.mark.parametrize(("back", "fired"), [(END + 2, []), (END + 20, ["stale", "returned"])])
def test_silence_is_told_after_planned_work(model: FleetModel, back: int, fired: list[str]) -> None:
    """A key that comes back in time is as it was, and one that does not is a page."""
    feed = beside(rows_of(b"a", signal(ROWS, 3, 0, part=5)), range(BEGIN + 3, back))
    control = work(grace="30s")
    plain = run_by(model, feed, NO_CONTROL, limits=IDLE)
    assert [reason for _, reason in reasons(plain, "EmberKeyStale")] == ["stale", "returned"]
    replay = run_by(model, feed, control, limits=IDLE)
    bodies = replay.triggers(b"a", "EmberKeyStale")
    assert [body["reason"] for body in bodies] == fired
    if fired:
        assert bodies[0]["startsAt"] == text_of(at(END + 3))
    assert not (row_fields(replay, b"a")["pauses"] > 0).any() or fired


def test_missing_channels_of_planned_work_are_not_told(model: FleetModel) -> None:
    values = signal(ROWS, 3, 0, part=5)
    values[BEGIN:END, 1] = np.nan
    feed = rows_of(b"a", values)
    assert run(model, feed, limits=LIMITS).triggers(b"a", "EmberChannelMissing")
    assert not run_by(model, feed, work()).triggers(b"a", "EmberChannelMissing")


def test_a_repeating_window_acts_in_local_time_over_the_change_of_clocks(
    model: FleetModel,
) -> None:
    """From a file of Google Calendar to the rows: 01:00 to 04:00, four hours on that night."""
    pytest.importorskip("icalendar", reason="the extra `calendars` is not installed")
    pytest.importorskip("recurring_ical_events", reason="the extra `calendars` is not installed")
    text = '[[calendar]]\nname = "work"\nfile = "work.ics"\ngrace = "0s"'
    documents = parse(text, "ops.toml", "ada", "2026-09-30T00:00:00Z", lambda _: GOOGLE)
    zone, quarter = ZoneInfo("Europe/Berlin"), timedelta(minutes=15)
    for day, hours in ((18, 0), (25, 4), (32, 3)):
        begin = datetime(2026, 10, 1, tzinfo=zone) + timedelta(days=day - 1)
        moments = [begin.astimezone(UTC) + quarter * i for i in range(40)]
        values = signal(len(moments), 3, 0, part=5)
        times = [round(moment.timestamp()) * SECOND for moment in moments]
        feed = [sent(b"a", time, row) for time, row in zip(times, values, strict=True)]
        replay = Run(Engine(model, None, LIMITS, control=ControlSet.of(documents)))
        feed_into(replay, feed, [*range(1, len(feed) + 1)])
        planned = [m for m, step in zip(moments, replay.steps, strict=True) if step.planned]
        assert len(planned) == 4 * hours
        if planned:
            assert planned[0].astimezone(zone).hour == 1
            assert (planned[-1].astimezone(zone) + quarter).hour == 4


WORK = st.builds(
    lambda begin, length, grace, keys, quiet: calendar(
        at(begin),
        at(begin) + length * SECOND,
        grace=f"{grace}s",
        keys=keys,
        quiet_limits=quiet,
    ),
    st.integers(0, 131),
    st.integers(1, 900),
    st.sampled_from([0, 40, 600]),
    st.sampled_from([("*",), ("a",), ("[bn]*",)]),
    st.booleans(),
)
RULES = st.fixed_dictionaries(
    {},
    optional={
        "limit": st.just(Rule(limit=Limit(above=100.0, for_="30s"))),
        "above": st.just(Rule(keys=("a", "n*"), direction="above", sensitivity=3.0)),
    },
)


@QUICK
@given(data=st.data())
def test_cuts_anywhere_change_nothing(
    model: FleetModel, feed: list[Sent], data: st.DataObject
) -> None:
    """With changes in mid-stream, several samples a message, late ones, and keys that stop."""
    limits = Limits(max_keys=64, stale_intervals=5.0, hard_limits=True)
    calendars = data.draw(st.lists(WORK, min_size=1, max_size=4))
    controls = [control_with(*calendars, **data.draw(RULES)), NO_CONTROL]
    controls.append(control_with(*data.draw(st.lists(WORK, min_size=1, max_size=2))))
    changes = sorted(data.draw(st.sets(st.integers(1, len(feed) - 1), min_size=2, max_size=2)))
    window = data.draw(st.sampled_from([None, WindowSpec("time", 30 * SECOND)]))

    def under(cuts: list[int]) -> Run:
        replay = Run(Engine(model, window, limits, control=controls[0]))
        begin = 0
        for control, end in zip(controls, [*changes, len(feed)], strict=True):
            replay.engine.use_control(control)
            feed_into(replay, feed, [*(c for c in cuts if begin < c < end), end], begin=begin)
            begin = end
        return replay

    whole = under([])
    same(under(sorted(data.draw(st.sets(st.integers(1, len(feed)), max_size=40)))), whole)
    same(under(cuts_of(1, len(feed))), whole)


@pytest.mark.parametrize("window", [None, WindowSpec("time", 30 * SECOND)], ids=["count", "time"])
@QUICK
@given(data=st.data(), size=st.sampled_from([3, 17, 999]))
def test_calendars_do_under_profiles_what_they_do_under_one_model(
    model: FleetModel, feed: list[Sent], window: WindowSpec | None, data: st.DataObject, size: int
) -> None:
    limits = Limits(max_keys=64, stale_intervals=3.0)
    control = control_with(*data.draw(st.lists(WORK, min_size=1, max_size=3)))
    profiles = Profiles([("[ac]", model)], model)
    plain = feed_into(Run(Engine(model, window, limits, control=control)), feed)
    several = Run(ProfiledEngine(profiles, window, limits, control=control))
    feed_into(several, feed, cuts_of(size, len(feed)))
    assert several.scores == plain.scores
    assert of_key(several.events) == of_key(plain.events)
    keys = [key for lane in several.engine._lanes for key in lane._parts[TP].index]
    assert {key: several.engine.row(TP, key) for key in keys} == plain.rows()
    assert sum(step.planned for step in several.steps) == sum(s.planned for s in plain.steps)
