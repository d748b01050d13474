"""Replay of recorded telemetry to a topic: order, pace, and back-pressure from a slow group."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from confluent_kafka import Consumer, KafkaError, Message, Producer

from stream.errors import UserError
from stream.settings import KafkaSection
from stream.testing.embedded_broker import MAX_BYTES_PER_PARTITION, MAX_RECORDS_PER_PARTITION

from . import clients, reading

_POLL_EVERY: Final = 512
_LAG_EVERY_SECONDS: Final = 0.1
_RECORD_OVERHEAD_BYTES: Final = 32
_SAFE_SHARE: Final = 0.5  # of the records that the embedded broker keeps
_WARN_AFTER_SECONDS: Final = 15.0
_SHORTEST_WAIT_SECONDS: Final = 0.001  # shorter ones add up to one that is worth a sleep


class Outbound(NamedTuple):
    """Record to send: stream key, event time in microseconds, value as JSON."""

    key: bytes
    time_us: int
    value: bytes


@dataclass(frozen=True)
class Summary:
    """Result of a replay.

    Attributes:
        records: Number of records acknowledged.
        seconds: Time until the last one was acknowledged.
        waited_seconds: Part of it spent waiting for the consumer group.
    """

    records: int
    seconds: float
    waited_seconds: float

    @property
    def records_per_second(self) -> float:
        """Rate over the whole time, waiting included."""
        return self.records / self.seconds if self.seconds > 0 else 0.0


Pace = Callable[[int, int], float]
"""Map a record's number, from 0, and its event time in µs to its due time in s after the start."""


def flat_out(_index: int, _time_us: int) -> float:
    """Make every record due at once."""
    return -math.inf


def at_rate(records_per_second: float) -> Pace:
    """Return a pace of so many records per second, whatever their event times."""
    return lambda index, _time_us: index / records_per_second


def at_speed(factor: float) -> Pace:
    """Return a pace that follows the event times, `factor` times as fast."""
    first: list[int] = []

    def due(_index: int, time_us: int) -> float:
        if not first:
            first.append(time_us)
        return (time_us - first[0]) / (1e6 * factor)

    return due


