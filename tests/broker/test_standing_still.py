"""A worker that stands still ends, with an exit code of its own, for others to start it again."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.kafka.supervision.watchdog import STOOD_STILL
from tests.broker.conftest import Broker
from tests.broker.test_worker import Bench

pytestmark = [pytest.mark.broker, pytest.mark.slow]


def test_a_step_that_hangs_ends_the_process(embedded: Broker, tmp_path: Path) -> None:
    bench = Bench(embedded, tmp_path, 100, hang_seconds=1.0)
    bench.feed()
    with bench.worker(hangs=True) as worker:
        assert worker.wait(60) == STOOD_STILL, worker.tail()
    assert "The event loop has stood still" in worker.tail()
    assert "supervision.hang_seconds" in worker.tail()
    with bench.worker() as worker:  # nothing of it is in the way
        bench.finish(worker)
        worker.stop()


def test_a_partition_that_does_not_move_ends_the_process(embedded: Broker, tmp_path: Path) -> None:
    bench = Bench(embedded, tmp_path, 100, stuck_seconds=1.0)
    bench.feed()
    with bench.worker(stalls=True) as worker:
        assert worker.wait(60) == STOOD_STILL, worker.tail()
    (said,) = worker.said("phase", phase="failed")
    assert "stands at offset 0" in said["detail"]
    assert "supervision.stuck_seconds" in said["detail"]
    with bench.worker() as worker:
        bench.finish(worker)
        worker.stop()
