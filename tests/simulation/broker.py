"""A model of the brokers: logs, idempotent and transactional producers, compaction.

What is modelled is what a client can see: a request may be lost, be carried out and its answer be
lost, or come late, also after its sender's death; batches of a producer reach a partition in order
and once; a transaction is decided in one place and its markers reach the partitions one by one;
readers of committed records read up to the first transaction that is open.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from aiokafka import errors as kafka_errors

from stream.kafka.protocol.ports import FencedError, Membership, TopicStatus
from stream.types import TP

from .machine import Machine, Process

BATCH = 3
"""Records in a batch: few, so that a checkpoint has several."""


class Record:
    """A record in a log; `txn` is its transaction, `marker` the end of one."""

    __slots__ = ("headers", "key", "marker", "offset", "timestamp", "txn", "value")

    def __init__(
        self,
        offset: int,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]] = (),
        txn: Txn | None = None,
        marker: bool = False,
    ) -> None:
        self.offset, self.key, self.value = offset, key, value
        self.headers, self.txn, self.marker = headers, txn, marker
        self.timestamp = offset


class Txn:
    """A transaction: open, then decided, then marked in every log it wrote to."""

    __slots__ = ("committed", "decided", "logs", "offsets", "unmarked")

    def __init__(self) -> None:
        self.logs: dict[Log, int] = {}
        self.offsets: dict[TP, tuple[int, str]] = {}
        self.decided = False
        self.committed = False
        self.unmarked = 0


class Log:
    """One partition."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.end = 0
        self.open: dict[Txn, int] = {}

    def append(
        self,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]] = (),
        txn: Txn | None = None,
        *,
        marker: bool = False,
    ) -> int:
        """Write a record, and return its offset."""
        offset = self.end
        self.records.append(Record(offset, key, value, headers, txn, marker))
        self.end += 1
        if txn is not None and not marker:
            self.open.setdefault(txn, offset)
            txn.logs.setdefault(self, offset)
        return offset

    @property
    def stable(self) -> int:
        """End of what readers of committed records see."""
        return min(self.open.values(), default=self.end)

    def read(self, position: int, most: int) -> tuple[list[Record], int]:
        """Committed records from a position on, and the next position."""
        stable, found = self.stable, []
        at = bisect_left(self.records, position, key=lambda r: r.offset)
        for record in self.records[at:]:
            if record.offset >= stable or len(found) == most:
                return found, record.offset if len(found) == most else stable
            if not record.marker and (record.txn is None or record.txn.committed):
                found.append(record)
        return found, stable

    def committed(self) -> list[Record]:
        """All that a reader of committed records sees."""
        return self.read(0, 1 << 60)[0]

    def compact(self, keep: int) -> None:
        """Remove what a later committed record of its key replaces; the last `keep` stay."""
        until = min(self.stable, self.end - keep)
        last: dict[bytes | None, int] = {}
        for record in self.records:
            if record.offset < until and not record.marker and _lives(record):
                last[record.key] = record.offset
        self.records = [
            r
            for r in self.records
            if r.offset >= until or (not r.marker and last.get(r.key) == r.offset and _lives(r))
        ]


def _lives(record: Record) -> bool:
    return record.txn is None or record.txn.committed


class _Writer:
    """A transactional id at its coordinator."""

    def __init__(self) -> None:
        self.epoch = 0
        self.txn: Txn | None = None
        self.waiting: list[Callable[[], None]] = []

    @property
    def completing(self) -> bool:
        return self.txn is not None and self.txn.decided


