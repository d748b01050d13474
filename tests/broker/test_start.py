"""Where a group without state begins."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.kafka_client import Send
from tests.broker.conftest import Broker
from tests.broker.counting import value_of
from tests.broker.workers import WorkerProcess, wait_committed

HOURS_MS = 3_600_000
OLD, RECENT, LATER = 47, 29, 13


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("start", "read"), [("earliest", OLD + RECENT), (2 * 3600.0, RECENT), ("latest", 0)]
)
def test_a_new_group_begins_where_it_is_told(
    kafka: Broker, tmp_path: Path, start: Any, read: int
) -> None:
    """From the beginning, from so long ago, or from now; later starts go on, whatever they say."""
    topic, group = kafka.topic("start", 3), kafka.name("start")
    now = int(time.time() * 1000)

    def feed(count: int, age_hours: float, first: int) -> None:
        sent = now - int(age_hours * HOURS_MS)
        records = range(first, first + count)
        kafka.produce(topic, [Send(b"k%d" % (i % 7), value_of(i), sent) for i in records])

    feed(OLD, 48, 0)
    feed(RECENT, 1, OLD)
    changelog = f"{group}-state-{topic}-changelog"
    options: dict[str, Any] = {"start": start}
    with WorkerProcess(kafka, topic, group, tmp_path, **options) as worker:
        worker.until(lambda: worker.said("phase", phase="running"))
        feed(LATER, 0, OLD + RECENT)
        metas = wait_committed(worker, kafka, changelog, read + LATER)
        worker.stop()
    assert sum(sum(meta["counts"].values()) for meta in metas.values()) == read + LATER
    feed(LATER, 0, OLD + RECENT + LATER)
    with WorkerProcess(kafka, topic, group, tmp_path, start="earliest") as worker:
        metas = wait_committed(worker, kafka, changelog, read + 2 * LATER)
        worker.stop()
    assert sum(sum(meta["counts"].values()) for meta in metas.values()) == read + 2 * LATER
