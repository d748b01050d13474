"""The changelog for the tools of an operator: read whole, written while no worker runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._metadata import ClusterMetadata
from confluent_kafka.cimpl import NewPartitions

from stream.engine import (
    HEAD_BYTES,
    META_KEY,
    MetaRow,
    TombstoneIndex,
    number_in,
    offset_in,
    tombstone_of,
)
from stream.errors import UserError
from stream.kafka.client.admin import Admin
from stream.kafka.config import WorkerConfig
from stream.kafka.protocol.checkpoint import COMMITTED_HEADER
from stream.kafka.protocol.ports import TopicStatus
from stream.settings import Settings

from . import clients

_LOOK_SECONDS = 0.5
_MOVING = frozenset(
    {
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    }
)
"""A group's broker changes, or, on a new cluster, is found for the first time."""
_TRANSACTION_MS = 900_000
"""The most that brokers allow unless told otherwise: a rebase takes a minute or more per million
keys. One that was killed is not waited for so long: the next worker or tool ends it."""


@dataclass
class PartitionState:
    """What the changelog says of one input partition.

    Attributes:
        partition: Its number.
        rows: Newest row of each key, as bytes.
        meta: The meta row; None where there is none.
        committed_before: What its writer had found committed; None: not known.
        graves: Keys that were forgotten.
    """

    partition: int
    rows: dict[bytes, bytes] = field(default_factory=dict)
    meta: MetaRow | None = None
    committed_before: int | None = None
    graves: TombstoneIndex = field(default_factory=TombstoneIndex)


class StateLog:
    """Changelogs of a group.

    Args:
        settings: Section `kafka` and the input topics.
        topics: Input topics; none: all of the settings.
    """

    def __init__(self, settings: Settings, topics: Sequence[str] = ()) -> None:
        self.kafka = settings.kafka
        self._config = WorkerConfig.from_settings(settings)
        self.metadata: ClusterMetadata = clients.fetch_metadata(settings.kafka)
        self.embedded = clients.is_embedded(self.metadata)
        self.counts = clients.partition_counts(self.metadata)
        self.topics = tuple(topics or settings.input.topics)
        missing = [topic for topic in self.topics if self.changelog(topic) not in self.counts]
        if missing:
            raise UserError(
                f"Group {self.kafka.group!r} keeps no state of {', '.join(missing)} here. Expected "
                f"the topic {self.changelog(missing[0])!r}. Check kafka.group and input.topics."
            )

    def changelog(self, topic: str) -> str:
        """Changelog topic of an input topic."""
        return self._config.changelog(topic)

    def read(
        self,
        topic: str,
        wanted: Callable[[bytes], bool] = lambda _: True,
    ) -> list[PartitionState]:
        """Committed state of all partitions of an input topic.

        Args:
            topic: Input topic.
            wanted: Keys to keep; meta rows always are.
        """
        changelog = self.changelog(topic)
        states = [PartitionState(number) for number in range(self.counts[changelog])]
        consumer = clients.open_consumer(self.kafka, isolation__level="read_committed")
        try:
            marks = clients.watermarks(consumer, changelog, len(states))
            ranges = {(changelog, n): mark for n, mark in enumerate(marks)}
            for message in clients.read_range(consumer, ranges):
                _take(states[clients.place(message)[1]], message, wanted)
        finally:
            consumer.close()
        return states

    def require_idle(self) -> None:
        """Refuse while workers of the group run: they would write over what is written here.

        One that was killed, or has refused to start, is still a member until its session ends;
        that long it is waited for.

        Raises:
            UserError: If a member is there, or the broker does not say.
        """
        if self.embedded:
            return  # it does not tell who is in a group
        deadline = time.monotonic() + self.kafka.session_timeout_seconds + 3.0
        while members := self._members():
            if time.monotonic() > deadline:
                raise UserError(
                    f"Workers of group {self.kafka.group!r} are running. Expected none, because "
                    f"they would write over the change. Received: members={members}. Stop them."
                )
            time.sleep(_LOOK_SECONDS)

    def _members(self) -> int:
        group = self.kafka.group
        client = AdminClient(clients.client_config(self.kafka))
        deadline = time.monotonic() + clients.REQUEST_SECONDS
        while True:
            try:
                found = client.describe_consumer_groups([group], request_timeout=10)[group].result()
            except KafkaException as error:
                code = error.args[0].code()
                if code not in _MOVING or time.monotonic() > deadline:
                    raise UserError(
                        f"The broker does not say who is in group {group!r} "
                        f"({error.args[0].name()}). Expected the right to describe it."
                    ) from None
                time.sleep(_LOOK_SECONDS)
            else:
                return len(found.members)

    def commit(self, topic: str, positions: dict[int, int]) -> None:
        """Set the group's offsets of an input topic.

        Raises:
            UserError: If the broker refuses.
        """
        if self.embedded:
            # Of a group that ever had members it takes offsets from a member only. A worker goes on
            # without: the meta row says where, and what it will find committed instead.
            return
        consumer = clients.open_consumer(self.kafka, self.kafka.group)
        try:
            at = [TopicPartition(topic, p, offset) for p, offset in sorted(positions.items())]
            clients.commit(consumer, at)
        finally:
            consumer.close()

    def committed(self, topic: str, partitions: int) -> list[int]:
        """The group's offsets of an input topic; -1 where there is none."""
        consumer = clients.open_consumer(self.kafka, self.kafka.group)
        try:
            found = clients.committed(consumer, topic, partitions)
        finally:
            consumer.close()
        return [-1 if offset is None else offset for offset in found]

    def marks(self, topic: str, partitions: int) -> list[tuple[int, int]]:
        """First and end offset of every partition of an input topic."""
        consumer: Consumer = clients.open_consumer(self.kafka)
        try:
            return clients.watermarks(consumer, topic, partitions)
        finally:
            consumer.close()

    def facts(self, topic: str) -> TopicStatus:
        """An input topic as the worker sees it.

        Raises:
            UserError: If it is not there.
        """

        async def ask() -> TopicStatus | None:
            async with Admin(self._config.client_settings()) as admin:
                return (await admin.describe([topic])).get(topic)

        found = asyncio.run(ask())
        if found is None:
            raise UserError(f"The input topic {topic!r} does not exist. Create it first.")
        return found

    def grow(self, topic: str, partitions: int) -> None:
        """Give a changelog more partitions.

        Raises:
            UserError: If the cluster refuses.
        """
        changelog = self.changelog(topic)
        client = AdminClient(clients.client_config(self.kafka))
        try:
            new = [NewPartitions(changelog, partitions)]
            client.create_partitions(new, request_timeout=10)[changelog].result()
        except KafkaException as error:
            raise UserError(
                f"Changelog {changelog!r} was not given {partitions} partitions: "
                f"{error.args[0].str()}. Add them with your cluster's own tools."
            ) from None

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        """Write to changelogs: in one transaction where the broker has them."""
        more: dict[str, Any] = {}
        if not self.embedded:
            more = {
                "transactional__id": self._config.tools_transactional_id,
                "transaction__timeout__ms": _TRANSACTION_MS,
            }
        producer = clients.open_producer(self.kafka, **more)
        writer = Writer(producer)
        try:
            if more:
                producer.init_transactions(60.0)
                producer.begin_transaction()
            yield writer
            writer.flush()
            if more:
                producer.commit_transaction(60.0)
        except KafkaException as error:
            raise UserError(f"The state was not written: {error.args[0].str()}.") from None