class Broker:
    """All brokers as one.

    Args:
        machine: Time and chance.
        partitions: Partitions of every topic.
        transaction_seconds: After which an open transaction is given up.
        accepts: The group's say on offsets within a transaction.
        commit: Takes decided offsets over.
    """

    def __init__(self, machine: Machine, partitions: int, transaction_seconds: float) -> None:
        self.machine = machine
        self.partitions = partitions
        self.logs: dict[TP, Log] = {}
        self.offsets: dict[TP, tuple[int, str]] = {}
        self.accepts: Callable[[Membership], bool] = lambda _: True
        self.failures = 0
        self._writers: dict[str, _Writer] = {}
        self._transaction_seconds = transaction_seconds

    def log(self, topic: str, partition: int) -> Log:
        """A partition's log; made when first asked for."""
        return self.logs.setdefault((topic, partition), Log())

    def topic(self, name: str) -> TopicStatus:
        """What an admin client says of a topic."""
        return TopicStatus(self.partitions, f"id-of-{name}")

    def idle(self) -> bool:
        """Whether every transaction is decided and marked."""
        return all(writer.txn is None for writer in self._writers.values())

    # -- transactions

    def writer(self, transactional_id: str) -> _Writer:
        """A transactional id."""
        return self._writers.setdefault(transactional_id, _Writer())

    def fence(self, transactional_id: str, done: Callable[[int], None]) -> None:
        """InitProducerId: end what is open, refuse older epochs; `done` when all is marked."""
        writer = self.writer(transactional_id)
        writer.epoch += 1
        epoch = writer.epoch
        if writer.txn is not None and not writer.txn.decided:
            self._decide(writer, committed=False)
        self._when_complete(writer, lambda: done(epoch))

    def _when_complete(self, writer: _Writer, do: Callable[[], None]) -> None:
        if writer.completing:
            writer.waiting.append(do)
        else:
            do()

    def transaction(self, writer: _Writer) -> Txn:
        """The open transaction of a writer; begun when there is none."""
        if writer.txn is None:
            txn = writer.txn = Txn()
            self.machine.after(
                self._transaction_seconds,
                lambda: self._give_up(writer, txn),
            )
        return writer.txn

    def _give_up(self, writer: _Writer, txn: Txn) -> None:
        if writer.txn is txn and not txn.decided:
            writer.epoch += 1
            self._decide(writer, committed=False)

    def end(self, writer: _Writer, *, committed: bool) -> None:
        """EndTxn: decided now, seen by readers when the markers are written."""
        if writer.txn is not None and not writer.txn.decided:
            self._decide(writer, committed=committed)

    def _decide(self, writer: _Writer, *, committed: bool) -> None:
        txn = writer.txn
        assert txn is not None
        txn.decided, txn.committed = True, committed
        txn.unmarked = len(txn.logs) + 1
        for log in txn.logs:
            self.machine.after(self.machine.latency(), lambda log=log: self._mark(writer, txn, log))
        self.machine.after(self.machine.latency(), lambda: self._mark(writer, txn, None))

    def _mark(self, writer: _Writer, txn: Txn, log: Log | None) -> None:
        if log is not None:
            log.append(None, None, (), txn, marker=True)
            log.open.pop(txn, None)
        elif txn.committed:
            self.offsets.update(txn.offsets)
        txn.unmarked -= 1
        if txn.unmarked == 0:
            writer.txn = None
            waiting, writer.waiting = writer.waiting, []
            for do in waiting:
                do()


class Sent(NamedTuple):
    """What a broker says of a batch: the offset of its first record."""

    offset: int


