"""Sending recorded telemetry to a topic: order, pace, and holding back for a slow group."""

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

from . import clients

_FLUSH_SECONDS: Final = 60.0
_POLL_EVERY: Final = 512
_LAG_EVERY_SECONDS: Final = 0.1
_RECORD_OVERHEAD_BYTES: Final = 32
_SAFE_SHARE: Final = 0.5  # of what the embedded broker keeps
_COMPLAIN_AFTER_SECONDS: Final = 15.0
_SHORTEST_WAIT_SECONDS: Final = 0.001  # shorter ones add up to one that is worth a sleep


class Outbound(NamedTuple):
    """One record to send: stream key, event time in microseconds, JSON."""

    key: bytes
    time_us: int
    value: bytes


@dataclass(frozen=True)
class Summary:
    """What a replay did: records acknowledged, and the seconds until the last one was."""

    records: int
    seconds: float
    waited_seconds: float

    @property
    def records_per_second(self) -> float:
        """Over the whole time, waiting included."""
        return self.records / self.seconds if self.seconds > 0 else 0.0


Pace = Callable[[int, int], float]
"""(record number from 0, its event time in microseconds) -> seconds after the start it is due."""


def flat_out(_index: int, _time_us: int) -> float:
    """Every record at once."""
    return -math.inf


def at_rate(records_per_second: float) -> Pace:
    """So many records per second, whatever their event times."""
    return lambda index, _time_us: index / records_per_second


def at_speed(factor: float) -> Pace:
    """The event times' own pace, `factor` times as fast."""
    first: list[int] = []

    def due(_index: int, time_us: int) -> float:
        if not first:
            first.append(time_us)
        return (time_us - first[0]) / (1e6 * factor)

    return due


class Gate:
    """Holds a replay back while the slowest partition of a group lags too far.

    Args:
        kafka: The cluster.
        topic: Topic sent to.
        partitions: Its number of partitions.
        group: Whose committed offsets count.
        max_lag: Records of one partition that may wait; 0: as many as the embedded broker is sure
            to keep at the size the records turn out to have.
        complain: Told, once, when nothing has moved for a while.
    """

    def __init__(
        self,
        kafka: KafkaSection,
        topic: str,
        partitions: int,
        *,
        group: str,
        max_lag: int,
        complain: Callable[[str], None],
    ) -> None:
        self._consumer: Consumer = clients.open_consumer(kafka, group)
        self._topic = topic
        self._partitions = partitions
        self._group = group
        self._max_lag = max_lag
        self._complain = complain
        # What lay there before is not this replay's: a group that never came owes only ours.
        self._bases = [high for _, high in self._marks()]
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
            flush: Waits until what was sent before has been acknowledged, so that it counts.
        """
        self._records += 1
        self._bytes += size + _RECORD_OVERHEAD_BYTES
        if self._credit > 0:
            self._credit -= 1
            return
        started = time.monotonic()
        flush()
        least = (0, started)
        warned = False
        while True:
            limit = self._limit()
            lag = self._lag()
            # A quarter at a time: asking costs a round trip, and all may go to one partition.
            if limit - lag >= max(1, limit // 4):
                self._credit = limit - lag - 1
                break
            now = time.monotonic()
            if lag != least[0]:
                least = (lag, now)
            elif not warned and now - least[1] > _COMPLAIN_AFTER_SECONDS:
                warned = True
                self._complain(
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
        done = clients.committed(self._consumer, self._topic, self._partitions)
        worst = 0
        for (_, high), mark, base in zip(self._marks(), done, self._bases, strict=True):
            worst = max(worst, high - max(base, mark if mark is not None else base))
        return worst

    def _marks(self) -> list[tuple[int, int]]:
        return clients.watermarks(self._consumer, self._topic, self._partitions)


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
        producer: From `open_producer`.
        topic: Target.
        records: In the order to send.
        pace: When each is due.
        gate: Asked before each record.
        progress: Told the number sent, now and then.

    Raises:
        UserError: If the broker refuses a record, or leaves some unacknowledged.
    """
    refused: list[str] = []

    def note(error: KafkaError | None, _message: Message) -> None:
        if error is not None and len(refused) < 1:
            refused.append(error.str())

    def flush() -> None:
        left = producer.flush(_FLUSH_SECONDS)
        if refused or left:
            why = refused[0] if refused else f"{left} records were not acknowledged in a minute"
            raise UserError(f"The broker did not take every record for {topic!r}: {why}.")

    started = time.monotonic()
    sent = 0
    produce, poll, clock = producer.produce, producer.poll, time.monotonic
    for key, time_us, value in records:
        wait = started + pace(sent, time_us) - clock()
        if wait > _SHORTEST_WAIT_SECONDS:
            _idle(producer, wait)
        if gate is not None:
            gate.admit(len(key) + len(value), flush)
        try:
            produce(topic, value, key, on_delivery=note)
        except BufferError:
            clients.put(producer, topic, value=value, key=key, on_delivery=note)
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
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        producer.poll(min(left, 0.2))
        # poll() returns at once while callbacks are waiting, else after its timeout.
        if (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.001))
