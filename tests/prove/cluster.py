"""Workers as a supervisor runs them, one input topic, and a producer beside: what is disturbed."""

from __future__ import annotations

import json
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException

from benchmarks import kafka_client
from benchmarks.kafka_client import Send
from benchmarks.kafka_server import RealKafka
from stream.kafka.config import changelog_topic
from stream.kafka.supervision.topics import REKEYED_CONFIG
from stream.rekeying import rekey_group, rekey_topic
from tests.e2e.service import Service

from .frame import Refuted

TOPIC = "telemetry"
GROUP = "ember"
KINDS = {"anomaly": f"{TOPIC}.anomalies", "trigger": f"{TOPIC}.triggers"}
_REKEY = 'key = "key"\nrekey = true\nrekey_retention = "36500d"\n'
"""All of the re-keyed log stays: it is what the service is compared with."""
EAGER_CLEANER = {
    "cleanup.policy": "compact",
    "segment.bytes": "1048576",
    "segment.ms": "1000",
    "min.cleanable.dirty.ratio": "0",
    "min.compaction.lag.ms": "0",
    "max.compaction.lag.ms": "1000",
    "delete.retention.ms": "15000",
}
"""Small segments, and a cleaner that never finds a log clean enough.

Tombstones and markers go after the time that also bounds the age of the copies of the state on
disk, so that a restart reads sometimes a copy and sometimes the whole log.
"""


