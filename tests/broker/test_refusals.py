"""Starts that must not happen: one sentence with the fix, and nothing is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import kafka_client
from stream.cli.options import InputTopicOptions
from stream.cli.state import rebase, reset
from stream.errors import UserError
from tests.broker.conftest import Broker
from tests.broker.counting import META_KEY, read_row
from tests.broker.test_worker import Bench
from tests.broker.workers import WorkerProcess, expected, wait_committed

pytestmark = pytest.mark.kafka


def refusal(worker: WorkerProcess) -> str:
    """Why it ended."""
    assert worker.wait(40) == 1, worker.tail()
    said = worker.said("phase", phase="failed") or worker.said("refused")
    return str(said[-1].get("detail") or said[-1].get("sentence"))


def absorbed(kafka: Broker, directory: Path) -> Bench:
    """A group that has absorbed a topic and stopped."""
    bench = Bench(kafka, directory, 6_000)
    bench.feed(4_000)
    with bench.worker() as worker:
        wait_committed(worker, kafka, bench.changelog, 4_000)
        worker.stop()
    return bench


def test_a_topic_made_again_is_refused(kafka: Broker, tmp_path: Path) -> None:
    bench = absorbed(kafka, tmp_path)
    kafka_client.delete_topics(kafka.bootstrap, [bench.topic])
    kafka.create({bench.topic: 3})
    with bench.worker() as worker:
        sentence = refusal(worker)
    assert "another topic of this name" in sentence
    assert "ember state rebase" in sentence


def test_after_a_rebase_a_topic_made_again_is_read_and_nothing_is_forgotten(
    kafka: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = absorbed(kafka, tmp_path)
    monkeypatch.chdir(tmp_path)  # no ember.toml here
    monkeypatch.setenv("EMBER_KAFKA__GROUP", bench.group)
    monkeypatch.setenv("EMBER_KAFKA__SESSION_TIMEOUT_SECONDS", "6")
    kafka_client.delete_topics(kafka.bootstrap, [bench.topic])
    kafka.create({bench.topic: 3})
    bench.feed(2_000)
    with bench.worker() as worker:
        assert "ember state rebase" in refusal(worker)
    source = InputTopicOptions(topic=bench.topic, bootstrap_servers=kafka.bootstrap)
    rebase(yes=True, source=source)
    with bench.worker() as worker:
        wait_committed(worker, kafka, bench.changelog, 2_000)
        with pytest.raises(UserError, match="are running"):
            reset(["key-00001"], yes=True, source=source)
        worker.stop()
    rows = kafka.read_changelog(bench.changelog)
    found = {key: read_row(row)[1:] for (_, key), row in rows.items() if key != META_KEY}
    state, _ = expected(bench.records)  # of both topics, one after the other
    assert found == state


def test_more_partitions_are_refused(kafka: Broker, tmp_path: Path) -> None:
    bench = absorbed(kafka, tmp_path)
    grow(kafka.bootstrap, bench.topic, 5)
    with bench.worker() as worker:
        sentence = refusal(worker)
    assert "partitions" in sentence
    assert "ember state rebase" in sentence


def test_a_group_moved_by_hand_is_refused(kafka: Broker, tmp_path: Path) -> None:
    bench = absorbed(kafka, tmp_path)
    move(kafka.bootstrap, bench.group, bench.topic, 0, 17)
    with bench.worker() as worker:
        sentence = refusal(worker)
    assert "moved by hand" in sentence
    assert "committed=17" in sentence


def test_a_lost_changelog_is_refused(kafka: Broker, tmp_path: Path) -> None:
    bench = absorbed(kafka, tmp_path)
    kafka_client.delete_topics(kafka.bootstrap, [bench.changelog])
    with bench.worker() as worker:
        sentence = refusal(worker)
    assert "no state for it" in sentence


def test_a_missing_input_topic_is_waited_for(kafka: Broker, tmp_path: Path) -> None:
    topic = kafka.name("later")
    with WorkerProcess(kafka, topic, kafka.name("g"), tmp_path) as worker:
        worker.until(lambda: worker.said("phase", phase="waiting"))
        assert "does not exist yet" in worker.said("phase", phase="waiting")[0]["detail"]
        kafka.create({topic: 2})
        worker.running().stop()


def test_a_missing_broker_is_waited_for(tmp_path: Path) -> None:
    nobody = Broker("127.0.0.1:1")
    with WorkerProcess(nobody, "in", "g", tmp_path) as worker:
        worker.until(lambda: worker.said("phase", phase="waiting"))
        assert "no broker answers" in worker.said("phase", phase="waiting")[0]["detail"]
        worker.stop()


def grow(bootstrap: str, topic: str, partitions: int) -> None:
    """Add partitions to a topic."""
    from confluent_kafka.admin import AdminClient, NewPartitions

    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    for done in admin.create_partitions([NewPartitions(topic, partitions)]).values():
        done.result(20)


def move(bootstrap: str, group: str, topic: str, partition: int, offset: int) -> None:
    """Set a group's offset, as an operator would."""
    from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    wanted = [ConsumerGroupTopicPartitions(group, [TopicPartition(topic, partition, offset)])]
    for done in admin.alter_consumer_group_offsets(wanted).values():
        done.result(20)
