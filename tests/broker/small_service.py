"""`ember run` with a small model on a broker: what its changelog says after some records."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from benchmarks.kafka_client import Send
from stream.engine import META_KEY
from tests.broker.conftest import Broker
from tests.e2e.service import Service, wait_until
from tests.stream.report import small

_START = 1_700_000_000


def body(row: int) -> bytes:
    """A record of any key, by its place in time."""
    values = dict.fromkeys(small.CHANNELS, 5.0)
    return json.dumps({"ts": _START + 10 * row, "values": values}).encode()


class SmallService:
    """A topic, a group and the settings of a worker on them.

    Args:
        broker: Where.
        folder: For settings, model and log.
        partitions: Of the topic.
        config: Settings of the topic, on a real broker.
    """

    def __init__(
        self,
        broker: Broker,
        folder: Path,
        partitions: int,
        config: Mapping[str, str] | None = None,
    ) -> None:
        self.broker, self.folder = broker, folder
        small.model().save(folder / "model")
        self.topic, group = broker.topic("in", partitions, config), broker.name("g")
        self.config = folder / "ember.toml"
        self.config.write_text(
            f'[kafka]\nbootstrap_servers = "{broker.bootstrap}"\ngroup = "{group}"\n'
            f'[input]\ntopics = ["{self.topic}"]\nstart = "earliest"\n[model]\npath = "model"\n'
            "[checkpoint]\ninterval_seconds = 0.3\n[http]\nport = 0\n"
            "[state]\nstandby_replicas = 0\nsnapshot_interval_seconds = 0\n"
        )
        self.changelog = f"{group}-state-{self.topic}-changelog"
        if not broker.real:
            outputs = [f"{self.topic}.{kind}" for kind in ("anomalies", "triggers", "dead-letters")]
            broker.create(dict.fromkeys([self.changelog, *outputs], partitions))

    def counts(self) -> dict[str, int]:
        """What became of all messages so far."""
        total: dict[str, int] = {}
        for (_, key), row in self.broker.read_changelog(self.changelog).items():
            if key == META_KEY:
                for outcome, number in json.loads(row)["counts"].items():
                    total[outcome] = total.get(outcome, 0) + number
        return total

    def rows(self) -> dict[bytes, tuple[int, bytes]]:
        """Partition and row of every key; none may have two."""
        found: dict[bytes, tuple[int, bytes]] = {}
        for (partition, key), row in self.broker.read_changelog(self.changelog).items():
            if key != META_KEY:
                assert key not in found
                found[key] = partition, row
        return found

    def run(self, sends: list[Send], sent_by_others: int = 0) -> str:
        """One life of a worker, in which it absorbs these records; gives what it logged."""
        log = self.folder / "worker.log"
        said = log.stat().st_size if log.exists() else 0
        expected = sum(self.counts().values()) + len(sends) + sent_by_others
        self.broker.produce(self.topic, sends)
        with Service(self.folder, self.config, embedded=not self.broker.real) as service:
            wait_until("all of it", lambda: sum(self.counts().values()) == expected, service)
            assert service.stop() == 0
        return log.read_text()[said:]
