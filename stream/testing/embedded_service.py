"""The service on an embedded broker, for tests of its settings, codec, model and alerts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from .embedded_broker import EmbeddedBroker
from .events import Event, open_consumer, read_events

if TYPE_CHECKING:
    from ember_core.pipeline import FleetModel

Output = Literal["anomalies", "triggers", "dead_letters", "scores"]

_POLL_SECONDS = 0.1
_STOP_SECONDS = 30.0
_LOG_TAIL_BYTES = 3_000


class ServiceError(RuntimeError):
    """The service ended, or did not publish in time; the message has the end of its log."""


class EmbeddedService:
    """The service, as `ember run` starts it, on an embedded broker of its own.

    The worker is a process of its own and stops with the `with` block. It stores its state every
    0.2 s, so that tests need not wait. Environment variables (EMBER_SECTION__KEY) apply as usual.

    Args:
        model: Folder of a model bundle, or a model.
        config: Settings file. Default: ember.toml in the current folder, if there is one.
        partitions: Number of partitions of every topic.
        **settings: Settings to override, by section (`input={"codec": "json"}`).

    Examples:
        with EmbeddedService(small_model(["cpu", "latency"])) as service:
            service.send("machine-1", {"ts": 1767225600, "values": {"cpu": 5.0, "latency": 5.0}})
            service.wait_until_read()
            assert service.events("triggers") == []
    """

    def __init__(
        self,
        model: FleetModel | Path | str,
        *,
        config: Path | str | None = None,
        partitions: int = 1,
        **settings: Mapping[str, Any],
    ) -> None:
        self._model = model
        self._config = None if config is None else Path(config).resolve()
        self._partitions = partitions
        self._overrides = settings
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._sent = 0
        self._counts: dict[str, int] = {}
        self.broker = EmbeddedBroker()

    def start(self) -> Self:
        """Start broker and worker, and create the topics."""
        from stream.kafka.config import WorkerConfig
        from stream.kafka.supervision.topics import own_topics
        from stream.settings import Settings

        self._folder = tempfile.TemporaryDirectory(prefix="ember-test-")
        folder = Path(self._folder.name)
        try:
            self.broker.start()
            sections = self._sections(folder)
            self.settings = Settings.load(self._config, **sections)
            inputs = dict.fromkeys(self.settings.input.topics, self._partitions)
            outputs = own_topics(WorkerConfig.from_settings(self.settings), inputs)
            self._counts = inputs | {name: count for name, (count, _) in outputs.items()}
            self.broker.create_topics(self._counts)
            command = [sys.executable, "-m", "stream.cli", "run"]
            if self._config is not None:
                command += ["--config", str(self._config)]
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(  # noqa: S603  # our own command
                    command, env=_environment(sections), stdout=log, stderr=log
                )
        except BaseException:
            self.stop()
            raise
        return self

    def _sections(self, folder: Path) -> dict[str, dict[str, Any]]:
        """Return the overridden settings, with those that the test environment needs."""
        from ember_core.pipeline import FleetModel

        path = self._model
        if isinstance(path, FleetModel):
            path.save(folder / "model")
            path = folder / "model"
        sections: dict[str, dict[str, Any]] = {
            "kafka": {"bootstrap_servers": self.broker.bootstrap},
            "input": {"start": "earliest"},  # records may be sent before the worker has joined
            "model": {"path": str(Path(path).resolve())},
            "http": {"port": 0},  # any free one: tests may run in parallel
            "checkpoint": {"interval_seconds": 0.2},
            "state": {"directory": str(folder / "state"), "standby_replicas": 0},
        }
        for section, values in self._overrides.items():
            sections.setdefault(section, {}).update(values)
        return sections

    @property
    def _log(self) -> Path:
        assert self._folder is not None
        return Path(self._folder.name) / "worker.log"

    @property
    def log(self) -> str:
        """Log of the worker so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def send(self, key: str | bytes | None, *values: Any, topic: str | None = None) -> None:
        """Send records of one key, and wait for their acknowledgements.

        Args:
            key: Kafka key.
            *values: Values of the records: bytes as they are, anything else as JSON.
            topic: Input topic. Default: the first of input.topics.
        """
        from confluent_kafka import Producer

        # Kafka's own partitioner, like the Java clients: the worker expects a key in one partition.
        producer = Producer(
            {"bootstrap.servers": self.broker.bootstrap, "partitioner": "murmur2_random"}
        )
        for value in values:
            body = value if isinstance(value, bytes) else json.dumps(value).encode()
            producer.produce(topic or self.settings.input.topics[0], body, key)
        unacknowledged = producer.flush(10)
        if unacknowledged:
            raise ServiceError(f"{unacknowledged} records were not acknowledged.")
        self._sent += len(values)

    def wait_until_read(self, seconds: float = 60.0) -> None:
        """Wait until the worker has processed all records sent, and stored its state.

        Args:
            seconds: Longest time to wait.

        Raises:
            ServiceError: If the worker ended, or needed longer.
        """
        from stream.rekeying import rekey_group

        group, deadline = self.settings.kafka.group, time.monotonic() + seconds
        # The embedded broker starts empty: the sum of the offsets is the number of records.
        if self.settings.input.rekey:
            self._wait_for(rekey_group(group), self.settings.input.topics, self._sent, deadline)
            self._wait_for(group, self.settings.engine_topics, None, deadline)
        else:
            self._wait_for(group, self.settings.input.topics, self._sent, deadline)

    def _wait_for(
        self, group: str, topics: Sequence[str], records: int | None, deadline: float
    ) -> None:
        """Wait until a group has committed so many records of some topics; None: all of them."""
        from confluent_kafka import TopicPartition

        consumer = open_consumer(self.broker.bootstrap, group)
        partitions = [
            TopicPartition(topic, number)
            for topic in topics
            for number in range(self._counts[topic])
        ]
        try:
            if records is None:
                records = sum(consumer.get_watermark_offsets(tp)[1] for tp in partitions)
            while records > sum(
                max(0, tp.offset) for tp in consumer.committed(partitions, timeout=10)
            ):
                self._check(deadline, f"{records} records were not processed")
                time.sleep(_POLL_SECONDS)
        finally:
            consumer.close()

    def events(self, output: Output = "triggers") -> list[Event]:
        """Return all records of the output topics, each topic's in the order of its partitions.

        Args:
            output: Kind of output.
        """
        topics = sorted(self.settings.output_topics(output))
        partitions = [(topic, n) for topic in topics for n in range(self._counts[topic])]
        return read_events(
            self.broker.bootstrap, partitions, decode=output in ("anomalies", "triggers")
        )

    def wait_for(
        self, output: Output = "triggers", count: int = 1, seconds: float = 60.0
    ) -> list[Event]:
        """Wait until the output topics have some records, and return all of them.

        Args:
            output: Kind of output.
            count: Number of records to wait for.
            seconds: Longest time to wait.

        Raises:
            ServiceError: If the worker ended, or published fewer in time.
        """
        deadline = time.monotonic() + seconds
        while len(events := self.events(output)) < count:
            self._check(deadline, f"{len(events)} of {count} {output} were published")
            time.sleep(_POLL_SECONDS)
        return events

    def _check(self, deadline: float, state: str) -> None:
        assert self._process is not None
        code = self._process.poll()
        if code is None and time.monotonic() < deadline:
            return
        outcome = "has not finished in time" if code is None else f"ended with exit code {code}"
        raise ServiceError(f"The service {outcome}: {state}.\n{self.log[-_LOG_TAIL_BYTES:]}")

    def stop(self) -> None:
        """Stop worker and broker, and remove their files. No-op when stopped."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.broker.stop()
        if self._folder is not None:
            self._folder.cleanup()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _environment(sections: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the environment of the worker: the settings, and this process's import path."""
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    for section, values in sections.items():
        for name, value in values.items():
            text = value if isinstance(value, str) else json.dumps(value)
            environment[f"EMBER_{section}__{name}".upper()] = text
    return environment
