"""Brokers for the tests: the embedded one always, a real Apache Kafka where this machine has one.

`--kafka HOST:PORT` uses a broker that runs already. Topic names carry a suffix of their own, so
tests can share the real broker.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from benchmarks import kafka_client
from benchmarks.kafka_client import Record, Send
from benchmarks.kafka_jars import KafkaUnavailableError
from benchmarks.kafka_server import RealKafka
from stream.testing import EmbeddedBroker
from tests.conftest import lacking
from tests.e2e.service import ember


@dataclass
class Broker:
    """A broker under test.

    `embedded` is there on the embedded one (faults), `server` on a real one that these tests
    started themselves (kill, restart); with `--kafka` both are None.
    """

    bootstrap: str
    embedded: EmbeddedBroker | None = None
    server: RealKafka | None = None
    suffix: str = field(default_factory=lambda: uuid.uuid4().hex[:8])

    @property
    def real(self) -> bool:
        """Whether this is an Apache Kafka: transactions, compaction, admin API."""
        return self.embedded is None

    def name(self, stem: str) -> str:
        """A topic or group name that no other test uses."""
        return f"{stem}-{self.suffix}"

    def topic(self, stem: str, partitions: int, config: Mapping[str, str] | None = None) -> str:
        """Create the topic `name(stem)`; gives its name."""
        name = self.name(stem)
        self.create({name: partitions}, config)
        return name

    def create(self, topics: Mapping[str, int], config: Mapping[str, str] | None = None) -> None:
        """Create topics by their full names; the embedded broker has no topic settings."""
        if self.embedded is not None:
            self.embedded.create_topics(topics)
        else:
            kafka_client.create_topics(self.bootstrap, topics, config)

    def produce(self, topic: str, records: list[Send]) -> int:
        """Send in order, all acknowledged."""
        return kafka_client.produce(self.bootstrap, topic, records)

    def consume_all(self, topic: str, *, committed: bool = True) -> list[Record]:
        """Everything in a topic, by partition and offset."""
        return kafka_client.consume_all(self.bootstrap, topic, committed=committed)

    def read_changelog(self, topic: str) -> dict[tuple[int, bytes], bytes]:
        """(partition, key) -> last value of a compacted topic."""
        return kafka_client.read_changelog(self.bootstrap, topic)


@pytest.fixture(scope="session")
def _kafka(request: pytest.FixtureRequest) -> Iterator[tuple[str, RealKafka | None]]:
    given = request.config.getoption("--kafka")
    if given:
        yield str(given), None
        return
    server = RealKafka()
    try:
        server.start()
    except KafkaUnavailableError as error:
        lacking("kafka", str(error))
    with server:
        yield server.bootstrap, server


@pytest.fixture
def kafka(request: pytest.FixtureRequest) -> Broker:
    """A real Apache Kafka; skips, or fails under EMBER_REQUIRE=kafka, where there is none."""
    bootstrap, server = request.getfixturevalue("_kafka")
    return Broker(bootstrap, server=server)


@pytest.fixture
def embedded() -> Iterator[Broker]:
    """An embedded broker of the test's own."""
    with EmbeddedBroker() as broker:
        yield Broker(broker.bootstrap, embedded=broker)


@pytest.fixture(params=["embedded", pytest.param("real", marks=pytest.mark.kafka)])
def broker(request: pytest.FixtureRequest) -> Broker:
    """What the embedded broker can do is tested on both."""
    found = request.getfixturevalue("embedded" if request.param == "embedded" else "kafka")
    assert isinstance(found, Broker)
    return found


@pytest.fixture(scope="session")
def fleet_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a small model of the simulated fleet."""
    folder = tmp_path_factory.mktemp("fleet")
    ember("simulate", "--history", "h.csv", "--rows", "300", "--keys", "13", cwd=folder)
    read = ("--time", "ts", "--key", "key", "--epochs", "1")
    ember("train", "h.csv", *read, "--out", "model", cwd=folder)
    return folder / "model"
