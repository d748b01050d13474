"""The injected faults."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from stream.demo.faults import (
    DRIFT_SIZE,
    LEAD_ROWS,
    ROWS,
    TAIL_ROWS,
    Fault,
    Injector,
    Kind,
    plan_faults,
    shortest_live,
)
from stream.demo.fleet import CHANNELS, CYCLE_CHANNEL, PAIR, Fleet

KEYS, BEFORE, LIVE = 37, 997, 409


class Scenario:
    """A small fleet whose live part holds faults."""

    def __init__(self, seed: int) -> None:
        self.fleet = Fleet(seed, KEYS)
        _, self.history = self.fleet.history(BEFORE)
        self.mean, self.deviation = self.history.mean(0), self.history.std(0)
        self.faults = plan_faults(seed, self.fleet.names, BEFORE, LIVE)
        injector = Injector(self.fleet, self.faults, self.deviation)
        _, self.healthy = self.fleet.history(LIVE)
        self.values, self.sent = injector.apply(BEFORE, self.healthy)
        self.z = (self.values - self.mean) / self.deviation

    def of(self, kind: Kind) -> list[Fault]:
        """Faults of one kind."""
        return [f for f in self.faults if f.kind is kind]

    def during(self, fault: Fault, rows: np.ndarray) -> np.ndarray:
        """The faulty rows of the faulty channel."""
        return rows[fault.onset - BEFORE : fault.end - BEFORE, fault.key, fault.channel]


@pytest.fixture(scope="module", params=[1, 2, 3])
def scenario(request) -> Scenario:
    """One scenario for each of three seeds."""
    return Scenario(request.param)


def test_the_plan_is_drawn_from_the_seed():
    """Equal seeds give equal faults, other seeds other ones."""
    names = Fleet(1, KEYS).names
    plan = plan_faults(1, names, BEFORE, LIVE)
    assert plan == plan_faults(1, names, BEFORE, LIVE)
    assert plan != plan_faults(2, names, BEFORE, LIVE)


@pytest.mark.parametrize("per_kind", [2, 3])
def test_every_kind_comes_and_no_key_twice(per_kind):
    """Faults lie in the live part, each with time to be caught, spread evenly."""
    plan = plan_faults(5, Fleet(1, KEYS).names, BEFORE, LIVE, per_kind)
    assert Counter(f.kind for f in plan) == dict.fromkeys(Kind, per_kind)
    assert len({f.key for f in plan}) == len(plan) == 6 * per_kind
    assert plan[0].kind is Kind.SPIKE
    assert plan[0].onset == BEFORE + LEAD_ROWS
    assert all(f.end + TAIL_ROWS <= BEFORE + LIVE for f in plan)
    gaps = np.diff([f.onset for f in plan])
    assert gaps.min() >= 1
    assert np.ptp(gaps) <= 1
    for f in plan:
        assert ROWS[f.kind][0] <= f.end - f.onset <= ROWS[f.kind][1]


def test_too_small_a_scenario_is_refused():
    """The error names sizes that would fit."""
    names = Fleet(1, KEYS).names
    with pytest.raises(ValueError, match=r"Expected at least 36 keys .*keys=5, rows=409"):
        plan_faults(1, names[:5], BEFORE, LIVE)
    with pytest.raises(ValueError, match="rows=101"):
        plan_faults(1, names, BEFORE, 101)
    assert plan_faults(1, names, 0, shortest_live(18))


def test_nothing_else_is_touched(scenario):
    """A fault changes only its key, channel and rows, all of them in the live part."""
    changed = scenario.values != scenario.healthy
    for f in scenario.faults:
        if f.channel is not None:
            changed[f.onset - BEFORE : f.end - BEFORE, f.key, f.channel] = False
    assert not changed.any()
    assert min(f.onset for f in scenario.faults) >= BEFORE


def test_chunks_do_not_matter(scenario):
    """Chunks of one row give the same values."""
    fleet = Fleet(scenario.fleet.seed, KEYS)
    fleet.history(BEFORE)
    injector = Injector(fleet, scenario.faults, scenario.deviation)
    for i in range(LIVE):
        _, healthy = fleet.history(1)
        values, sent = injector.apply(BEFORE + i, healthy)
        np.testing.assert_array_equal(values[0], scenario.values[i])
        np.testing.assert_array_equal(sent[0], scenario.sent[i])


def test_spikes_measure_four_to_six_deviations(scenario):
    """Spikes last a few rows, in either direction."""
    for f in scenario.of(Kind.SPIKE):
        added = (
            scenario.during(f, scenario.values - scenario.healthy)
            / scenario.deviation[f.key, f.channel]
        )
        assert 4 <= abs(added).min() <= abs(added).max() <= 6
        assert len(added) <= 6


def test_drifts_grow_slowly_to_their_size(scenario):
    """No row adds a tenth of a deviation, and the last ones add the full size."""
    for f in scenario.of(Kind.DRIFT):
        added = (
            scenario.during(f, scenario.values - scenario.healthy)
            / scenario.deviation[f.key, f.channel]
        )
        assert abs(added[-1]) == pytest.approx(DRIFT_SIZE)
        assert abs(np.diff(added)).max() < 0.1
        assert abs(added[0]) < 0.1


def test_a_stuck_sensor_repeats_its_last_value(scenario):
    """The value is the healthy one of the onset."""
    for f in scenario.of(Kind.STUCK):
        assert np.ptp(scenario.during(f, scenario.values)) == 0
        assert scenario.during(f, scenario.values)[0] == scenario.during(f, scenario.healthy)[0]
        assert np.ptp(scenario.during(f, scenario.healthy)) > 0


def test_a_silent_key_sends_nothing(scenario):
    """Only silent keys send no records, and none at all during the fault."""
    left_out = np.zeros_like(scenario.sent)
    for f in scenario.of(Kind.SILENT):
        assert f.channel is None
        assert f.channel_name == ""
        left_out[f.onset - BEFORE : f.end - BEFORE, f.key] = True
    np.testing.assert_array_equal(~scenario.sent, left_out)


@pytest.mark.parametrize("kind", [Kind.CORRELATION, Kind.FREQUENCY])
def test_z_scores_cannot_see_correlation_and_frequency(scenario, kind):
    """The largest |z| stays within what the fleet's history shows in that channel."""
    usual = np.abs((scenario.history - scenario.mean) / scenario.deviation).max((0, 1))
    for f in scenario.of(kind):
        assert np.abs(scenario.during(f, scenario.z)).max() <= usual[f.channel]