class Writer:
    """Records for changelogs.

    Args:
        producer: Where to.
    """

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self._failed = ""
        self.written = 0

    def put(
        self,
        changelog: str,
        partition: int,
        key: bytes,
        value: bytes | None,
        headers: list[tuple[str, str | bytes | None]] | None = None,
    ) -> None:
        """Write one record; None is a tombstone."""
        clients.put(
            self._producer,
            changelog,
            value=value,
            key=key,
            partition=partition,
            headers=headers or [],
            on_delivery=self._delivered,
        )
        self._producer.poll(0)
        self.written += 1

    def put_meta(self, changelog: str, partition: int, meta: MetaRow) -> None:
        """Write a meta row of before, maybe from another changelog, as a partition's last word."""
        meta.changelog_id = ""
        self.put(changelog, partition, META_KEY, meta.encode())

    def _delivered(self, error: Any, _: Any) -> None:
        if error is not None:
            self._failed = error.str()

    def flush(self) -> None:
        """Wait for all acknowledgements.

        Raises:
            UserError: If one did not come.
        """
        left = self._producer.flush(60.0)
        if left or self._failed:
            why = self._failed or f"{left} records were not acknowledged"
            raise UserError(f"The state was not written: {why}.")


def _take(state: PartitionState, message: Any, wanted: Callable[[bytes], bool]) -> None:
    """One record in the order of the log: as recovery would take it."""
    key, value = message.key(), message.value()
    if key is None:
        return
    if key != META_KEY:
        if not wanted(key):
            return
        newest = offset_in(state.rows[key]) if key in state.rows else -1
        gone = tombstone_of(dict(message.headers() or [])) if value is None else None
        if state.graves.late(key, gone or value, newest):
            return
        if value is None or len(value) < HEAD_BYTES:
            state.rows.pop(key, None)
        elif offset_in(value) >= newest:
            state.rows[key] = value
        return
    if value is None:
        state.meta = state.committed_before = None
        state.graves.clear()
        return
    try:
        meta = MetaRow.decode(value)
    except (msgspec.DecodeError, UnicodeError):
        return
    if meta.rebased > (state.meta.rebased if state.meta else 0):
        state.graves.clear()
    if state.meta is None or meta.absorbed >= state.meta.absorbed:
        state.meta = meta
        state.committed_before = number_in(dict(message.headers() or []).get(COMMITTED_HEADER))
