"""The worker against brokers: plain run, kills, joins, zombies; state and events as in one run."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.broker.conftest import Broker
from tests.broker.workers import WorkerProcess, check, make_records, wait_committed

PARTITIONS = 3
KEYS = 211
GUARANTEES = ["at_least_once", "exactly_once"]


class Bench:
    """A topic, a group, and workers on them."""

    def __init__(self, broker: Broker, directory: Path, records: int, **options: Any) -> None:
        self.broker = broker
        self.directory = directory
        self.options = options
        self.group = broker.name("g")
        self.topic = broker.topic("in", PARTITIONS)
        self.changelog = f"{self.group}-state-{self.topic}-changelog"
        outputs = [f"{self.topic}.{kind}" for kind in ("anomalies", "triggers", "dead-letters")]
        if not broker.real:
            broker.create(dict.fromkeys([self.changelog, *outputs], PARTITIONS))
        self.records = make_records(records, KEYS, PARTITIONS)
        self.fed = 0

    def feed(self, count: int | None = None) -> None:
        end = len(self.records) if count is None else self.fed + count
        self.broker.produce(self.topic, self.records[self.fed : end])
        self.fed = end

    def worker(self, **options: Any) -> WorkerProcess:
        return WorkerProcess(
            self.broker, self.topic, self.group, self.directory, **{**self.options, **options}
        )

    def finish(self, worker: WorkerProcess) -> dict[str, int]:
        metas = wait_committed(worker, self.broker, self.changelog, self.fed)
        exactly_once = self.options.get("guarantee") == "exactly_once"
        return check(
            self.broker, self.group, self.topic, self.records, metas, exactly_once=exactly_once
        )


@pytest.mark.broker
def test_one_run_gives_state_events_and_dead_letters(broker: Broker, tmp_path: Path) -> None:
    bench = Bench(broker, tmp_path, 20_000, dead_letters_per_second=1_000_000)
    bench.feed()
    with bench.worker() as worker:
        assert bench.finish(worker)["duplicates"] == 0
        worker.stop()
    letters = broker.consume_all(f"{bench.topic}.dead-letters")
    refused = [r for r in bench.records if len(r.value or b"") != 8]
    assert sorted((r.key, r.value) for r in letters) == sorted((r.key, r.value) for r in refused)
    headers = dict(letters[0].headers)
    assert headers["__connect.errors.topic"] == bench.topic.encode()
    assert headers["ember.reason"] == b"not_json"


@pytest.mark.broker
def test_restart_goes_on_where_the_state_ends(broker: Broker, tmp_path: Path) -> None:
    bench = Bench(broker, tmp_path, 10_000)
    bench.feed(5_000)
    with bench.worker() as first:
        wait_committed(first, broker, bench.changelog, 5_000)
        first.stop()
    bench.feed()
    with bench.worker() as second:
        assert bench.finish(second)["duplicates"] == 0
        second.stop()


@pytest.mark.kafka
@pytest.mark.parametrize("guarantee", GUARANTEES)
def test_kills_leave_no_trace(kafka: Broker, tmp_path: Path, guarantee: str) -> None:
    bench = Bench(kafka, tmp_path, 200_000, guarantee=guarantee, interval_seconds=0.1)
    rng = random.Random(11)
    for _ in range(4):
        bench.feed(40_000)
        with bench.worker() as worker:
            worker.running()
            worker.until(lambda w=worker: w.absorbed() > 0)
            time.sleep(rng.random() * 0.4)
            worker.kill()
    bench.feed()
    with bench.worker() as worker:
        bench.finish(worker)
        worker.stop()


@pytest.mark.kafka
@pytest.mark.parametrize("guarantee", GUARANTEES)
def test_a_second_worker_joins_and_leaves(kafka: Broker, tmp_path: Path, guarantee: str) -> None:
    bench = Bench(kafka, tmp_path, 300_000, guarantee=guarantee)
    bench.feed(100_000)
    with bench.worker() as first, bench.worker() as second:
        first.running()
        second.until(lambda: second.said("assigned"))
        bench.feed(100_000)
        second.until(lambda: second.absorbed() > 0)
        second.stop()
        bench.feed()
        bench.finish(first)
        first.stop()


@pytest.mark.kafka
@pytest.mark.parametrize("guarantee", GUARANTEES)
def test_a_standby_takes_over_without_reading_again(
    kafka: Broker, tmp_path: Path, guarantee: str
) -> None:
    bench = Bench(kafka, tmp_path, 120_000, guarantee=guarantee, standby_replicas=1)
    bench.feed(60_000)
    with bench.worker() as first, bench.worker() as second:
        first.until(lambda: first.said("assigned") and second.said("assigned"))
        first.until(lambda: first.absorbed() + second.absorbed() > 0)
        time.sleep(1.5)
        first.kill()
        bench.feed()
        bench.finish(second)
        second.stop()


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.parametrize("guarantee", GUARANTEES)
def test_a_zombie_is_fenced(kafka: Broker, tmp_path: Path, guarantee: str) -> None:
    bench = Bench(kafka, tmp_path, 300_000, guarantee=guarantee, interval_seconds=0.1)
    bench.feed(100_000)
    with bench.worker() as zombie:
        zombie.running()
        bench.feed(100_000)
        zombie.until(lambda: zombie.absorbed() > 0)
        zombie.signal(signal.SIGSTOP)
        with bench.worker() as heir:
            heir.running()
            bench.feed()
            wait_committed(heir, kafka, bench.changelog, 200_000)
            zombie.signal(signal.SIGCONT)
            assert zombie.wait(30) == 1, zombie.tail()
            assert "fenced" in zombie.said("phase", phase="failed")[0]["detail"]
            bench.finish(heir)
            heir.stop()