class Gate:
    """Back-pressure: holds a replay back while a partition of a consumer group lags too far.

    Args:
        kafka: The `[kafka]` section.
        topic: Topic of the replay.
        partitions: Number of partitions of the topic.
        group: Consumer group that is waited for.
        max_lag: Largest lag of a partition in records; 0 for as many records as the embedded broker
            is sure to keep, at their average size.
        warn: Called once with a sentence when the group has not moved for a while.
    """

    def __init__(
        self,
        kafka: KafkaSection,
        topic: str,
        partitions: int,
        *,
        group: str,
        max_lag: int,
        warn: Callable[[str], None],
    ) -> None:
        self._consumer: Consumer = clients.open_consumer(kafka, group)
        self._topic = topic
        self._partitions = partitions
        self._group = group
        self._max_lag = max_lag
        self._warn = warn
        # Records from before this replay do not count: a new group may never read them.
        self._start_offsets = [high for _, high in self._watermarks()]
        self._credit = 0
        self._records = 0
        self._bytes = 0
        self.waited_seconds = 0.0

    def close(self) -> None:
        """Leave the cluster."""
        self._consumer.close()

    def admit(self, size: int, flush: Callable[[], None]) -> None:
        """Return when one more record of `size` bytes may be sent.

        Args:
            size: Bytes of key and value.
            flush: Waits for the acknowledgements of all records before, so that they count.
        """
        self._records += 1
        self._bytes += size + _RECORD_OVERHEAD_BYTES
        if self._credit > 0:
            self._credit -= 1
            return
        started = time.monotonic()
        flush()
        last_lag, last_change = 0, started
        warned = False
        while True:
            limit = self._limit()
            lag = self._lag()
            # A quarter at a time: asking costs a round trip, and all may go to one partition.
            if limit - lag >= max(1, limit // 4):
                self._credit = limit - lag - 1
                break
            now = time.monotonic()
            if lag != last_lag:
                last_lag, last_change = lag, now
            elif not warned and now - last_change > _WARN_AFTER_SECONDS:
                warned = True
                self._warn(
                    f"Waiting: the group {self._group!r} is {lag} records behind in a partition of "
                    f"{self._topic!r} and does not move. Is the service running (`ember run`)? "
                    "Name its group with --group, or send anyway with --max-lag."
                )
            time.sleep(_LAG_EVERY_SECONDS)
        self.waited_seconds += time.monotonic() - started

    def _limit(self) -> int:
        if self._max_lag:
            return self._max_lag
        average = self._bytes / self._records
        by_bytes = MAX_BYTES_PER_PARTITION / average
        return max(1, int(_SAFE_SHARE * min(by_bytes, MAX_RECORDS_PER_PARTITION)))

    def _lag(self) -> int:
        # Committed first: an end offset asked before could lie behind them.
        committed = reading.committed(self._consumer, self._topic, self._partitions)
        lags = [
            high - max(start, start if offset is None else offset)
            for (_, high), offset, start in zip(
                self._watermarks(), committed, self._start_offsets, strict=True
            )
        ]
        return max(0, *lags)

    def _watermarks(self) -> list[tuple[int, int]]:
        return reading.watermarks(self._consumer, self._topic, self._partitions)


def send(
    producer: Producer,
    topic: str,
    records: Iterable[Outbound],
    *,
    pace: Pace = flat_out,
    gate: Gate | None = None,
    progress: Callable[[int], None] = lambda _sent: None,
) -> Summary:
    """Send records in order and wait until every one is acknowledged.

    Kafka's timestamp is the wall clock's: retention would delete records of event times long past.

    Args:
        producer: Producer from `open_producer`.
        topic: Target topic.
        records: Records in the order to send.
        pace: Due time of each record.
        gate: Back-pressure; None to send without.
        progress: Called now and then with the number of records sent.

    Raises:
        UserError: If the broker refuses a record, or leaves some unacknowledged.
    """
    refused: list[str] = []

    def on_delivery(error: KafkaError | None, _message: Message) -> None:
        if error is not None and len(refused) < 1:
            refused.append(error.str())

    def flush() -> None:
        missing = producer.flush(clients.FLUSH_SECONDS)
        if refused or missing:
            cause = (
                refused[0] if refused else f"{missing} records were not acknowledged in a minute"
            )
            raise UserError(f"The broker did not take every record for {topic!r}: {cause}.")

    started = time.monotonic()
    sent = 0
    # Bound once, and `produce` is called without `clients.put`: this loop limits the rate.
    produce, poll, clock = producer.produce, producer.poll, time.monotonic
    for key, time_us, value in records:
        wait = started + pace(sent, time_us) - clock()
        if wait > _SHORTEST_WAIT_SECONDS:
            _idle(producer, wait)
        if gate is not None:
            gate.admit(len(key) + len(value), flush)
        try:
            produce(topic, value, key, on_delivery=on_delivery)
        except BufferError:
            clients.put(producer, topic, value=value, key=key, on_delivery=on_delivery)
        sent += 1
        if not sent % _POLL_EVERY:
            poll(0)
            if refused:
                break
            progress(sent)
    flush()
    progress(sent)
    return Summary(sent, time.monotonic() - started, gate.waited_seconds if gate else 0.0)


def _idle(producer: Producer, seconds: float) -> None:
    """Wait, in steps that let Ctrl-C through and deliver acknowledgements."""
    deadline = time.monotonic() + seconds
    while (remaining := deadline - time.monotonic()) > 0:
        producer.poll(min(remaining, 0.2))
        # poll() returns at once while callbacks are waiting, else after its timeout.
        if (remaining := deadline - time.monotonic()) > 0:
            time.sleep(min(remaining, 0.001))
