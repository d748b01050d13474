"""Scores on a broker to a store of series: at least once, and with the past after a restart."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import pytest
from confluent_kafka import KafkaException

from benchmarks import kafka_client
from benchmarks.kafka_client import Send
from stream.bridge import RESULTS
from stream.errors import UserError
from stream.observe import BridgeHealth, RemoteWriteMetrics
from stream.remote_write import OUTCOMES, READ, RemoteWriter
from stream.scores import encode
from stream.settings import Settings
from tests.broker.conftest import Broker
from tests.broker.test_bridge import until
from tests.stream.bridge.fakes import trigger
from tests.stream.remote_write.running import value_of, writing
from tests.stream.remote_write.scored import SECOND_US, FakeStore, scored, store
from tests.stream.remote_write.test_selection import iso

pytestmark = pytest.mark.broker

PARTITIONS = 3
MINUTE_US = 60 * SECOND_US
_SESSION_SECONDS = 5.0
"""Longer than the 3 s between two heartbeats of librdkafka."""
FIRST_US = 1_764_000_000 * SECOND_US


class Stage:
    """Topics of scores and triggers, and how they are to be written."""

    def __init__(self, broker: Broker, server: FakeStore, **own: Any) -> None:
        self.broker, self.server = broker, server
        self.input = broker.name("telemetry")
        self.settings = Settings.load(
            kafka={"bootstrap_servers": broker.bootstrap, "group": broker.name("ember")},
            input={"topics": self.input},
            output={"scores": "all"},
            remote_write={
                "url": server.url,
                "keys": "db-*",
                "before_seconds": 600,
                **own,
            },
        )
        if not broker.real:  # shorter than settings allow; a restart waits out the session there
            kafka = self.settings.kafka.model_copy(
                update={"session_timeout_seconds": _SESSION_SECONDS}
            )
            self.settings = self.settings.model_copy(update={"kafka": kafka})
        broker.create({f"{self.input}.{kind}": PARTITIONS for kind in ("scores", "triggers")})
        self.metrics = RemoteWriteMetrics(READ, OUTCOMES, RESULTS, process=False)
        self.health = BridgeHealth(time.monotonic(), accepts="accepts samples")

    def rows(self, minutes: Sequence[int], keys: Sequence[bytes], partition: int = 0) -> None:
        batches = [
            scored(
                keys,
                [FIRST_US + minute * MINUTE_US] * len(keys),
                topic="telemetry",
                partition=partition,
            )
            for minute in minutes
        ]
        records = [Send(None, encode(batch), partition=partition) for batch in batches]
        self.broker.produce(f"{self.input}.scores", records)

    def fires(self, key: str, minute: int, partition: int = 0, **how: Any) -> None:
        body = trigger(key, starts=iso(60 * minute), **how)
        self.broker.produce(
            f"{self.input}.triggers", [Send(key.encode(), body, partition=partition)]
        )

    def running(self) -> AbstractContextManager[None]:
        return writing(self.settings, self.metrics, self.health)

    def minutes(self, key: str) -> list[float]:
        """Minutes of the rows of a key; where a slow machine loses the session, some come twice."""
        points = self.server.series("ember_value", key, channel="cpu")
        return sorted({(time_ms * 1_000 - FIRST_US) / MINUTE_US for time_ms, _ in points})

    def committed(self) -> list[int | None]:
        group = f"{self.settings.kafka.group}-remote-write"
        try:
            return kafka_client.committed_offsets(
                self.broker.bootstrap, group, f"{self.input}.scores"
            )
        except KafkaException:  # a new cluster has no coordinator of the group yet
            return [None]

    def value(self, name: str) -> float:
        return value_of(self.metrics, name)


@pytest.fixture
def server() -> Iterator[FakeStore]:
    with store() as found:
        yield found


def test_keys_of_a_pattern_and_of_an_alert_are_written(broker: Broker, server: FakeStore) -> None:
    stage = Stage(broker, server)
    stage.rows(range(30), [b"db-1", b"host-1"], partition=0)
    stage.rows(range(30), [b"host-2"], partition=2)
    with stage.running():
        until("the pattern's key", lambda: len(stage.minutes("db-1")) == 30)
        assert server.keys() == {"db-1"}
        stage.fires("host-1", 25)
        stage.rows([30, 31], [b"db-1", b"host-1"])
        until("the alert's key", lambda: 31 in stage.minutes("host-1"))
        until("the commit", lambda: (stage.committed()[0] or 0) == 32)
    assert stage.minutes("host-1") == list(range(15, 32))
    assert stage.minutes("db-1") == list(range(32))
    assert server.keys() == {"db-1", "host-1"}
    assert stage.value("ember_remote_write_firing_keys") == 1
    assert stage.value('ember_remote_write_records_total{outcome="firing"}') >= 1


def test_a_restart_sends_nothing_again_and_knows_the_past(
    broker: Broker, server: FakeStore
) -> None:
    stage = Stage(broker, server)
    stage.fires("host-1", 5)
    stage.rows(range(20), [b"db-1", b"host-1", b"host-2"])
    with stage.running():
        until("the commit", lambda: (stage.committed()[0] or 0) == 20)
    assert stage.minutes("host-1") == stage.minutes("db-1") == list(range(20))
    server.points.clear()
    stage.rows([20], [b"db-1", b"host-1", b"host-2"])
    with stage.running():
        until("what came meanwhile", lambda: 20 in stage.minutes("db-1"))
        stage.fires("host-2", 20)
        until("the new alert", lambda: 20 in stage.minutes("host-2"))
        until("the old one's", lambda: 20 in stage.minutes("host-1"))
    assert stage.minutes("host-1") == stage.minutes("db-1") == [20]
    assert stage.minutes("host-2") == list(range(10, 21))


def test_an_outage_of_the_store_loses_nothing(broker: Broker, server: FakeStore) -> None:
    """What was not accepted is not committed: a kill amid the outage changes nothing."""
    stage = Stage(broker, server)
    server.status, server.fault = 503, "not now"
    stage.rows(range(7), [b"db-1"])

    def trouble() -> str:
        checks = stage.health.ready(time.monotonic()).checks
        return next(check.detail for check in checks if check.name == "receiver")

    with stage.running():
        until("the outage", lambda: "503" in trouble())
        assert stage.value("ember_remote_write_waiting_samples") > 0
    assert not any(stage.committed())
    server.status = 204
    with stage.running():
        stage.rows([7], [b"db-1"])
        until("everything", lambda: stage.minutes("db-1") == list(range(8)))
    assert trouble() == "accepts samples"


def test_records_that_are_no_scores_are_counted(broker: Broker, server: FakeStore) -> None:
    stage = Stage(broker, server)
    broker.produce(f"{stage.input}.scores", [Send(None, b"what is this", partition=0)])
    broker.produce(f"{stage.input}.triggers", [Send(b"x", b"nor this", partition=0)])
    stage.rows([0], [b"db-1"])
    with stage.running():
        until("the row after them", lambda: stage.minutes("db-1") == [0])
        until("the commit", lambda: (stage.committed()[0] or 0) == 2)
    assert stage.value('ember_remote_write_records_total{outcome="invalid"}') == 2


def test_without_scores_it_does_not_start() -> None:
    metrics = RemoteWriteMetrics(READ, OUTCOMES, RESULTS, process=False)
    with pytest.raises(UserError, match=r"output.scores"):
        RemoteWriter(Settings(), metrics, BridgeHealth(0.0))
