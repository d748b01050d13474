"""Embedded broker: librdkafka's mock cluster on localhost, in a process of its own.

It is for `ember demo` and tests only. It keeps the last 100,000 records or 5 MiB of each partition
in memory, loses everything when it stops, neither fences nor stores transactional offsets, and has
no admin API: topics are created here, before the clients start.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

MAX_RECORDS_PER_PARTITION: Final = 100_000
MAX_BYTES_PER_PARTITION: Final = 5 * 1024 * 1024
NOT_FOR_PRODUCTION: Final = (
    "This is an in-memory broker for demos and tests: it keeps the last 100,000 records of a "
    "partition, is lost at exit and does not fence. Never run it in production."
)

API_KEYS: Final[Mapping[str, int]] = {
    "Produce": 0,
    "Fetch": 1,
    "ListOffsets": 2,
    "Metadata": 3,
    "OffsetCommit": 8,
    "OffsetFetch": 9,
    "FindCoordinator": 10,
    "JoinGroup": 11,
    "Heartbeat": 12,
    "LeaveGroup": 13,
    "SyncGroup": 14,
    "InitProducerId": 22,
    "AddPartitionsToTxn": 24,
    "AddOffsetsToTxn": 25,
    "EndTxn": 26,
    "TxnOffsetCommit": 28,
}

_STOP_SECONDS = 5.0


class EmbeddedBrokerError(RuntimeError):
    """The embedded broker did not start, or refused a call."""


class EmbeddedBroker:
    """A Kafka broker in memory, for demos and tests.

    The process ends with `stop`, with the `with` block, and with the process that started it, even
    if that one is killed.

    Args:
        topics: Number of partitions of every topic to create at the start.
        brokers: Number of brokers (nodes) of the cluster.
        rebalance_delay_ms: Time that a new consumer group waits for more members, in milliseconds.

    Examples:
        with EmbeddedBroker({"telemetry": 4}) as broker:
            producer = Producer({"bootstrap.servers": broker.bootstrap})
    """

    def __init__(
        self,
        topics: Mapping[str, int] | None = None,
        *,
        brokers: int = 1,
        rebalance_delay_ms: int = 0,
    ) -> None:
        self._topics = dict(topics or {})
        self._brokers = brokers
        self._rebalance_delay_ms = rebalance_delay_ms
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._bootstrap = ""

    @property
    def bootstrap(self) -> str:
        """Addresses of the brokers, `host:port` separated by commas.

        Raises:
            EmbeddedBrokerError: If it is not running.
        """
        if not self._bootstrap:
            raise EmbeddedBrokerError("The embedded broker is not running. Call start() first.")
        return self._bootstrap

    @property
    def pid(self) -> int | None:
        """Process id, or None when stopped."""
        return None if self._process is None else self._process.pid

    def start(self, topics: Mapping[str, int] | None = None) -> str:
        """Start the process and create the topics.

        Args:
            topics: Further topics, with their numbers of partitions.

        Returns:
            The addresses of the brokers, also if the process is running already.

        Raises:
            EmbeddedBrokerError: If the process does not start.
        """
        all_topics = {**self._topics, **(topics or {})}
        if self._process is None:
            self._spawn()
        if all_topics:
            self.create_topics(all_topics)
        return self._bootstrap

    def stop(self) -> None:
        """Stop the process; all records are lost. No-op when stopped."""
        process, self._process, self._bootstrap = self._process, None, ""
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(OSError):  # the end of stdin ends the process
            process.stdin.close()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

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

    def create_topics(self, topics: Mapping[str, int]) -> None:
        """Create topics with their numbers of partitions; existing ones stay as they are."""
        for name, partitions in topics.items():
            if partitions < 1:
                raise EmbeddedBrokerError(
                    f"Topic {name!r} needs partitions. Expected partitions >= 1. "
                    f"Received: partitions={partitions}."
                )
        self._call("create_topics", topics=dict(topics))

    def delete_topic(self, topic: str) -> None:
        """Delete a topic; a topic created under the name again starts at offset 0."""
        self._call("delete_topic", topic=topic)

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        """Delete the records of a partition before an offset, as retention would.

        Args:
            topic: Name of the topic.
            partition: Number of the partition.
            before: First offset to keep.
        """
        self._call("delete_records", topic=topic, partition=partition, before=before)

    def push_errors(self, api: str, errors: Sequence[int]) -> None:
        """Make the next requests of one kind fail, one Kafka error code each.

        Args:
            api: Name of the request, a key of `API_KEYS`.
            errors: Kafka error codes in order; 0 lets a request pass, -195 cuts the connection.
        """
        self._call("push_errors", api_key=API_KEYS[api], errors=list(errors))

    def clear_errors(self, api: str) -> None:
        """Drop the pushed errors of one kind of request."""
        self._call("clear_errors", api_key=API_KEYS[api])

    def set_rtt(self, rtt_ms: int, broker: int = -1) -> None:
        """Delay every answer of a broker (-1: all) by this many milliseconds."""
        self._call("set_rtt", rtt_ms=rtt_ms, broker=broker)

    def set_down(self, broker: int = -1) -> None:
        """Cut all connections of a broker (-1: all) and refuse new ones; its data stays."""
        self._call("set_down", broker=broker)

    def set_up(self, broker: int = -1) -> None:
        """Let a broker (-1: all) accept connections again."""
        self._call("set_up", broker=broker)

    def _spawn(self) -> None:
        # By path and with -P: the package's own imports (Faust) would cost most of a second, and
        # modules beside the script must not hide those of the standard library.
        self._process = subprocess.Popen(  # noqa: S603 - our own script
            [
                sys.executable,
                "-P",
                str(Path(__file__).with_name("mock_cluster.py")),
                f"--brokers={self._brokers}",
                f"--rebalance-delay-ms={self._rebalance_delay_ms}",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            start_new_session=True,  # a Ctrl-C in the terminal reaches the workers first
        )
        try:
            self._bootstrap = str(self._read()["bootstrap"])
        except BaseException:
            self.stop()
            raise

    def _call(self, name: str, **args: Any) -> Any:
        with self._lock:  # answers carry no id: one call at a time
            if self._process is None:
                raise EmbeddedBrokerError("The embedded broker is not running. Call start() first.")
            assert self._process.stdin is not None
            try:
                self._process.stdin.write(json.dumps({"call": name, "args": args}) + "\n")
                self._process.stdin.flush()
            except OSError as error:
                raise EmbeddedBrokerError(f"The embedded broker has ended: {error}.") from error
            return self._read().get("result")

    def _read(self) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            code = self._process.poll()
            raise EmbeddedBrokerError(f"The embedded broker ended unasked (exit code {code}).")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise EmbeddedBrokerError(f"The embedded broker refused: {answer['error']}.")
        return answer


def parse_topics(specs: Sequence[str]) -> dict[str, int]:
    """Return the number of partitions by topic name, from `name:partitions` (or `name`, for 4).

    Raises:
        ValueError: If a count is not a whole number of at least 1.

    Examples:
        >>> parse_topics(["telemetry:8", "telemetry.triggers"])
        {'telemetry': 8, 'telemetry.triggers': 4}
    """
    topics: dict[str, int] = {}
    for spec in specs:
        name, _, count = spec.partition(":")
        if not name or (count and not (count.isdecimal() and int(count) >= 1)):
            raise ValueError(f"Not a topic. Expected NAME or NAME:PARTITIONS. Received: {spec!r}.")
        topics[name] = int(count) if count else 4
    return topics


def main(argv: Sequence[str] | None = None) -> int:
    """Run a broker in the foreground: `python -m stream.testing --topics telemetry:4`."""
    parser = argparse.ArgumentParser(
        prog="python -m stream.testing", description=NOT_FOR_PRODUCTION
    )
    parser.add_argument("--topics", nargs="*", default=[], metavar="NAME:PARTITIONS")
    parser.add_argument("--brokers", type=int, default=1)
    options = parser.parse_args(argv)
    try:
        topics = parse_topics(options.topics)
    except ValueError as error:
        parser.error(str(error))
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with EmbeddedBroker(topics, brokers=options.brokers) as broker:
        sys.stderr.write(f"{NOT_FOR_PRODUCTION}\nCtrl-C ends it.\n")
        sys.stdout.write(f"{broker.bootstrap}\n")
        sys.stdout.flush()
        stopped.wait()
    return 0