class Supervised:
    """One worker that is started again whenever it has ended by itself.

    Args:
        folder: For its files; its log is kept there.
        config: The settings.
    """

    def __init__(self, folder: Path, config: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.service = Service(folder, config)
        self.restarts = 0

    def start(self) -> Supervised:
        self.service.start()
        return self

    def tend(self) -> None:
        """Start it again if it has ended."""
        if not self.service.alive():
            self.restarts += 1
            self.service.start()

    def signal(self, number: signal.Signals) -> None:
        assert self.service.process is not None
        self.service.process.send_signal(number)

    def kill(self) -> None:
        self.service.kill()

    def stop(self) -> None:
        """SIGTERM; the end must be an orderly one.

        Raises:
            Refuted: If it is not.
        """
        code = self.service.stop()
        if code:
            raise Refuted(f"A worker ended with {code} on SIGTERM.\n{self.tail()}")

    def said(self, text: str) -> int:
        """How often something stands in its log."""
        return self.service.log.read_text(errors="replace").count(text)

    def tail(self) -> str:
        return self.service.log.read_text(errors="replace")[-3000:]


class Cluster:
    """Broker, topics, producer and workers.

    Args:
        kafka: The broker.
        folder: For everybody's files.
        model: Folder of the bundle.
        partitions: Of the input.
        rekeyed: Partitions of the topic that the input is re-keyed to; 0: it is read as it is.
        control: Rules of operators are followed.
        checkpoint: Keys of the section `[checkpoint]`.
    """

    def __init__(
        self,
        kafka: RealKafka,
        folder: Path,
        model: Path,
        partitions: int,
        rekeyed: int = 0,
        *,
        control: bool = False,
        compiled: bool | None = False,
        **checkpoint: Any,
    ) -> None:
        self.kafka, self.folder = kafka, folder
        self.rekeyed = rekeyed
        self.engine_topic = rekey_topic(GROUP) if rekeyed else TOPIC
        self.changelog = changelog_topic(GROUP, self.engine_topic)
        self.config = folder / "ember.toml"
        section = "".join(f"{k} = {json.dumps(v)}\n" for k, v in checkpoint.items())
        # A release before may not know the setting.
        stages = "" if compiled is None else f'compiled = "{"auto" if compiled else "off"}"\n'
        self.config.write_text(
            f'[kafka]\nbootstrap_servers = "{kafka.bootstrap}"\ngroup = "{GROUP}"\n'
            "session_timeout_seconds = 6\n"
            f'[input]\ntopics = ["{TOPIC}"]\nstart = "earliest"\n'
            f'{_REKEY if rekeyed else ""}[model]\npath = "{model}"\n'
            f"{stages}"
            f"[checkpoint]\n{section}[control]\nenabled = {json.dumps(control)}\n"
            "[state]\nmax_keys = 100000\nstandby_replicas = 1\n"
            "snapshot_interval_seconds = 5\n[http]\nport = 0\n"
        )
        kafka_client.create_topics(kafka.bootstrap, {TOPIC: partitions})
        if rekeyed:
            topic = {self.engine_topic: rekeyed}
            kafka_client.create_topics(kafka.bootstrap, topic, REKEYED_CONFIG)
        changelog = {self.changelog: rekeyed or partitions}
        kafka_client.create_topics(kafka.bootstrap, changelog, EAGER_CLEANER)
        self.workers: list[Supervised] = []
        self.everyone: list[Supervised] = []  # also those dismissed
        self.sent = 0
        self._feeding: threading.Thread | None = None
        self._failed: BaseException | None = None

    def worker(self, name: str, code: Path | None = None) -> Supervised:
        """A worker, started; of another release where its code is given."""
        worker = Supervised(self.folder / name, self.config)
        worker.service.code = code or worker.service.code
        worker.start()
        self.workers.append(worker)
        self.everyone.append(worker)
        return worker

    def dismiss(self, worker: Supervised) -> None:
        """It is nobody's any more: not started again."""
        self.workers.remove(worker)

    # -- the producer

    def feed(self, sends: Iterator[Send], count: int, per_second: float) -> None:
        """Send the next records beside everything else, at a steady rate."""
        self.fed()
        taken = list(islice(sends, count))
        self.sent += len(taken)

        def go() -> None:
            try:
                for begin in range(0, len(taken), 500):
                    due = time.monotonic() + 500 / per_second
                    kafka_client.produce(
                        self.kafka.bootstrap,
                        TOPIC,
                        taken[begin : begin + 500],
                        **{"enable.idempotence": True},
                    )
                    time.sleep(max(0.0, due - time.monotonic()))
            except BaseException as error:
                self._failed = error

        self._feeding = threading.Thread(target=go, daemon=True)
        self._feeding.start()

    def fed(self) -> None:
        """Wait until all is sent."""
        if self._feeding is not None:
            self._feeding.join()
            self._feeding = None
        if self._failed is not None:
            raise self._failed

    # -- what has become of it

    def committed(self) -> int:
        """Messages the group has committed; asked again while the broker comes back."""
        deadline = time.monotonic() + 60
        while True:
            try:
                topic = self.engine_topic
                offsets = kafka_client.committed_offsets(self.kafka.bootstrap, GROUP, topic)
                return sum(offset or 0 for offset in offsets)
            except KafkaException:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def until(self, what: str, holds: Callable[[], Any], seconds: float = 120.0) -> Any:
        """Wait for something, as a supervisor does: who has ended is started again.

        Raises:
            Refuted: If it does not come.
        """
        deadline = time.monotonic() + seconds
        while not (found := holds()):
            for worker in self.workers:
                worker.tend()
            if time.monotonic() > deadline:
                tails = "\n".join(f"{w.folder.name}: {w.tail()}" for w in self.workers)
                raise Refuted(f"{what} did not come within {seconds:.0f} s.\n{tails}")
            time.sleep(0.1)
        return found

    def goes_on(self, least: int = 1) -> None:
        """Wait until the group commits more than it had."""
        before = self.committed()
        self.until("progress", lambda: self.committed() >= before + least)

    def caught_up(self) -> None:
        """Wait until everything sent is committed."""
        self.fed()
        last = sum(kafka_client.end_offsets(self.kafka.bootstrap, TOPIC))
        if self.rekeyed:
            self.until("the end of re-keying", lambda: self._rekeyed() >= last, 240.0)
            # The last offsets of a partition may be markers, which nobody absorbs.
            ends: dict[int, int] = {}
            for record in kafka_client.consume_all(self.kafka.bootstrap, self.engine_topic):
                ends[record.partition] = record.offset + 1
            last = sum(ends.values())
        self.until("the end of the input", lambda: self.committed() >= last, 240.0)

    def _rekeyed(self) -> int:
        group = rekey_group(GROUP)
        offsets = kafka_client.committed_offsets(self.kafka.bootstrap, group, TOPIC)
        return sum(offset or 0 for offset in offsets)

    def changelog_records(self) -> set[tuple[int, int]]:
        """Partition and offset of what is in the changelog now: the cleaner takes some away."""
        found = kafka_client.consume_all(self.kafka.bootstrap, self.changelog)
        return {(record.partition, record.offset) for record in found}


def a_moment(rng: random.Random, longest: float) -> None:
    """Wait for a random time."""
    time.sleep(rng.uniform(0.0, longest))
