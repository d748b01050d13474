"""Answers of the probes."""

from __future__ import annotations

import pytest

from stream.observe.health import UNFIT_AFTER, Health, Report
from stream.records import Reason, Rejected

TP0, TP1 = ("telemetry", 0), ("telemetry", 1)


def failing(report: Report) -> list[str]:
    return [check.name for check in report.checks if not check.ok]


@pytest.fixture
def running() -> Health:
    """A worker with two partitions that has restored its state at time 100."""
    health = Health(0.0, live_seconds=10, stalled_seconds=60)
    health.phase("recovering", "partitions were assigned", 90.0)
    health.assigned({TP0, TP1}, 99.0)
    health.phase("running", "2 partitions", 100.0)
    return health


def test_only_a_silent_event_loop_is_dead() -> None:
    """A worker that waits for the broker for hours is alive."""
    health = Health(0.0, live_seconds=10)
    health.phase("waiting", "no broker", 1.0)
    assert health.live(10.0).ok
    assert not health.live(10.1).ok
    health.tick(5_000.0)
    assert health.live(5_005.0).ok


def test_ready_needs_partitions_and_restored_state(running: Health) -> None:
    """The probe fails before the assignment, during recovery, and after a failure."""
    fresh = Health(0.0)
    assert failing(fresh.ready(1.0)) == ["partitions", "state"]
    assert running.ready(100.0).ok
    running.phase("recovering", "rebalance", 101.0)
    assert failing(running.ready(101.0)) == ["state"]
    assert "recovering: rebalance" in str(running.ready(101.0).body())


def test_a_spare_worker_is_ready() -> None:
    """With more workers than partitions, an idle worker is healthy."""
    health = Health(0.0)
    health.assigned(set(), 1.0)
    health.phase("running", "", 2.0)
    assert health.ready(3.0).ok


def test_started_once_is_started_for_good(running: Health) -> None:
    """A later rebalance does not revoke it."""
    assert not Health(0.0).started(1.0).ok
    running.phase("recovering", "rebalance", 101.0)
    assert running.started(102.0).ok


def test_stuck_is_lag_without_progress(running: Health) -> None:
    """A worker with lag and without progress is not ready."""
    running.progressed(10, 10, [], 110.0)
    assert running.ready(1_000.0).ok
    running.fetched(TP0, 7)
    assert running.ready(170.0).ok
    assert failing(running.ready(171.0)) == ["progress"]
    running.progressed(1, 1, [], 180.0)
    assert running.ready(200.0).ok
    running.assigned({TP1}, 181.0)
    running.fetched(TP0, 9)
    assert running.ready(900.0).ok


def test_a_model_that_fits_nothing_is_not_ready(running: Health) -> None:
    """A hundred messages without any channel fail the check; one that fits clears it."""
    unfit = [Rejected(0, Reason.NO_CHANNELS, "")] * 50
    malformed = [Rejected(0, Reason.NOT_JSON, "")] * 500
    running.progressed(550, 0, unfit + malformed, 101.0)
    assert running.ready(101.0).ok
    running.progressed(50, 0, unfit, 102.0)
    assert UNFIT_AFTER == 100
    assert failing(running.ready(102.0)) == ["model"]
    running.progressed(51, 1, unfit, 103.0)
    assert running.ready(103.0).ok
    running.progressed(UNFIT_AFTER * 50, 0, unfit * 100, 103.5)  # the topic is a shared one
    assert running.ready(103.5).ok
    running.phase("unfit", "The model does not fit.", 104.0)
    assert failing(running.ready(104.0)) == ["state", "model"]