def test_a_changed_correlation_loses_its_partner(scenario):
    """A correlation of nearly one is lost."""
    for f in scenario.of(Kind.CORRELATION):
        assert f.channel in PAIR
        partner = sum(PAIR) - f.channel
        partner_z = scenario.z[f.onset - BEFORE : f.end - BEFORE, f.key, partner]
        assert (scenario.during(f, scenario.z) - partner_z).std() > 0.5
        usual = scenario.history[:, f.key, f.channel] / scenario.deviation[f.key, f.channel]
        usual = usual - scenario.history[:, f.key, partner] / scenario.deviation[f.key, partner]
        assert usual.std() < 0.2


def test_a_changed_frequency_keeps_the_amplitude(scenario):
    """The cycle is about three times as fast, of the same size, and has no jump."""
    for f in scenario.of(Kind.FREQUENCY):
        assert f.channel == CYCLE_CHANNEL
        assert 2.5 <= f.size <= 3.5
        rows = scenario.during(f, scenario.values)
        usual = scenario.history[:, f.key, CYCLE_CHANNEL]
        assert rows.std() == pytest.approx(usual.std(), rel=0.25)
        crossings = (np.diff(np.sign(rows - usual.mean())) != 0).mean()
        usual_changes = (np.diff(np.sign(usual - usual.mean())) != 0).mean()
        assert 2 < crossings / usual_changes < 4.5
        i = f.onset - BEFORE
        assert rows[0] == pytest.approx(scenario.healthy[i, f.key, f.channel])


def test_channel_names():
    """A fault names its channel as the records do."""
    assert Fault(Kind.SPIKE, 0, "db-001", 3, 5, 7).channel_name == CHANNELS[3]
