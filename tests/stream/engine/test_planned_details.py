"""Rows under planned work in detail: shown beside the band, which learns nothing of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ember_core.data.sources import Dataset, KeyTable
from ember_core.pipeline import FleetModel
from stream.backtest import backtest
from stream.control import NO_CONTROL
from stream.control.rules import Rule
from stream.engine import Engine, Limits, ProfiledEngine, Profiles, WindowSpec
from tests.stream.engine.calendar_feed import calendar, control_with
from tests.stream.engine.conftest import (
    QUICK,
    SECOND,
    Run,
    Sent,
    cuts_of,
    feed_into,
    run,
    same,
)
from tests.stream.engine.rules_feed import run_by
from tests.stream.engine.test_detailed_scores import NAMES, bits, hosts, joined, of_channels
from tests.stream.engine.test_planned_work import (
    BEGIN,
    END,
    RULES,
    WORK,
    at,
    faulty,
    row_fields,
    work,
)

__all__ = ["of_channels"]  # a fixture

LIMITS = Limits(max_keys=64, detailed=("*",))
WINDOW = WindowSpec("time", 30 * SECOND, 45 * SECOND)


def test_every_scored_row_has_details(model: FleetModel) -> None:
    """Score, evidence and marks are those of the scores; a planned row belongs to no episode."""
    done = run_by(model, faulty(BEGIN - 10, END + 60, 200.0), work(), limits=LIMITS)
    rows, (step,) = joined(done), done.steps
    for name in ("time_us", "score", "severity", "evidence", "anomaly", "trigger", "firing"):
        np.testing.assert_array_equal(getattr(rows, name), getattr(step.scores, name), name)
    planned = (rows.time_us >= at(BEGIN)) & (rows.time_us < at(END))
    assert planned.sum() == END - BEGIN == step.planned
    assert rows.firing[~planned].any()
    assert not (rows.firing | rows.anomaly | (rows.trigger != 0))[planned].any()
    assert (rows.evidence[planned] == 0).all()  # the episode before has ended with the first row
    assert (rows.value[planned, 0] > rows.upper[planned, 0]).all()
    assert (rows.threshold[planned] == np.float32(model.pipeline.motor.on)).all()
    others = rows.threshold[~planned]
    assert set(others.tolist()) == {float(np.float32(model.pipeline.motor.on)), np.inf}


def test_evidence_stands_still(model: FleetModel) -> None:
    """A planned row shows the evidence of the key's last usual row."""
    rows = joined(run_by(model, faulty(), work(), limits=LIMITS))
    (before, *_) = np.flatnonzero(rows.time_us == at(BEGIN - 1))
    planned = slice(before + 1, before + 1 + END - BEGIN)
    assert rows.evidence[before] > 0
    assert (rows.evidence[planned] == rows.evidence[before]).all()


def test_the_band_learns_nothing_of_planned_work(model: FleetModel) -> None:
    """It stands still, and goes on as that of a key which has sent nothing meanwhile."""
    feed = faulty()
    done = run_by(model, feed, work(), limits=LIMITS)
    paused = run_by(model, feed[:BEGIN] + feed[END:], work(), limits=LIMITS)
    np.testing.assert_array_equal(row_fields(done, b"a")["band"], row_fields(paused, b"a")["band"])
    kept = list(zip(joined(done).time_us.tolist(), bits(done), strict=True))
    assert [row for time, row in kept if not at(BEGIN) <= time < at(END)] == bits(paused)
    rows = joined(done)
    (first, *_) = np.flatnonzero(rows.time_us == at(BEGIN))
    for name in ("usual", "lower", "upper"):
        stands = getattr(rows, name)[first : first + 1 + END - BEGIN]
        assert (stands == stands[0]).all(), name
    plain = row_fields(run(model, feed, limits=LIMITS), b"a")["band"]
    assert (plain != row_fields(done, b"a")["band"]).any()


def test_no_other_result_depends_on_details(model: FleetModel, feed: list[Sent]) -> None:
    control = control_with(calendar(at(40), at(90), keys=("[ab]",)))
    plain = run_by(model, feed, control, limits=replace(LIMITS, detailed=()))
    done = run_by(model, feed, control, limits=LIMITS)
    assert done.scores == plain.scores
    assert done.events == plain.events
    assert sum(step.planned for step in done.steps) > 0
    some = run_by(model, feed, control, limits=replace(LIMITS, detailed=("[bn]*",)))
    assert bits(some) == [row for row in bits(done) if row[0] != b"a" and row[0][:1] in b"bn"]


def test_shares_and_severity_beside_channel_evidence(of_channels: FleetModel) -> None:
    """Those of the row as it would be told: the fault's first rows, without a calendar."""
    feed = hosts()
    times = sorted({m.samples[0][1] for m in feed})
    control = control_with(calendar(times[199], times[240], grace="0s"))
    rows = joined(run_by(of_channels, feed, control, limits=LIMITS))
    plain = joined(run(of_channels, feed, limits=LIMITS))
    assert (rows.time_us == plain.time_us).all()
    own = np.array([key == b"host-1" for key in rows.keys])
    first = np.flatnonzero(own & (rows.time_us >= times[199]))[0]
    for name in ("score", "severity", "contribution", "usual", "lower", "upper", "value"):
        np.testing.assert_array_equal(getattr(rows, name)[first], getattr(plain, name)[first], name)
    fault = np.flatnonzero(own & (rows.time_us >= times[200]) & (rows.time_us < times[230]))
    assert plain.firing[fault].any()
    assert not rows.firing[fault].any()
    assert (rows.severity[fault] > of_channels.pipeline.motor.off).any()
    assert (rows.contribution[fault].argmax(axis=1) == 1).mean() > 0.8
    assert rows.contribution.sum(axis=1) == pytest.approx(1.0)


