"""Reader of all topics of the console, in a thread of its own: no consumer group, no commits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final, Literal

import structlog
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from stream.errors import UserError
from stream.kafka.control_topic.catalogue import ControlCatalogue
from stream.scores import ScoresError, decode
from stream.settings import Settings
from stream.tools import clients, reading
from stream.tools.event_lookup import parse_event
from stream.types import TP

from .console import Reading
from .store import Store

log = structlog.stdlib.get_logger("ember")

_POLL_SECONDS: Final = 0.2
_BATCH: Final = 200
"""Records of one turn: messages of scores have a thousand rows and more."""
_REFRESH_SECONDS: Final = 10.0
_RETRY_SECONDS: Final = 5.0
_CHECK_SECONDS: Final = 1.5
"""Time that a broker has to answer once the connections are gone."""
_HOUR_MS: Final = 3_600_000
_QUEUE_KIB: Final = 32_768
"""KiB that librdkafka fetches ahead."""

Source = Literal["scores", "events", "incidents", "control"]


class TopicReader:
    """Reads scores, events, incidents and documents into a store.

    Args:
        settings: Settings of the service.
        store: Store that takes the records.
        state: State of the reading, for health.
        clock: Wall clock, seconds since the epoch.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        state: Reading,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings, self._store, self._state = settings, store, state
        self._clock = clock
        self._sources = sources_of(settings)
        self._catalogue = ControlCatalogue()
        self._positions: dict[TP, int] = {}
        self._unread: set[TP] = set()
        self._next_refresh = 0.0
        self._oldest_ms = 0
        self._is_logged = self._has_control = self._is_cut_off = False

    def run(self, stop: threading.Event) -> None:
        """Read until an event is set.

        Args:
            stop: Event that ends the reading.

        Raises:
            UserError: If the broker refuses the login, or to be read.
        """
        while not stop.is_set():
            try:
                self._read(stop)
            except clients.UnreachableError as error:
                self._wait(stop, error.message)
            except UserError as error:
                # At the start somebody looks; later a topic that was made anew is no reason to end.
                if not self._positions:
                    raise
                self._wait(stop, error.message)
            except KafkaException as error:
                self._wait(stop, f"The broker refused to be read: {error.args[0].str()}.")

    def _wait(self, stop: threading.Event, trouble: str) -> None:
        if trouble != self._state.trouble:
            log.warning("waiting", reason=trouble)
        self._state.phase, self._state.trouble, self._state.lag = "waiting", trouble, None
        stop.wait(_RETRY_SECONDS)

    def _read(self, stop: threading.Event) -> None:
        kafka = self._settings.kafka
        embedded = clients.is_embedded(clients.fetch_metadata(kafka))
        # With `exactly_once` events are parts of transactions.
        consumer = clients.open_consumer(
            kafka,
            isolation__level="read_committed",
            queued__max__messages__kbytes=_QUEUE_KIB,
            error_cb=self._note_error,
        )
        self._is_cut_off = False
        try:
            self._next_refresh = 0.0
            while not stop.is_set():
                if time.monotonic() >= self._next_refresh:
                    self._follow_topics(consumer, embedded=embedded)
                    self._next_refresh = time.monotonic() + _REFRESH_SECONDS
                self._take(consumer.consume(_BATCH, timeout=_POLL_SECONDS))
                if self._is_cut_off:
                    # Idle connections may be closed too: only the question tells.
                    self._is_cut_off = False
                    clients.fetch_metadata(kafka, _CHECK_SECONDS)
                self._state.lag = self._lag(consumer)
        finally:
            consumer.close()

    def _note_error(self, error: KafkaError) -> None:
        """Note that no broker is connected; librdkafka says so while it reads."""
        if reading.is_cut_off(error):
            self._is_cut_off = True

    def _follow_topics(self, consumer: Consumer, *, embedded: bool) -> None:
        """Assign partitions that are there and are not read yet: topics may come later."""
        counts = clients.partition_counts(clients.fetch_metadata(self._settings.kafka))
        assigned = {(tp.topic, tp.partition) for tp in consumer.assignment()}
        new = {
            topic: counts[topic]
            for topic in self._sources
            if topic in counts
            and any((topic, number) not in assigned for number in range(counts[topic]))
        }
        if new:
            self._oldest_ms = round(self._clock() * 1000 - self._store.hours * _HOUR_MS)
            starts = self._starts(consumer, new, embedded=embedded)
            added = [tp for tp in starts if (tp.topic, tp.partition) not in assigned]
            consumer.incremental_assign(added)
            self._unread |= {(tp.topic, tp.partition) for tp in added}
            log.info("reading", topics=sorted(new), hours=self._store.hours)
        self._state.trouble = "" if counts else "the broker has no topics"
        self._note_phase()

    def _starts(
        self, consumer: Consumer, new: dict[str, int], *, embedded: bool
    ) -> list[TopicPartition]:
        """Return where each partition of new topics is read from."""
        starts = []
        by_time = {t: n for t, n in new.items() if self._sources[t] != "control"}
        if by_time:
            searched = reading.starts_since(
                consumer, by_time, self._oldest_ms, searchable=not embedded
            )
            for tp, position in searched.items():
                # A partition that was read before, until the connection was lost, goes on there.
                last_position = self._positions.get(tp)
                starts.append(
                    TopicPartition(*tp, position if last_position is None else last_position)
                )
        for topic in new.keys() - by_time.keys():
            self._catalogue = ControlCatalogue()  # compacted: documents of any age are in force
            starts.append(TopicPartition(topic, 0, OFFSET_BEGINNING))
        return starts

    def _take(self, messages: list[Message]) -> None:
        is_changed = False
        for message in messages:
            if message.error() is not None:
                if reading.is_partition_end(message):
                    tp = reading.partition_of(message)
                    self._positions[tp] = message.offset() or 0
                    self._unread.discard(tp)
                else:
                    reading.raise_if_fatal(message)
                continue
            tp, offset = reading.partition_of(message), message.offset() or 0
            self._positions[tp] = offset + 1
            source = self._sources[tp[0]]
            if source == "control":
                if offset < self._catalogue.next_offset:  # the topic was made anew
                    self._catalogue = ControlCatalogue()
                self._catalogue.take(offset, message.key(), message.value())
                is_changed = True
            elif message.timestamp()[1] >= self._oldest_ms and not self._take_one(source, message):
                self._state.invalid += 1
        if is_changed or not self._has_control:
            self._tell_control()
        self._note_phase()

    def _tell_control(self) -> None:
        """Hand over the documents, once their topic was read to its end."""
        tp = (self._settings.control_topic, 0)
        if tp in self._positions and tp not in self._unread and not self._catalogue.is_foreign:
            self._has_control = True
            self._store.take_control(self._catalogue.current, self._catalogue.changes())

    def _take_one(self, source: Source, message: Message) -> bool:
        """Take one record; return False for one that cannot be used."""
        value = message.value() or b""
        if source == "scores":
            try:
                self._store.take_scores(decode(value))
            except ScoresError as error:
                if not self._is_logged:
                    log.warning("scores cannot be read", error=error.message)
                self._is_logged = True
                return False
            return True
        if source == "incidents":
            self._store.take_incident(value)
            return True
        event = parse_event(message)
        if event is None:
            return False
        _, partition = reading.partition_of(message)
        self._store.take_event(event.id, event.kind, event.key, partition, event.raw)
        return True

    def _note_phase(self) -> None:
        self._state.phase = "reading" if self._unread else "running"

    def _lag(self, consumer: Consumer) -> int:
        """Return the number of records to read, by the watermarks of the last fetches."""
        lag = 0
        for tp, position in self._positions.items():
            watermarks: Any = consumer.get_watermark_offsets(TopicPartition(*tp), cached=True)
            lag += max(0, watermarks[1] - position) if watermarks else 0
        return lag


def sources_of(settings: Settings) -> dict[str, Source]:
    """Return the topics that the console reads, with what each of them holds.

    Args:
        settings: Settings of the service.

    Raises:
        UserError: If one topic has two meanings.
    """
    sources: dict[str, Source] = {}
    pairs: list[tuple[Source, tuple[str, ...]]] = [
        ("scores", settings.output_topics("scores")),
        ("events", settings.output_topics("anomalies")),
        ("events", settings.output_topics("triggers")),
        ("incidents", settings.output_topics("incidents")),
        ("control", (settings.control_topic,) if settings.control_topic else ()),
    ]
    for source, topics in pairs:
        for topic in topics:
            if sources.get(topic, source) != source:
                raise UserError(
                    f"Topic {topic!r} has two meanings. Expected a topic of its own for "
                    f"{source}. Received: also {sources[topic]}. Change [output] or control.topic."
                )
            sources[topic] = source
    return sources
