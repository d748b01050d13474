"""Rules of operators beside a model that judges channels one by one."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core.pipeline import FleetModel
from stream.control.rules import Rule
from stream.engine import Engine
from tests.core.pipeline.evidence import fleet
from tests.stream.engine.conftest import Run, Sent, cuts_of, feed_into, interleaved, run, same, sent
from tests.stream.engine.rules_feed import LIMITS, control_of, firing, run_by

NEXT = fleet.DAYS * fleet.DAY_ROWS


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> FleetModel:
    folder = tmp_path_factory.mktemp("model")
    fleet.model().save(folder)
    return FleetModel.load(folder, backend="numpy")


def rows_of_host(key: int, values: np.ndarray) -> list[Sent]:
    at = fleet.times(NEXT, len(values))
    return [sent(f"host-{key}".encode(), at[i], values[i]) for i in range(len(values))]


def faulty(factor: float = 3.0, channel: int = 1, key: int = 1, length: int = 30) -> list[Sent]:
    values = fleet.rows(key, NEXT, 300)
    values[200 : 200 + length, channel] *= factor
    return rows_of_host(key, values)


@pytest.mark.parametrize("channel", range(4))
def test_a_fault_of_an_ignored_channel_does_not_fire(model: FleetModel, channel: int) -> None:
    feed = faulty(4.0, channel)
    one, *others = [fleet.CHANNELS[(channel + i) % 4] for i in range(4)]
    assert firing(run(model, feed, limits=LIMITS))
    assert not run_by(model, feed, control_of(Rule(channels=(one,), ignore=True))).events
    done = run_by(model, feed, control_of(quiet=Rule(channels=tuple(others), ignore=True)))
    (body, *_) = firing(done)
    assert body["rules"] == ["quiet"]
    assert body["top_channels"][0]["name"] == one


@pytest.mark.parametrize(("factor", "side"), [(3.0, "above"), (0.2, "below")])
def test_a_direction_leaves_the_other_side_out(model: FleetModel, factor: float, side: str) -> None:
    feed = faulty(factor)
    other = "below" if side == "above" else "above"
    assert firing(run_by(model, feed, control_of(Rule(direction=side))))
    assert not firing(run_by(model, feed, control_of(Rule(direction=other))))


def test_small_deviations_and_usual_ranges_do_not_fire(model: FleetModel) -> None:
    """A latency of 27 is 88 in the fault."""
    feed = faulty()
    for quiet, loud in (
        (Rule(min_deviation=200.0), Rule(min_deviation=5.0)),
        (Rule(min_relative_deviation=5.0), Rule(min_relative_deviation=0.2)),
        (Rule(usual_range=(0.0, 1e6)), Rule(usual_range=(0.0, 30.0))),
        (Rule(weight=0.0), Rule(weight=1.5)),
        (Rule(weight=0.1), Rule(weight=1.0, sensitivity=1.5)),
    ):
        assert not firing(run_by(model, feed, control_of(quiet))), quiet
        assert firing(run_by(model, feed, control_of(loud))), loud


def test_sensitivity_moves_the_thresholds(model: FleetModel) -> None:
    """A thousandth of the budget needs far more than the fault shows; the event says its own."""
    feed = faulty(1.25, length=2)
    (plain, *_) = firing(run(model, feed, limits=LIMITS))
    rare = control_of(Rule(channels=("latency",), sensitivity=0.001))
    assert not firing(run_by(model, feed, rare))
    (more, *_) = firing(run_by(model, feed, control_of(Rule(sensitivity=3.0))))
    assert more["startsAt"] <= plain["startsAt"]
    assert more["evidence"]["severity"] <= plain["evidence"]["severity"] + 1e-6


def test_the_joint_evidence_of_one_excluded_channel_does_not_fire(model: FleetModel) -> None:
    """The rule leaves its severity out, and what it adds to all channels together."""
    feed = faulty(6.0)
    control = control_of(Rule(channels=("latency",), min_deviation=1e6))
    assert not run_by(model, feed, control).events


def test_habituation_and_acceptance_take_an_excluded_channel_as_quiet(model: FleetModel) -> None:
    """So the same fault pages in full once the rule is gone."""
    values = fleet.rows(1, NEXT, 400)
    values[200:230, 1] *= 3.0
    values[300:330, 1] *= 3.0
    feed = rows_of_host(1, values)
    plain = run(model, feed, limits=LIMITS)
    done = Run(Engine(model, None, LIMITS, control=control_of(Rule(ignore=True))))
    feed_into(done, feed, [280])
    assert not done.events
    done.engine.use_control(control_of())
    feed_into(done, feed, [400], begin=280)
    first = firing(plain)[0]
    (body, *_) = firing(done)
    assert body["evidence"]["channel"] == first["evidence"]["channel"] == "latency"


def test_cuts_change_nothing(model: FleetModel) -> None:
    feed = interleaved(faulty(), faulty(0.2, key=2), rows_of_host(40, fleet.rows(40, NEXT, 300)))
    control = control_of(
        Rule(channels=("latency",), direction="above", min_deviation=2.0),
        Rule(keys=("host-2",), channels=("load",), ignore=True),
        Rule(channels=("errors",), weight=0.5, sensitivity=4.0),
    )
    whole = run_by(model, feed, control)
    same(run_by(model, feed, control, cuts_of(7, len(feed))), whole)
    part = [m for m in feed if m.samples[0][0] == b"host-2"]
    same(run_by(model, part, control, cuts_of(1, len(part))), run_by(model, part, control))


def test_rules_that_match_nothing_leave_all_bytes(model: FleetModel) -> None:
    feed = interleaved(faulty(), faulty(key=2))
    control = control_of(Rule(keys=("z*",), ignore=True), Rule(topics=("x",), weight=0.1))
    same(run_by(model, feed, control), run(model, feed, limits=LIMITS))
