"""Scored rows in detail under feedback: the threshold that decides, and bands that begin anew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ember_core.pipeline import FleetModel
from stream.control import ControlSet, Document, Feedback
from stream.engine import DetailedScores, Engine, Limits
from stream.records import rfc3339
from tests.core.pipeline.evidence import fleet
from tests.stream.engine.conftest import Run, Sent, cuts_of, feed_into, rows_of, sent, signal
from tests.stream.engine.rules_feed import firing, run_by
from tests.stream.engine.test_detailed_scores import bits, joined, of_channels
from tests.stream.engine.test_marks import NEXT, marked
from tests.stream.engine.test_normal_now import MARK, SHIFT, normal, shifted
from tests.stream.engine.test_planned_work import row_fields

__all__ = ["of_channels"]  # a fixture

LIMITS = Limits(max_keys=64, hard_limits=True, detailed=("*",))


def decided_by_threshold(rows: DetailedScores, refractory_rows: int) -> np.ndarray:
    """Return the rows of one key that could fire, after a check that exactly the threshold says."""
    resolves = np.flatnonzero(rows.trigger < 0)
    rests = [range(i + 1, i + 1 + refractory_rows) for i in resolves.tolist()]
    could = ~rows.firing | (rows.trigger > 0)
    could[[i for rest in rests for i in rest if i < len(rows)]] = False
    np.testing.assert_array_equal(
        (rows.evidence >= rows.threshold)[could], (rows.trigger > 0)[could]
    )
    return could


def joint_feed() -> list[Sent]:
    values = signal(400, 3, 0, part=5)
    for begin in (150, 230, 310):
        values[begin : begin + 8, 1] += 70.0
    values[370:378, 0] += 200.0
    return rows_of(b"a", values)


def test_the_threshold_of_a_marked_key_is_the_one_that_decides(model: FleetModel) -> None:
    """A mark raises it on rows like the marked ones, and on these only."""
    feed = joint_feed()
    plain = run_by(model, feed, ControlSet(), limits=LIMITS)
    control = marked(firing(plain)[:1])
    done = run_by(model, feed, control, limits=LIMITS)
    rows, refractory = joined(done), model.pipeline.motor.refractory_rows
    decided_by_threshold(joined(plain), refractory)
    could = decided_by_threshold(rows, refractory)
    leads = [[body["top_channels"][0]["name"] for body in firing(r)] for r in (plain, done)]
    assert leads == [["heat"], ["load"]]
    assert (rows.threshold[could] > model.pipeline.motor.on).any()
    assert (rows.threshold >= model.pipeline.motor.on).all()
    fired = np.flatnonzero(rows.trigger > 0)
    told = [body["threshold"] for body in firing(done)]
    assert told == pytest.approx(rows.threshold[fired].tolist())
    assert fired.size


def test_evidence_of_marked_channels_and_their_companions_is_what_is_left(
    of_channels: FleetModel,
) -> None:
    """With channel evidence the threshold stands, and the evidence is less what marks need."""
    count = 300
    times, values = fleet.times(NEXT, count), fleet.rows(1, NEXT, count)
    values[200:230, 1] *= 3.0
    values[200:230, 0] += 30.0
    feed = [sent(b"host-1", times[i], values[i]) for i in range(count)]
    mark = Feedback(
        event="e",
        verdict="false-alarm",
        key="host-1",
        topic="telemetry",
        above=("latency",),
        companions_above=("load",),
        time=rfc3339(times[0]),
        excess=30.0,
    )
    document = Document(name="m", author="me", time="2026-01-01T00:00:00Z", body=mark)
    plain = run_by(of_channels, feed, ControlSet(), limits=LIMITS)
    control = ControlSet.of([document])
    rows, unmarked = joined(run_by(of_channels, feed, control, limits=LIMITS)), joined(plain)
    refractory = of_channels.pipeline.motor.refractory_rows
    assert unmarked.firing[200:230].any()
    decided_by_threshold(unmarked, refractory)
    decided_by_threshold(rows, refractory)
    assert (rows.threshold == unmarked.threshold).all()
    assert (rows.evidence[200:203] < unmarked.evidence[200:203]).all()


def told_normal(model: FleetModel, feed: list[Sent], limits: Limits = LIMITS) -> Run:
    """The first episode is usual from the row `MARK` on."""
    done = feed_into(Run(Engine(model, None, limits)), feed, [MARK])
    done.engine.use_control(normal(firing(done)[0]))
    return feed_into(done, feed, begin=MARK)


@pytest.mark.parametrize("key", [b"a", b"never seen"])
def test_the_band_begins_anew_with_a_present_that_is_usual(model: FleetModel, key: bytes) -> None:
    """Otherwise rows before the page would leave it wide for thousands of rows."""
    feed = [sent(key, m.samples[0][1], m.samples[0][2]) for m in shifted()]
    done = feed_into(Run(Engine(model, None, LIMITS)), feed, [MARK])
    initial = done.engine._store.layout.views(done.engine._store.initial_row(key)[None])["band"][0]
    assert (row_fields(done, key)["band"] != initial).any()
    done.engine.use_control(normal(firing(done)[0]))
    feed_into(done, feed, [MARK + 1], begin=MARK)
    rows = joined(replace(done, steps=done.steps[-1:]))
    assert rows.time_us.tolist() == [feed[MARK].samples[0][1]]
    pipeline = model.pipeline
    state = {f.name: row_fields(done, key)[f.name][None] for f in pipeline.state_fields()}
    size = pipeline.normaliser.scale(state)[0]
    np.testing.assert_allclose((rows.upper - rows.lower)[0], (initial[1] - initial[0]) * size)


def test_the_new_band_does_not_depend_on_cuts_or_change_other_results(model: FleetModel) -> None:
    feed = shifted()
    whole = told_normal(model, feed)
    plain = told_normal(model, feed, replace(LIMITS, detailed=()))
    assert (whole.scores, whole.events) == (plain.scores, plain.events)
    control = normal(firing(whole)[0])
    replayed = [
        run_by(model, feed, control, cuts_of(size, len(feed)), limits=LIMITS)
        for size in (1, 7, len(feed))
    ]
    assert bits(replayed[0]) == bits(replayed[1]) == bits(replayed[2])
    assert len({tuple(done.rows().items()) for done in replayed}) == 1


def test_bands_hold_after_a_present_that_is_usual(of_channels: FleetModel) -> None:
    """Most rows of the new level lie in it."""
    count, shift = 700, 30.0
    times, values = fleet.times(NEXT, count), fleet.rows(1, NEXT, count)
    values[SHIFT:, 0] += shift
    feed = [sent(b"host-1", times[i], values[i]) for i in range(count)]
    rows = joined(told_normal(of_channels, feed))
    after = slice(MARK + 30, count)
    inside = (rows.lower <= rows.value) & (rows.value <= rows.upper)
    assert inside[after, 0].mean() > 0.85
