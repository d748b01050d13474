"""Keyless topics through the service: re-keyed, killed, shared, and equal to a backtest."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.kafka_client import Record, Send
from stream.configure import load_model
from stream.rekeying import Source, source_of
from stream.settings import Settings
from tests.broker.conftest import Broker
from tests.e2e.service import Service
from tests.prove import truth

META = b"\x00ember.meta"
HOSTS, ROWS, SOURCES, PARTITIONS = 12, 60, 4, 3
CHANNELS = ("cpu", "load", "memory")
BEGIN = 1_767_225_600


class Site:
    """A keyless topic, and the service that re-keys it.

    Args:
        broker: Broker under test.
        folder: Folder for settings and files.
        model: Folder of the bundle.
        topics: Stems of the input topics.
        transactions: Use of transactions.
    """

    def __init__(
        self,
        broker: Broker,
        folder: Path,
        model: Path,
        topics: Sequence[str] = ("telemetry",),
        transactions: str = "auto",
    ) -> None:
        self.broker, self.folder = broker, folder
        self.topics, self.group = [broker.name(stem) for stem in topics], broker.name("group")
        self.topic = self.topics[0]
        self.stream = self.topic if len(topics) == 1 else self.group
        self.rekeyed = f"{self.group}-rekey"
        self.changelog = f"{self.group}-state-{self.rekeyed}-changelog"
        broker.create(dict.fromkeys(self.topics, SOURCES))
        if not broker.real:
            kinds = ("anomalies", "triggers", "dead-letters")
            names = {*self.topics, self.stream}
            broker.create({f"{name}.{kind}": 1 for kind in kinds for name in names})
            broker.create({self.rekeyed: PARTITIONS, self.changelog: PARTITIONS})
        self.config = folder / "ember.toml"
        self.config.write_text(
            f'[kafka]\nbootstrap_servers = "{broker.bootstrap}"\ngroup = "{self.group}"\n'
            "session_timeout_seconds = 6\n"
            f'[input]\ntopics = {json.dumps(self.topics)}\nstart = "earliest"\nkey = "host"\n'
            f'rekey = true\nrekey_partitions = {PARTITIONS}\n[model]\npath = "{model}"\n'
            f'[checkpoint]\ninterval_seconds = 0.3\ntransactions = "{transactions}"\n'
            "[state]\nmax_keys = 100\nstandby_replicas = 0\n[http]\nport = 0\n"
        )
        self.sent = 0

    def service(self, name: str) -> Service:
        folder = self.folder / name
        folder.mkdir()
        return Service(folder, self.config, embedded=not self.broker.real)

    def send(self, begin: int, end: int) -> None:
        """Rows of all hosts; those of a host go to one partition after the other."""
        sends = [
            Send(None, self._record(host, row), 0, (host + row) % SOURCES)
            for row in range(begin, end)
            for host in range(HOSTS)
        ]
        self.sent += self.broker.produce(self.topic, sends)

    @staticmethod
    def _record(host: int, row: int) -> bytes:
        values = {name: 0.1 * ((host + row * number) % 7) for number, name in enumerate(CHANNELS)}
        record = {"ts": BEGIN + 10 * row, "host": f"host-{host}", "values": values}
        return json.dumps(record).encode()

    def metas(self) -> dict[int, Any]:
        changelog = self.broker.read_changelog(self.changelog)
        return {p: json.loads(value) for (p, key), value in changelog.items() if key == META}

    def absorbed(self) -> int:
        """Messages absorbed once, by the counts in the changelog."""
        counts: dict[str, int] = defaultdict(int)
        for meta in self.metas().values():
            for outcome, number in meta["counts"].items():
                counts[outcome] += number
        counts.pop("absent", None)
        counts.pop("duplicate", None)
        return sum(counts.values())

    def log(self) -> list[Record]:
        return self.broker.consume_all(self.rekeyed)

    def equals_backtest(self) -> None:
        """Rows in the changelog, and counts, are those of a backtest of the re-keyed log."""
        settings = Settings.load(self.config)
        expected = truth.of(self.log(), self.rekeyed, settings, load_model(settings))
        changelog = self.broker.read_changelog(self.changelog)
        rows = {at: row for at, row in changelog.items() if at[1] != META}
        assert rows == expected.rows
        assert len({key for _, key in rows}) == len(rows) == HOSTS
        for partition, meta in self.metas().items():
            assert meta["counts"] == expected.metas[partition]["counts"]
            assert meta.get("sequences") == expected.metas[partition].get("sequences")


def sources_of(log: list[Record]) -> list[Source]:
    sources = [source_of(record.headers) for record in log]
    assert None not in sources
    return [source for source in sources if source is not None]


def tend(what: str, holds: Callable[[], bool], *services: Service, seconds: float = 120) -> None:
    """Wait for a condition as a supervisor does: a worker that has ended is started again."""
    end = time.monotonic() + seconds
    while not holds():
        for service in services:
            if not service.alive():
                service.start()
        tails = "\n".join(service.log.read_text()[-3000:] for service in services)
        assert time.monotonic() < end, f"{what} did not come.\n{tails}"
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.broker
def test_a_keyless_topic_is_scored_as_if_it_had_keys(
    broker: Broker, tmp_path: Path, small_model: Path
) -> None:
    """Kills and a second worker: every record is absorbed once, in the order of its key."""
    _disturb(Site(broker, tmp_path, small_model), exactly_once=broker.real)


@pytest.mark.slow
def test_without_transactions_duplicates_are_discarded(
    kafka: Broker, tmp_path: Path, small_model: Path
) -> None:
    _disturb(Site(kafka, tmp_path, small_model, transactions="off"), exactly_once=False)


def _disturb(site: Site, *, exactly_once: bool) -> None:
    first, second = site.service("first"), site.service("second")
    with first, second:
        for part in range(4):
            site.send(part * ROWS // 4, (part + 1) * ROWS // 4)
            if part < 2:
                tend("something absorbed", lambda: site.absorbed() > 0, first, second)
                first.kill()
                first.start()
        tend("all rows", lambda: site.absorbed() == HOSTS * ROWS, first, second)
    sources = sources_of(site.log())
    assert len(set(sources)) == HOSTS * ROWS
    if exactly_once:
        assert len(sources) == len(set(sources))
    site.equals_backtest()


@pytest.mark.slow
@pytest.mark.broker
def test_topics_are_joined_into_one_row_of_each_key(
    broker: Broker, tmp_path: Path, small_model: Path
) -> None:
    """Each topic has other channels; an orderly stop leaves all of it absorbed."""
    site = Site(broker, tmp_path, small_model, topics=("cpu", "memory"))
    config = site.config.read_text()
    window = '[window]\nmode = "time"\ninterval_seconds = 10\nallowed_lateness_seconds = 60\n'
    site.config.write_text(config + window)
    for topic, names in zip(site.topics, (("cpu", "load"), ("memory",)), strict=True):
        sends = []
        for row in range(ROWS):
            second = BEGIN + 10 * row
            values = {name: float(row % 5) for name in names}
            record = {"ts": second, "host": "a", "values": values}
            sends.append(Send(None, json.dumps(record).encode(), 1000 * second, row % SOURCES))
        broker.produce(topic, sends)
    broker.produce(site.topics[1], [Send(None, b"{")])
    with site.service("one") as service:
        tend("all records", lambda: site.absorbed() == 2 * ROWS, service)
        assert service.stop() == 0
    sources = sources_of(site.log())
    assert {source.topic for source in sources} == set(site.topics)
    keys = [key for _, key in broker.read_changelog(site.changelog) if key != META]
    assert keys == [b"a"]
    counts = next(meta["counts"] for meta in site.metas().values() if meta["absorbed"] >= 0)
    assert counts.get("late", 0) == 0
    letters = broker.consume_all(f"{site.topics[1]}.dead-letters")
    assert [letter.value for letter in letters] == [b"{"]
    assert dict(letters[0].headers)["__connect.errors.topic"] == site.topics[1].encode()
