"""Rules of operators beside a model with joint evidence: each does what its sentence says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ember_core.pipeline import FleetModel
from stream.control import NO_CONTROL
from stream.control.rules import Limit, Rule
from stream.engine import Engine, Limits
from tests.stream.engine.conftest import (
    CHANNELS,
    INTERVAL,
    KNOWN,
    QUICK,
    SECOND,
    START,
    Run,
    Sent,
    cuts_of,
    feed_into,
    rows_of,
    run,
    same,
    signal,
)
from tests.stream.engine.rules_feed import LIMITS, control_of, firing, run_by

ROWS, BEGIN = 300, 200
UP = 70.0


def faulty(channel: int, size: float, length: int = 30, key: int = 0) -> list[Sent]:
    """One key with one fault in one channel."""
    values = signal(ROWS, 3, key, part=5)
    values[BEGIN : BEGIN + length, channel] += size
    return rows_of(KNOWN[key], values)


@pytest.mark.parametrize("length", [3, 30])
@pytest.mark.parametrize("channel", range(3))
def test_a_fault_of_an_ignored_channel_does_not_fire(
    model: FleetModel, channel: int, length: int
) -> None:
    """Not by the joint score either; that of another channel does, and the event names the rule."""
    feed = faulty(channel, UP, length)
    assert firing(run(model, feed))
    assert not run_by(
        model, feed, control_of(Rule(channels=(CHANNELS[channel],), ignore=True))
    ).events
    other = CHANNELS[(channel + 1) % 3]
    done = run_by(model, feed, control_of(quiet=Rule(channels=(other,), ignore=True)))
    (body, *_) = firing(done)
    assert body["rules"] == ["quiet"]
    assert body["top_channels"][0]["name"] == CHANNELS[channel]


@pytest.mark.parametrize(("size", "side"), [(UP, "above"), (-UP, "below")])
@pytest.mark.parametrize("channel", range(3))
def test_a_direction_leaves_the_other_side_out(
    model: FleetModel, channel: int, size: float, side: str
) -> None:
    """And the return from it: what lies back at its usual value is no deviation."""
    feed = faulty(channel, size)
    other = "below" if side == "above" else "above"
    one, name = (CHANNELS[channel],), f"only {side}"
    assert firing(run_by(model, feed, control_of(Rule(channels=one, direction=side)))), name
    assert not firing(run_by(model, feed, control_of(Rule(channels=one, direction=other))))


def test_small_deviations_and_usual_ranges_do_not_fire(model: FleetModel) -> None:
    feed = faulty(0, UP, 3)
    value = np.array([m.samples[0][2][0] for m in feed])
    level = float(np.median(value))
    for quiet, loud in (
        (Rule(min_deviation=100.0), Rule(min_deviation=40.0)),
        (Rule(min_relative_deviation=100 / level), Rule(min_relative_deviation=40 / level)),
        (Rule(usual_range=(level - 90, level + 90)), Rule(usual_range=(level - 40, level + 40))),
        (Rule(weight=0.0), Rule(weight=2.0)),
        (Rule(weight=0.2), Rule(weight=1.0, sensitivity=1.5)),
        (Rule(sensitivity=0.001), Rule(sensitivity=2.0)),
    ):
        assert not firing(run_by(model, feed, control_of(quiet))), quiet
        assert firing(run_by(model, feed, control_of(loud))), loud


def test_sensitivity_moves_the_threshold_of_the_budget(model: FleetModel) -> None:
    """By the same slope of training: the event says at which threshold it fired."""
    (plain, *_) = firing(run(model, faulty(0, UP)))
    (more, *_) = firing(run_by(model, faulty(0, UP), control_of(Rule(sensitivity=2.0))))
    slope = model.report["calibration"]["slope"]
    assert plain["threshold"] - more["threshold"] == pytest.approx(slope * np.log(2.0), abs=1e-6)


def test_rules_of_other_keys_topics_and_channels_change_nothing(
    model: FleetModel, feed: list[Sent]
) -> None:
    control = control_of(
        Rule(keys=("z*",), ignore=True),
        Rule(topics=("logs",), direction="above"),
        Rule(channels=("cold",), limit=Limit(above=0.0)),
    )
    limits = Limits(max_keys=64, hard_limits=True)
    same(run_by(model, feed, control, limits=limits), run(model, feed, limits=limits))


def test_a_rule_of_one_key_leaves_the_bits_of_others(model: FleetModel, feed: list[Sent]) -> None:
    done = run_by(model, feed, control_of(Rule(keys=("a",), weight=0.3, direction="above")))
    plain = run(model, feed, limits=LIMITS)
    assert done.scores[b"a"] != plain.scores[b"a"]
    for key in plain.scores:
        if key != b"a":
            assert done.scores[key] == plain.scores[key]
            assert done.engine.row(("telemetry", 3), key) == plain.engine.row(("telemetry", 3), key)


RULES = st.builds(
    Rule,
    keys=st.sampled_from([("*",), ("a",), ("?",), ("n*", "c")]),
    channels=st.sampled_from([("*",), ("load",), ("*t", "flow")]),
    ignore=st.booleans(),
    direction=st.sampled_from(["above", "below", "both"]),
    min_deviation=st.sampled_from([None, 5.0, 60.0]),
    min_relative_deviation=st.sampled_from([None, 0.1]),
    usual_range=st.sampled_from([None, (-50.0, 50.0)]),
    limit=st.sampled_from([None, Limit(above=100.0), Limit(above=0.0, below=-90.0, for_="50s")]),
    sensitivity=st.sampled_from([1.0, 3.0, 0.2]),
    weight=st.sampled_from([1.0, 0.5, 2.0]),
).filter(lambda rule: not rule.says_nothing)


@QUICK
@given(data=st.data())
def test_cuts_anywhere_change_nothing(
    model: FleetModel, feed: list[Sent], data: st.DataObject
) -> None:
    control = control_of(*data.draw(st.lists(RULES, min_size=1, max_size=4)))
    cuts = data.draw(st.sets(st.integers(1, len(feed) - 1), max_size=25))
    whole = run_by(model, feed, control)
    same(run_by(model, feed, control, [*sorted(cuts), len(feed)]), whole)


def test_one_row_at_a_time_changes_nothing(model: FleetModel, feed: list[Sent]) -> None:
    control = control_of(
        Rule(channels=("load",), direction="above", min_deviation=4.0),
        Rule(channels=("heat",), ignore=True, limit=Limit(above=10.0, for_="30s")),
        Rule(channels=("flow",), weight=0.7, sensitivity=3.0),
    )
    same(run_by(model, feed, control, cuts_of(1, len(feed))), run_by(model, feed, control))


@QUICK
@given(data=st.data())
def test_a_change_in_mid_stream_is_that_of_a_replay(
    model: FleetModel, feed: list[Sent], data: st.DataObject
) -> None:
    """However the log is cut on either side of it; between two sets another one may be in force."""
    n = len(feed)
    at = data.draw(st.integers(1, n - 1))
    sets = [NO_CONTROL, control_of(*data.draw(st.lists(RULES, max_size=3)))]
    if data.draw(st.booleans()):
        sets.reverse()
    limits = Limits(max_keys=64, hard_limits=True)
    runs = []
    for size in (n, data.draw(st.integers(1, n))):
        one = Run(Engine(model, None, limits, control=sets[0]))
        feed_into(one, feed, [*[c for c in cuts_of(size, n) if c < at], at])
        one.engine.use_control(control_of(Rule(ignore=True)))
        one.engine.use_control(sets[1])
        feed_into(one, feed, [c for c in cuts_of(size, n) if c > at], begin=at)
        runs.append(one)
    same(runs[1], runs[0])


def test_an_ignored_channel_that_vanishes_is_not_told(model: FleetModel) -> None:
    values = signal(400, 3, 0)
    values[250:, 1] = np.nan
    feed = rows_of(b"a", values)
    name = "EmberChannelMissing"
    assert run(model, feed).triggers(name=name)
    quiet = run_by(model, feed, control_of(Rule(channels=("heat",), ignore=True)))
    assert not quiet.triggers(name=name)
    other = run_by(model, feed, control_of(Rule(channels=("load",), ignore=True)))
    assert other.triggers(name=name)


def test_a_key_that_is_left_out_whole_gives_no_stale_trigger(model: FleetModel) -> None:
    feed = rows_of(b"a", signal(90, 3, 0)) + rows_of(
        b"b", signal(90, 3, 1), START + 90 * INTERVAL * SECOND
    )
    limits = Limits(max_keys=64, stale_intervals=5.0)
    name = "EmberKeyStale"
    assert run(model, feed, limits=limits).triggers(name=name)
    quiet = run_by(model, feed, control_of(Rule(keys=("a",), ignore=True)), limits=limits)
    assert not quiet.triggers(name=name)


def test_a_fault_that_a_rule_ends_is_resolved_by_its_rows(model: FleetModel) -> None:
    """A rule that comes while the episode is open: the channel counts as quiet from then on."""
    feed = faulty(1, UP, 60)
    done = Run(Engine(model, None, LIMITS))
    feed_into(done, feed, [BEGIN + 20])
    assert len(firing(done)) == 1
    done.engine.use_control(control_of(calm=Rule(channels=("heat",), ignore=True)))
    feed_into(done, feed, [BEGIN + 40], begin=BEGIN + 20)
    (resolved,) = [b for b in done.triggers() if b["status"] == "resolved"]
    assert resolved["rules"] == ["calm"]
