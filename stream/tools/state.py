"""Changelogs for the commands about state: read whole, written while no worker runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition
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

from . import clients, reading
from .open_alerts import OpenAlert, of_stream, open_alerts
from .state_writer import StateWriter

_RETRY_SECONDS = 0.5
_COORDINATOR_MOVES = frozenset(
    {
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    }
)
"""The group's coordinator changes, or, on a new cluster, is chosen for the first time."""
_TRANSACTION_MS = 900_000
"""The most that brokers allow by default: a rebase takes a minute or more per million keys.

Nobody waits that long for a command that was killed: the next worker or command aborts it."""


@dataclass
class PartitionState:
    """Committed state of one input partition, as its changelog has it.

    Attributes:
        partition: Number of the partition.
        rows: Newest row of each key, as bytes.
        meta: Meta row; None if there is none.
        committed_before: Group offset that the writer of the meta row had read; None if unknown.
        tombstones: Keys that were deleted.
    """

    partition: int
    rows: dict[bytes, bytes] = field(default_factory=dict)
    meta: MetaRow | None = None
    committed_before: int | None = None
    tombstones: TombstoneIndex = field(default_factory=TombstoneIndex)


class StateLog:
    """Changelogs of a consumer group.

    Args:
        settings: Sections `kafka` and `input`; a rebase by records also reads `model`.
        topics: Input topics; empty for all of the settings.

    Raises:
        UserError: If no broker answers, or an input topic has no changelog.
    """

    def __init__(self, settings: Settings, topics: Sequence[str] = ()) -> None:
        self.settings, self.kafka = settings, settings.kafka
        self._config = WorkerConfig.from_settings(settings)
        self.metadata: ClusterMetadata = clients.fetch_metadata(settings.kafka)
        self.embedded = clients.is_embedded(self.metadata)
        self.counts = clients.partition_counts(self.metadata)
        self.topics = tuple(topics or settings.engine_topics)
        missing = [topic for topic in self.topics if self.changelog(topic) not in self.counts]
        if missing:
            raise UserError(
                f"Group {self.kafka.group!r} keeps no state of {', '.join(missing)} here. Expected "
                f"the topic {self.changelog(missing[0])!r}. Check kafka.group and input.topics."
            )

    def changelog(self, topic: str) -> str:
        """Return the changelog topic of an input topic."""
        return self._config.changelog(topic)

    def open_alerts(self, topic: str) -> list[OpenAlert]:
        """Return the open alerts about an input topic; none where it has no trigger topic yet."""
        output = self._config.output_topic("trigger", topic)
        partitions = {output: self.counts[output]} if output in self.counts else {}
        return of_stream(
            open_alerts(self.kafka, partitions), self._config.streams.get(topic, topic)
        )

    def read(
        self,
        topic: str,
        key_filter: Callable[[bytes], bool] = lambda _: True,
    ) -> list[PartitionState]:
        """Read the committed state of all partitions of an input topic.

        Args:
            topic: Input topic.
            key_filter: Predicate of the keys to return; meta rows are always returned.
        """
        changelog = self.changelog(topic)
        states = [PartitionState(number) for number in range(self.counts[changelog])]
        # Rows of an aborted transaction are not state.
        consumer = clients.open_consumer(self.kafka, isolation__level="read_committed")
        try:
            # End offsets first: a worker that still writes cannot make the command read for ever.
            ranges = reading.offset_ranges(consumer, {changelog: len(states)})
            for message in reading.read_range(consumer, ranges):
                _, partition = reading.partition_of(message)
                _merge(states[partition], message, key_filter)
        finally:
            consumer.close()
        return states

    def require_idle(self) -> None:
        """Refuse to go on while workers of the group run: they would overwrite the change.

        A worker that was killed, or has refused to start, stays a member until its session times
        out; the command waits that long.

        Raises:
            UserError: If the group has members, or the broker does not tell.
        """
        if self.embedded:
            return  # the embedded broker cannot describe groups
        # The coordinator notices the end of a session with some delay.
        deadline = time.monotonic() + self.kafka.session_timeout_seconds + 3.0
        while members := self._members():
            if time.monotonic() > deadline:
                raise UserError(
                    f"Workers of group {self.kafka.group!r} are running. Expected none, because "
                    f"they would write over the change. Received: members={members}. Stop them."
                )
            time.sleep(_RETRY_SECONDS)

    def _members(self) -> int:
        group = self.kafka.group
        client = AdminClient(clients.client_config(self.kafka))
        deadline = time.monotonic() + clients.REQUEST_SECONDS
        while True:
            try:
                futures = client.describe_consumer_groups([group], request_timeout=10)
                description = futures[group].result()
            except KafkaException as error:
                code = error.args[0].code()
                if code not in _COORDINATOR_MOVES or time.monotonic() > deadline:
                    raise UserError(
                        f"The broker does not say who is in group {group!r} "
                        f"({error.args[0].name()}). Expected the right to describe it."
                    ) from None
                time.sleep(_RETRY_SECONDS)
            else:
                return len(description.members)

    def commit(self, topic: str, positions: dict[int, int]) -> None:
        """Set the group's offsets of an input topic.

        Raises:
            UserError: If the broker refuses.
        """
        if self.embedded:
            # The embedded broker takes offsets of a group that ever had members from a member only.
            # A worker does without them: the meta row has the position, and the group's offset
            # that the worker will read instead.
            return
        consumer = clients.open_consumer(self.kafka, self.kafka.group)
        try:
            offsets = [TopicPartition(topic, p, offset) for p, offset in sorted(positions.items())]
            reading.commit(consumer, offsets)
        finally:
            consumer.close()

    def committed(self, topic: str, partitions: int) -> list[int]:
        """Return the group's offsets of an input topic; -1 for a partition without one."""
        consumer = clients.open_consumer(self.kafka, self.kafka.group)
        try:
            offsets = reading.committed(consumer, topic, partitions)
        finally:
            consumer.close()
        return [-1 if offset is None else offset for offset in offsets]

    def watermarks(self, topic: str, partitions: int) -> list[tuple[int, int]]:
        """Return the first and the end offset of every partition of an input topic."""
        consumer = clients.open_consumer(self.kafka)
        try:
            return reading.watermarks(consumer, topic, partitions)
        finally:
            consumer.close()

    def status(self, topic: str) -> TopicStatus:
        """Return the id and the partitions of a topic, as a worker sees them.

        Raises:
            UserError: If the topic does not exist.
        """

        async def ask() -> TopicStatus | None:
            async with Admin(self._config.client_settings()) as admin:
                return (await admin.describe([topic])).get(topic)

        status = asyncio.run(ask())
        if status is None:
            raise UserError(f"The input topic {topic!r} does not exist. Create it first.")
        return status

    def add_partitions(self, topic: str, partitions: int) -> None:
        """Give the changelog of an input topic as many partitions.

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
    def writing(self) -> Iterator[StateWriter]:
        """Open a writer to the changelogs; it writes one transaction if the broker supports it."""
        transactional: dict[str, Any] = {}
        if not self.embedded:
            transactional = {
                "transactional__id": self._config.tools_transactional_id,
                "transaction__timeout__ms": _TRANSACTION_MS,
            }
        producer = clients.open_producer(self.kafka, **transactional)
        writer = StateWriter(producer)
        try:
            if transactional:
                producer.init_transactions(60.0)
                producer.begin_transaction()
            yield writer
            writer.flush()
            if transactional:
                producer.commit_transaction(60.0)
        except KafkaException as error:
            raise UserError(f"The state was not written: {error.args[0].str()}.") from None


def _merge(state: PartitionState, message: Message, key_filter: Callable[[bytes], bool]) -> None:
    """Merge one record, in the order of the log, as the recovery of a worker does."""
    key, value = message.key(), message.value()
    headers: Any = message.headers() or []
    if key is None:
        return
    if key != META_KEY:
        if not key_filter(key):
            return
        newest = offset_in(state.rows[key]) if key in state.rows else -1
        tombstone = tombstone_of(dict(headers)) if value is None else None
        # A suspended worker may write a row after its key was deleted, or the other way round.
        if state.tombstones.late(key, tombstone or value, newest):
            return
        if value is None or len(value) < HEAD_BYTES:
            state.rows.pop(key, None)
        elif offset_in(value) >= newest:
            state.rows[key] = value
        return
    if value is None:
        state.meta = state.committed_before = None
        state.tombstones.clear()
        return
    try:
        meta = MetaRow.decode(value)
    except (msgspec.DecodeError, UnicodeError):
        return
    # A rebase starts the offsets of the rows anew, so older tombstones say nothing about them.
    if meta.rebased > (state.meta.rebased if state.meta else 0):
        state.tombstones.clear()
    if state.meta is None or meta.absorbed >= state.meta.absorbed:
        state.meta = meta
        state.committed_before = number_in(dict(headers).get(COMMITTED_HEADER))
