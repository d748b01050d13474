"""What may go wrong around a worker: one clear sentence or a wait, and nothing is lost."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from benchmarks import kafka_client
from benchmarks.kafka_client import Send
from tests.broker.conftest import Broker
from tests.broker.small_service import SmallService, body
from tests.broker.test_refusals import absorbed, grow, refusal
from tests.broker.test_worker import PARTITIONS, Bench
from tests.broker.workers import WorkerProcess, wait_committed


@pytest.mark.kafka
@pytest.mark.slow
def test_a_broker_that_goes_away_and_comes_back(kafka: Broker, tmp_path: Path) -> None:
    """The same process waits, and says so; nothing is lost or counted twice."""
    if kafka.server is None:
        pytest.skip("this broker is not ours to stop")
    bench = Bench(kafka, tmp_path, 60_000, snapshot_seconds=0.5, stuck_seconds=20.0)
    bench.feed(30_000)
    with bench.worker() as worker:
        worker.until(lambda: worker.absorbed() > 0)
        kafka.server.kill()
        worker.until(lambda: {"the broker", "the group"} & set(_waits(worker)))
        before = len(worker.said("phase", phase="running"))
        kafka.server.start()
        bench.feed()
        bench.finish(worker)
        worker.until(lambda: len(worker.said("phase", phase="running")) > before)
        worker.stop()


@pytest.mark.kafka
def test_a_changelog_with_other_partitions_is_refused(kafka: Broker, tmp_path: Path) -> None:
    bench = absorbed(kafka, tmp_path)
    grow(kafka.bootstrap, bench.changelog, PARTITIONS + 2)
    with bench.worker() as worker:
        sentence = refusal(worker)
    assert "does not fit its input topic" in sentence
    assert f"Expected {PARTITIONS} partitions" in sentence
    assert "ember state rebase" in sentence


@pytest.mark.kafka
def test_a_changelog_deleted_in_mid_stream_is_not_taken_for_an_empty_one(
    kafka: Broker, tmp_path: Path
) -> None:
    """Also where a copy of the state is on the disk: it belongs to another changelog."""
    bench = Bench(kafka, tmp_path, 6_000, snapshot_seconds=0.2)
    bench.feed(3_000)
    with bench.worker() as worker:
        wait_committed(worker, kafka, bench.changelog, 3_000)
        worker.until(lambda: list(tmp_path.glob("snapshots/*/*.snapshot")))
        kafka_client.delete_topics(kafka.bootstrap, [bench.changelog])
        worker.kill()
    bench.feed()
    with bench.worker() as worker:
        sentence = refusal(worker)
    assert "no state for it" in sentence
    assert "ember state rebase" in sentence


@pytest.mark.kafka
def test_a_changelog_made_again_in_mid_stream_is_not_taken_for_the_state(
    kafka: Broker, tmp_path: Path
) -> None:
    """A running worker's next checkpoint writes what has changed to it, and nothing else."""
    bench = Bench(kafka, tmp_path, 6_000)
    bench.feed(3_000)
    with bench.worker() as worker:
        wait_committed(worker, kafka, bench.changelog, 3_000)
        kafka_client.delete_topics(kafka.bootstrap, [bench.changelog])
        _create(kafka, bench.changelog)
        bench.feed(30)
        wait_committed(worker, kafka, bench.changelog, 3_030)
        worker.stop()
    with bench.worker() as worker:
        sentence = refusal(worker)
    assert "was deleted and made again, and the state in it is gone" in sentence
    assert "ember state rebase" in sentence


def _waits(worker: WorkerProcess) -> list[str]:
    """For whom it said that it waits."""
    return [said["detail"][:10].strip() for said in worker.said("phase", phase="waiting")]


def _create(kafka: Broker, changelog: str) -> None:
    """As soon as the broker has forgotten the topic of this name."""
    for _ in range(100):
        try:
            kafka.create({changelog: PARTITIONS}, {"cleanup.policy": "compact"})
        except Exception:
            time.sleep(0.1)
        else:
            return
    pytest.fail("the changelog was not made again")


@pytest.mark.kafka
@pytest.mark.slow
def test_a_log_truncated_in_mid_stream_is_not_read_past(kafka: Broker, tmp_path: Path) -> None:
    """What an unclean election of a leader leaves; its new records have offsets absorbed before."""
    if kafka.server is None:
        pytest.skip("this broker is not ours to stop")
    bench = Bench(kafka, tmp_path, 9_000, stuck_seconds=8.0)
    bench.feed(6_000)
    with bench.worker() as worker:
        wait_committed(worker, kafka, bench.changelog, 6_000)
        kafka.server.kill()
        kafka.server.empty([f"{bench.topic}-{number}" for number in range(PARTITIONS)])
        kafka.server.start()
        bench.feed(1_500)
        assert worker.wait(90) == 1, worker.tail()
        assert "it was truncated" in worker.tail()
    with bench.worker() as worker:
        assert "it was truncated" in refusal(worker)


@pytest.mark.broker
def test_a_damaged_row_costs_its_key_only(broker: Broker, tmp_path: Path) -> None:
    """It is named and warms up anew; the rows of all others stay bit for bit."""
    service = SmallService(broker, tmp_path, 2)
    names = [b"machine-%d" % number for number in range(7)]
    service.run(
        [Send(n, body(row), partition=i % 2) for row in (0, 1) for i, n in enumerate(names)]
    )
    before = service.rows()
    broker.produce(service.changelog, [Send(names[3], before[names[3]][1][:100], partition=1)])
    said = service.run([Send(names[3], body(2), partition=1)])
    assert "state of key 'machine-3' is damaged and starts anew" in said
    after = service.rows()
    assert {name for name in names if after[name] != before[name]} == {names[3]}
    assert len(after[names[3]][1]) == len(before[names[3]][1])
    assert service.counts() == {"warming": 15}


@pytest.mark.kafka
def test_rows_larger_than_the_broker_allows_are_named(kafka: Broker, tmp_path: Path) -> None:
    bench = Bench(kafka, tmp_path, 3_000, row_padding=2_000)
    limited = {"max.message.bytes": "20000", "cleanup.policy": "compact"}
    kafka.create({bench.changelog: PARTITIONS}, limited)
    bench.feed()
    with bench.worker() as worker:
        sentence = refusal(worker)
    assert "as too large" in sentence
    assert "max.message.bytes" in sentence
    assert bench.changelog in sentence
    allow(kafka.bootstrap, bench.changelog, 1_048_588)
    with bench.worker() as worker:
        bench.finish(worker)
        worker.stop()


@pytest.mark.broker
def test_a_clock_set_back_an_hour_changes_nothing(embedded: Broker, tmp_path: Path) -> None:
    bench = Bench(embedded, tmp_path, 10_000)
    bench.feed(5_000)
    with bench.worker() as worker:
        wait_committed(worker, embedded, bench.changelog, 5_000)
        worker.signal(signal.SIGUSR1)
        worker.until(lambda: worker.said("clock set back"))
        bench.feed()
        assert bench.finish(worker)["duplicates"] == 0
        worker.stop()


def allow(bootstrap: str, topic: str, size: int) -> None:
    """Let a topic take messages of this size."""
    from confluent_kafka.admin import (
        AdminClient,
        AlterConfigOpType,
        ConfigEntry,
        ConfigResource,
        ResourceType,
    )

    entry = ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    for done in admin.incremental_alter_configs([resource]).values():
        done.result(20)