def test_rules_move_the_threshold_of_planned_rows(model: FleetModel) -> None:
    """It is that of the usual rows around them."""
    control = control_with(calendar(at(BEGIN), at(END), grace="0s"), above=Rule(sensitivity=3.0))
    rows = joined(run_by(model, faulty(), control, limits=LIMITS))
    finite = rows.threshold[np.isfinite(rows.threshold)]
    assert (finite == finite[0]).all()
    assert finite[0] < model.pipeline.motor.on


def test_rows_that_one_sample_completes_keep_their_order(model: FleetModel) -> None:
    """A record after a gap closes intervals of planned work and later ones at once."""
    feed = [m for i, m in enumerate(faulty()) if not END + 4 <= i < END + 14]
    limits = replace(LIMITS, stale_intervals=0.0)
    done = Run(Engine(model, WINDOW, limits, control=work()))
    feed_into(done, feed)
    times = [row[0] for row in done.scores[b"a"]]
    assert times == sorted(times)
    assert joined(done).time_us.tolist() == times
    columns = done.steps[0].scores
    is_planned = (columns.time_us + 30 * SECOND > at(BEGIN)) & (columns.time_us < at(END))
    both = set(columns.sample[is_planned]) & set(columns.sample[~is_planned])
    assert any(columns.time_us[columns.sample == sample].max() >= at(END) for sample in both)


@QUICK
@given(data=st.data())
def test_cuts_anywhere_change_nothing(
    model: FleetModel, feed: list[Sent], data: st.DataObject
) -> None:
    """Batches cut by planned rows, and made anew, follow no band twice."""
    limits = Limits(max_keys=64, stale_intervals=5.0, hard_limits=True, detailed=("*",))
    calendars = data.draw(st.lists(WORK, min_size=1, max_size=4))
    controls = [control_with(*calendars, **data.draw(RULES)), NO_CONTROL]
    controls.append(control_with(*data.draw(st.lists(WORK, min_size=1, max_size=2))))
    changes = sorted(data.draw(st.sets(st.integers(1, len(feed) - 1), min_size=2, max_size=2)))
    window = data.draw(st.sampled_from([None, WINDOW]))

    def under(cuts: list[int]) -> Run:
        replay = Run(Engine(model, window, limits, control=controls[0]))
        begin = 0
        for control, end in zip(controls, [*changes, len(feed)], strict=True):
            replay.engine.use_control(control)
            feed_into(replay, feed, [*(c for c in cuts if begin < c < end), end], begin=begin)
            begin = end
        return replay

    whole = under([])
    assert len(bits(whole)) == sum(map(len, whole.scores.values()))
    for cuts in (
        sorted(data.draw(st.sets(st.integers(1, len(feed)), max_size=40))),
        cuts_of(1, len(feed)),
    ):
        cut = under(cuts)
        same(cut, whole)
        assert bits(cut) == bits(whole)


@QUICK
@given(data=st.data(), size=st.sampled_from([1, 53]))
def test_cuts_change_nothing_beside_channel_evidence(
    of_channels: FleetModel, data: st.DataObject, size: int
) -> None:
    feed = hosts()
    times = sorted({m.samples[0][1] for m in feed})
    begin = data.draw(st.integers(150, 240))
    end = begin + data.draw(st.integers(1, 40))
    control = control_with(calendar(times[begin], times[end], keys=("host-1",)))
    whole = run_by(of_channels, feed, control, limits=LIMITS)
    cut = run_by(of_channels, feed, control, cuts_of(size, len(feed)), limits=LIMITS)
    same(cut, whole)
    assert bits(cut) == bits(whole)


@pytest.mark.parametrize("window", [None, WINDOW], ids=["count", "time"])
def test_profiles_give_what_one_model_gives(
    model: FleetModel, feed: list[Sent], window: WindowSpec | None
) -> None:
    control = control_with(calendar(at(30), at(80)))
    limits = Limits(max_keys=64, stale_intervals=3.0, detailed=("*",))
    plain = feed_into(Run(Engine(model, window, limits, control=control)), feed)
    profiles = Profiles([("[ac]", model)], model)
    several = Run(ProfiledEngine(profiles, window, limits, control=control))
    feed_into(several, feed, cuts_of(17, len(feed)))
    assert sorted(bits(several)) == sorted(bits(plain))
    assert sum(step.planned for step in plain.steps) > 0


def test_a_backtest_gives_the_rows_of_the_stream(model: FleetModel) -> None:
    feed = faulty()
    rows = joined(run_by(model, feed, work(), limits=LIMITS))
    times = np.array([m.samples[0][1] for m in feed])
    values = np.array([m.samples[0][2] for m in feed])
    table = KeyTable(
        key=b"a",
        time_us=times,
        time_text=None,
        values=values,
        is_train=np.zeros(len(feed), dtype=bool),
        label=None,
    )
    dataset = Dataset(tuple(model.channels), (table,), divided=False)
    (scores,) = backtest(model, dataset, limits=LIMITS, control=work(), batch_rows=53).scores
    assert scores.details is not None
    assert len(scores.details) == len(scores.score) == len(rows)
    for name in NAMES:
        np.testing.assert_array_equal(getattr(scores.details, name), getattr(rows, name), name)
