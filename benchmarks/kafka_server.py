"""A real Apache Kafka (KRaft, one node) from Maven's jars, for benchmarks and broker tests.

It listens on 127.0.0.1 only and ends with the process that started it.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from benchmarks.kafka_jars import jars, java

_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 20.0

QUICK_COMPACTION: Final[Mapping[str, str]] = {
    "cleanup.policy": "compact",
    "segment.ms": "1000",
    "min.cleanable.dirty.ratio": "0.01",
    "max.compaction.lag.ms": "1000",
    "delete.retention.ms": "1000",
}
"""Topic settings under which the cleaner rewrites a topic within seconds."""

_SERVER = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "PLAINTEXT",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    # Killed workers must be found dead within seconds.
    "group.min.session.timeout.ms": "1000",
    # After a SIGKILL the broker's own session must run out before it may come back.
    "broker.session.timeout.ms": "5000",
    "broker.heartbeat.interval.ms": "1000",
    # A topic that a test forgot to create must fail, not appear with one partition.
    "auto.create.topics.enable": "false",
    # Records of tests carry old times: a sweep for the usual week would remove them in mid-test.
    "log.retention.ms": "-1",
    "log.cleaner.backoff.ms": "500",
    "log.cleaner.dedupe.buffer.size": "33554432",
    "log.cleaner.threads": "1",
}

_LOGGING = """\
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{HH:mm:ss.SSS} %p %c{1} %m%n
rootLogger.level = WARN
rootLogger.appenderRef.out.ref = out
logger.server.name = kafka.server
logger.server.level = INFO
"""


class KafkaFailedError(RuntimeError):
    """Apache Kafka was there but did not come up; the text holds the end of its log."""


class RealKafka:
    """One Kafka node on localhost: broker and controller in one process.

    Args:
        config: Server properties beside, or in place of, the ones for tests.
        heap_mb: The JVM's heap, MiB.
        listeners: More listeners, name -> protocol (`SASL_SSL`), each on a port of its own.

    Example:
        with RealKafka() as kafka:
            producer = Producer({"bootstrap.servers": kafka.bootstrap})
    """

    def __init__(
        self,
        config: Mapping[str, str] | None = None,
        *,
        heap_mb: int = 512,
        listeners: Mapping[str, str] | None = None,
    ) -> None:
        self._config = dict(config or {})
        self._listeners = dict(listeners or {})
        self.ports: dict[str, int] = {}
        """Port of each of the further listeners."""
        self._heap_mb = heap_mb
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None
        self._port = 0
        self._controller_port = 0

    @property
    def bootstrap(self) -> str:
        """`host:port` of the broker; stays the same over restarts."""
        return f"127.0.0.1:{self._port}"

    @property
    def pid(self) -> int | None:
        """Process id of the JVM, or None when it does not run."""
        return None if self._process is None else self._process.pid

    @property
    def log(self) -> Path:
        """File with everything the server printed."""
        assert self._folder is not None
        return self._folder / "server.log"

    def start(self) -> str:
        """Format a fresh log folder (at the first start) and wait until the broker answers.

        Returns:
            The bootstrap string.

        Raises:
            KafkaUnavailableError: If Java or the jars are missing.
            KafkaFailedError: If it ends, or does not answer within a minute.
        """
        if self._process is not None:
            return self.bootstrap
        command = [java(), f"-Xms{self._heap_mb}m", f"-Xmx{self._heap_mb}m", "-cp", f"{jars()}/*"]
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="ember-kafka-"))
            self._port, self._controller_port, *listener_ports = _free_ports(
                2 + len(self._listeners)
            )
            self.ports = dict(zip(self._listeners, listener_ports, strict=True))
            self._format(command)
        try:
            self._spawn(command)
            self._wait_ready()
        except BaseException:
            self.stop()
            raise
        return self.bootstrap

    def stop(self) -> None:
        """End it in order and delete its data. No-op when stopped."""
        self._end(signal.SIGTERM)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def kill(self) -> None:
        """SIGKILL: the data stays, and `start` brings the same broker back."""
        self._end(signal.SIGKILL)

    def empty(self, partitions: Iterable[str]) -> None:
        """While it is down: take these logs (`topic-0`) away, as an unclean election may."""
        assert self._folder is not None
        data = self._folder / "data"
        for name in partitions:
            for file in (data / name).iterdir():
                if file.suffix in {".log", ".index", ".timeindex", ".snapshot"}:
                    file.unlink()
        for name in ("recovery-point-offset", "replication-offset", "log-start-offset"):
            (data / f"{name}-checkpoint").unlink(missing_ok=True)

    def restart(self, *, kill: bool = False) -> None:
        """End it (`kill`: by SIGKILL) and start it again with the same data and port."""
        self._end(signal.SIGKILL if kill else signal.SIGTERM)
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _format(self, command: list[str]) -> None:
        assert self._folder is not None
        ports = {"PLAINTEXT": self._port, **self.ports}
        public = ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items())
        protocols = "".join(f",{name}:{protocol}" for name, protocol in self._listeners.items())
        settings = {
            **_SERVER,
            "listeners": f"{public},CONTROLLER://127.0.0.1:{self._controller_port}",
            "advertised.listeners": public,
            "listener.security.protocol.map": (
                f"{_SERVER['listener.security.protocol.map']}{protocols}"
            ),
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{self._controller_port}",
            "log.dirs": str(self._folder / "data"),
            **self._config,
        }
        properties = self._folder / "server.properties"
        properties.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        (self._folder / "log4j2.properties").write_text(_LOGGING)
        process = subprocess.run(
            [
                *command,
                "-XX:TieredStopAtLevel=1",
                "kafka.tools.StorageTool",
                "format",
                "--standalone",
                "--cluster-id",
                "ember-test-cluster-ok",
                "--config",
                str(properties),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if process.returncode != 0:
            self.stop()
            raise KafkaFailedError(
                f"Kafka's log folder was not formatted: {process.stderr.strip()}"
            )

    def _spawn(self, command: list[str]) -> None:
        assert self._folder is not None
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *command,
                    f"-Dlog4j2.configurationFile={self._folder / 'log4j2.properties'}",
                    "kafka.Kafka",
                    str(self._folder / "server.properties"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        # The JVM does not notice the end of its parent; this shell does, by the end of its stdin.
        self._watcher = subprocess.Popen(
            ["/bin/sh", "-c", 'cat >/dev/null; kill -9 "$0"', str(self._process.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _wait_ready(self) -> None:
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        assert self._process is not None
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise KafkaFailedError(f"Kafka ended at its start.\n{self._log_tail()}")
            if _listens(self._port):
                client = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
                with contextlib.suppress(KafkaException):
                    if client.list_topics(timeout=5).brokers:
                        return
            time.sleep(0.1)
        raise KafkaFailedError(f"Kafka did not answer within a minute.\n{self._log_tail()}")

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        watcher, self._watcher = self._watcher, None
        if watcher is not None:  # first, or it would kill by a process id that is free again
            watcher.kill()
            watcher.wait()
            assert watcher.stdin is not None
            watcher.stdin.close()
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _log_tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in sockets:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in sockets]


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
