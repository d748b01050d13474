"""What may go wrong around a worker: one clear sentence or a wait, and nothing is lost."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.broker.conftest import Broker
from tests.broker.test_worker import Bench
from tests.broker.workers import wait_committed


@pytest.mark.broker
def test_a_clock_set_back_an_hour_changes_nothing(embedded: Broker, tmp_path: Path) -> None:
    bench = Bench(embedded, tmp_path, 20_000, clock_back=True)
    bench.feed(10_000)
    with bench.worker() as worker:
        wait_committed(worker, embedded, bench.changelog, 10_000)
        time.sleep(2.5)  # by now it has been set back
        bench.feed()
        assert bench.finish(worker)["duplicates"] == 0
        worker.stop()