class Batch:
    """A batch being filled, as aiokafka's `BatchBuilder`."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes | None, bytes | None, Any]] = []

    def append(self, *, timestamp: int, key: Any, value: Any, headers: Any) -> bool | None:
        if len(self.records) == BATCH:
            return None
        self.records.append((key, value, headers))
        return True

    def close(self) -> None:
        """Nothing more comes."""

    def record_count(self) -> int:
        return len(self.records)


class Producer:
    """As much of aiokafka's producer, idempotent or transactional, as the protocol uses.

    Args:
        broker: Where to.
        process: Whose.
        transactional_id: Empty: without transactions.
        on_request: Told of the kind of every request.
    """

    def __init__(
        self,
        broker: Broker,
        process: Process,
        transactional_id: str = "",
        on_request: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._broker = broker
        self._process = process
        self._id = transactional_id
        self._writer = broker.writer(transactional_id) if transactional_id else None
        self._epoch = -1
        self._inbox: dict[TP, deque[Callable[[], bool]]] = {}
        self._flying: set[asyncio.Future[Any]] = set()
        self._broken: Exception | None = None
        self._cut = False
        self._on_request = on_request

    async def start(self) -> None:
        """Take the transactional id over."""
        if self._writer is not None:
            self._epoch = await self._process.ask(
                lambda answer: self._broker.fence(self._id, answer)
            )

    # -- records

    def create_batch(self) -> Batch:
        return Batch()

    async def send(self, topic: str, **message: Any) -> asyncio.Future[Any]:
        if self._broker.machine.rng.random() < 0.1:
            await asyncio.sleep(0)  # its buffer was full
        key, partition = message["key"], message["partition"]
        if partition is None:
            partition = sum(key) % self._broker.partitions
        return self._put(topic, partition, [(key, message["value"], message["headers"])], "event")

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> asyncio.Future[Any]:
        return self._put(topic, partition, batch.records, "rows")

    def _put(self, topic: str, partition: int, records: Any, kind: str) -> asyncio.Future[Any]:
        process, machine = self._process, self._broker.machine
        if process.dead:
            raise ConnectionError("cut")
        self._on_request(kind)
        future = asyncio.Future(loop=process)
        self._flying.add(future)
        future.add_done_callback(self._flying.discard)
        if self._broken is not None:
            future.set_exception(self._broken)
            return future
        arrives = True
        if self._broker.failures and machine.rng.random() < 0.02:
            # Retried until the delivery timeout; whether it ever arrived nobody knows.
            self._broker.failures -= 1
            self._broken = kafka_errors.KafkaTimeoutError()
            arrives = machine.rng.random() < 0.5
        answer = self._broken
        inbox = self._inbox.setdefault((topic, partition), deque())

        def write() -> bool:
            return self._write(topic, partition, records, future, answer)

        if arrives:
            inbox.append(write)
            machine.after(machine.latency(), lambda: self._drain(inbox))
        else:
            machine.after(1.0, lambda: process.reply(future, None, answer))
        return future

    def _drain(self, inbox: deque[Callable[[], bool]]) -> None:
        if self._process.dead and not self._cut:
            self._cut = self._broker.machine.rng.random() < 0.5
        while inbox and not self._cut and inbox[0]():
            inbox.popleft()

    def _write(self, topic: str, partition: int, records: Any, future: Any, error: Any) -> bool:
        """At the broker; False: again later, the last transaction is not marked yet."""
        machine, writer = self._broker.machine, self._writer
        txn = None
        if writer is not None:
            if writer.epoch != self._epoch:
                error = kafka_errors.ProducerFenced()
                machine.after(machine.latency(), lambda: self._process.reply(future, None, error))
                return True
            if writer.completing:
                inbox = self._inbox[topic, partition]
                writer.waiting.append(lambda: machine.after(0.001, lambda: self._drain(inbox)))
                return False
            txn = self._broker.transaction(writer)
        log = self._broker.log(topic, partition)
        first = log.end
        for key, value, headers in records:
            log.append(key, value, headers, txn)
        machine.after(machine.latency(), lambda: self._process.reply(future, Sent(first), error))
        return True

    # -- transactions

    async def begin_transaction(self) -> None:
        """Local: the broker learns of it with the first record."""

    async def commit_offsets(
        self, offsets: Mapping[TP, int], group: str, membership: Membership
    ) -> None:
        """As `FencedProducer.commit_offsets`: refused when the group has moved on."""
        await self._offsets(offsets, membership)

    async def send_offsets_to_transaction(self, offsets: Mapping[Any, Any], group: str) -> None:
        """As aiokafka's own: nobody asks who commits."""
        await self._offsets({(tp[0], tp[1]): o.offset for tp, o in offsets.items()}, None)

    async def _offsets(self, offsets: Mapping[TP, int], membership: Membership | None) -> None:
        self._on_request("offsets")
        broker, writer = self._broker, self._writer
        assert writer is not None

        def arrive(answer: Callable[..., None]) -> None:
            if writer.epoch != self._epoch:
                answer(error=kafka_errors.ProducerFenced())
            elif membership is not None and not broker.accepts(membership):
                answer(error=FencedError("the group has moved on"))
            elif writer.completing:
                writer.waiting.append(lambda: arrive(answer))
            else:
                txn = broker.transaction(writer)
                txn.offsets.update({tp: (offset, self._id) for tp, offset in offsets.items()})
                answer()

        await self._process.ask(arrive)

    async def commit_transaction(self) -> None:
        await self._end("commit")

    def abort_transaction(self) -> Any:
        return self._end("abort")

    def _end(self, kind: str) -> asyncio.Future[Any]:
        self._on_request(kind)
        broker, writer = self._broker, self._writer
        assert writer is not None
        return asyncio.ensure_future(self._ended(kind == "commit", broker, writer))

    async def _ended(self, committed: bool, broker: Broker, writer: _Writer) -> None:
        while self._flying:  # aiokafka flushes first
            await asyncio.wait(list(self._flying))

        def arrive(answer: Callable[..., None]) -> None:
            if writer.epoch != self._epoch:
                answer(error=kafka_errors.ProducerFenced())
                return
            broker.end(writer, committed=committed)
            answer()

        await self._process.ask(arrive)
