"""Where a group without state begins."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.kafka_client import Send
from tests.broker.conftest import Broker
from tests.broker.counting import EVERY, META_KEY, value_of
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


@pytest.mark.kafka
def test_history_warms_up_and_gives_no_events_whatever_happens_within_it(
    kafka: Broker, tmp_path: Path
) -> None:
    """Killed in the middle of it, the worker still speaks from the same offset on."""
    topic, group = kafka.topic("history", 1), kafka.name("history")
    changelog, per_key = f"{group}-state-{topic}-changelog", 2 * EVERY + 7
    key, size = b"k", 4 * EVERY
    kafka.produce(topic, [Send(key, value_of(i)) for i in range(per_key)])
    options: dict[str, Any] = {"start": 3600.0, "transactions": "on"}
    with WorkerProcess(kafka, topic, group, tmp_path, interval_seconds=3600, **options) as worker:
        worker.running().kill()  # the meta row is in the log; the history is not absorbed in it
    (meta,) = [
        json.loads(value)
        for (_, name), value in kafka.read_changelog(changelog).items()
        if name == META_KEY
    ]
    assert meta["events_from"] == per_key
    kafka.produce(topic, [Send(key, value_of(i)) for i in range(per_key, size)])
    with WorkerProcess(kafka, topic, group, tmp_path, **options) as worker:
        wait_committed(worker, kafka, changelog, size)
        worker.stop()
    events = [json.loads(e.value or b"") for e in kafka.consume_all(f"{topic}.triggers")]
    assert [event["count"] for event in events] == [3 * EVERY, 4 * EVERY]
