"""Process that makes incidents of triggers: at least once, and known again after a restart.

The topic of incidents has one partition. The member of the group that owns it reads all triggers of
its streams, since keys of every partition may be related; the other members stand by. Its own
messages say which incidents are open, and the triggers since the oldest that fires say which keys
are in them. Both are read before anything is written.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

from stream import correlation
from stream.configure import INCIDENTS_CONFIG, incident_rules
from stream.correlation import Correlator, IncidentBody, PageBudget
from stream.errors import UserError
from stream.observe import BridgeHealth, IncidentMetrics
from stream.settings import Settings
from stream.tools import clients, reading
from stream.types import TP

from ._progress import Progress
from ._reading import first_offsets, group_member, wait_for_topics

log = structlog.stdlib.get_logger("ember")

_POLL_SECONDS = 0.5
_FLUSH_SECONDS = 10.0
_TYPE = b"dev.ember.incident.v1"


class _Stream:
    """One topic of incidents that this member owns, and its triggers."""

    def __init__(self, topics: Sequence[str], correlator: Correlator) -> None:
        self.topics = topics
        self.correlator = correlator
        self.bodies: list[tuple[float, IncidentBody]] = []
        self.is_restored = False
        self.catching_up: set[TP] = set()

    @property
    def is_ready(self) -> bool:
        """True when both kinds of topics were read to their ends."""
        return self.is_restored and not self.catching_up


class Incidents:
    """One member of the group that makes incidents.

    Args:
        settings: Settings of the service.
        metrics: Metrics of the process.
        health: Health of the process.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: IncidentMetrics,
        health: BridgeHealth,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._health = health
        self._clock = clock
        self._topics = _topics(settings)
        self._streams: dict[str, _Stream] = {}
        self._of_triggers: dict[str, _Stream] = {}
        self._former: dict[TP, Progress] = {}
        self._positions: dict[TP, int] = {}
        self._committed: dict[TP, tuple[int, str]] = {}
        self._trouble = ""

    @property
    def group(self) -> str:
        """Consumer group of the process."""
        return f"{self._settings.kafka.group}-incidents"

    def run(self, stop: threading.Event) -> None:
        """Run until an event is set.

        Args:
            stop: Event that stops the process.

        Raises:
            UserError: If the broker refuses the login, or a topic cannot be used.
        """
        kafka = self._settings.kafka
        triggers = sorted({topic for topics in self._topics.values() for topic in topics})
        if not wait_for_topics(self._settings, triggers, "`ember run`", self._health, stop):
            return
        self._create_topics()
        # With `exactly_once` triggers are parts of transactions.
        reader = clients.open_consumer(kafka, isolation__level="read_committed")
        producer = clients.open_producer(kafka)
        own = group_member(
            self._settings, self.group, self._health, time.monotonic(), "the incidents"
        )
        # The member is closed first: it gives its partitions back, for which it needs the reader.
        with closing(reader), own as member:
            member.subscribe(
                sorted(self._topics),
                on_assign=lambda consumer, tps: self._assigned(consumer, reader, tps),
                on_revoke=lambda consumer, tps: self._revoked(consumer, reader, tps),
            )
            log.info("started", group=self.group, topics=sorted(self._topics))
            while not stop.is_set():
                # The reader waits for records, so that the member only looks.
                self._restore(member.consume(1_000, timeout=0.05), member, reader)
                self._read(reader.consume(1_000, timeout=_POLL_SECONDS))
                self._write(clients.Deliveries(producer))
                self._commit(member)
                self._report(reader)
            log.info("stopping", group=self.group)

    def _create_topics(self) -> None:
        """Create the missing topics of incidents.

        Raises:
            UserError: If the cluster refuses, or one has several partitions.
        """
        kafka = self._settings.kafka
        counts = clients.partition_counts(clients.fetch_metadata(kafka))
        for topic in self._topics:
            if topic not in counts:
                clients.create_topic(kafka, topic, 1, **INCIDENTS_CONFIG)
            elif counts[topic] != 1:
                raise UserError(
                    "Incidents need all triggers of a stream in one process. Expected one partition"
                    f" in the topic of incidents. Received: {topic!r} with {counts[topic]}. Delete "
                    "it, or name another one as output.incidents."
                )

    # -- the group

    def _assigned(
        self, member: Consumer, reader: Consumer, partitions: list[TopicPartition]
    ) -> None:
        # Its own messages first, all of them: a few a day.
        member.assign(
            [TopicPartition(tp.topic, tp.partition, OFFSET_BEGINNING) for tp in partitions]
        )
        for tp in partitions:
            self._streams[tp.topic] = _Stream(self._topics[tp.topic], _correlator(self._settings))
        self._own(member)
        self._health.phase("recovering", "reads incidents and triggers", time.monotonic())

    def _revoked(
        self, member: Consumer, reader: Consumer, partitions: list[TopicPartition]
    ) -> None:
        self._commit(member)
        for tp in partitions:
            stream = self._streams.pop(tp.topic, None)
            for topic in () if stream is None else stream.topics:
                self._of_triggers.pop(topic, None)
        for table in (self._former, self._positions, self._committed):
            for key in [key for key in table if key[0] not in self._of_triggers]:
                del table[key]
        reader.assign([TopicPartition(*tp, position) for tp, position in self._positions.items()])
        self._own(member)

    def _own(self, member: Consumer) -> None:
        owned = {(topic, 0) for topic in self._streams}
        self._health.assigned(owned, time.monotonic())

    # -- reading

    def _restore(self, messages: Sequence[Message], member: Consumer, reader: Consumer) -> None:
        """Read the topics of incidents to their ends; then begin with the triggers."""
        for message in messages:
            topic = message.topic()
            stream = self._streams.get(topic or "")
            if message.error() is not None:
                reading.raise_if_fatal(message)
                if reading.is_partition_end(message) and stream and not stream.is_restored:
                    stream.is_restored = True
                    stream.correlator.restore(stream.bodies, self._clock())
                    stream.bodies.clear()
                    self._begin(stream, member, reader)
                continue
            body = correlation.read_incident(message.value() or b"")
            if stream is not None and not stream.is_restored and body is not None:
                stream.bodies.append((message.timestamp()[1] / 1000, body))

    def _begin(self, stream: _Stream, member: Consumer, reader: Consumer) -> None:
        """Begin to read the triggers of a stream."""
        counts = clients.partition_counts(clients.fetch_metadata(self._settings.kafka))
        partitions = [
            TopicPartition(topic, partition)
            for topic in stream.topics
            for partition in range(counts.get(topic, 0))
        ]
        age = self._settings.alerts.max_age_seconds
        starts, former = first_offsets(member, partitions, age)
        self._former |= former
        stream.catching_up = {(tp.topic, tp.partition) for tp in starts}
        for topic in stream.topics:
            self._of_triggers[topic] = stream
        current = [TopicPartition(*tp, position) for tp, position in self._positions.items()]
        reader.assign(current + starts)

    def _read(self, messages: Sequence[Message]) -> None:
        now = self._clock()
        for message in messages:
            stream = self._of_triggers.get(message.topic() or "")
            if message.error() is not None:
                reading.raise_if_fatal(message)
                if reading.is_partition_end(message) and stream is not None:
                    tp = reading.partition_of(message)
                    stream.catching_up.discard(tp)
                    self._positions[tp] = message.offset() or 0
                continue
            tp, offset = reading.partition_of(message), message.offset()
            assert offset is not None
            if stream is None:
                continue
            self._positions[tp] = offset + 1
            headers = reading.headers_of(message)
            trigger = correlation.read_trigger(message.value() or b"", headers.get("ce_id", ""))
            if trigger is None:
                self._metrics.trigger("invalid")
                log.warning("not a trigger", topic=tp[0], partition=tp[1], offset=offset)
                continue
            outcome = stream.correlator.take(
                tp,
                offset,
                trigger,
                now,
                is_backlog="ember.backlog" in headers,
                is_sent=tp in self._former and self._former[tp].is_sent(offset),
            )
            self._metrics.trigger(outcome)
            if outcome == "withheld":
                log.warning("more alerts than may fire", setting="incidents.max_alerts")

    # -- writing

    def _write(self, deliveries: clients.Deliveries) -> None:
        """Write the messages that are due, and wait for their acknowledgement."""
        source = f"/ember-stream/{self._settings.kafka.group}".encode()
        batch = []
        for topic, stream in self._streams.items():
            if stream.is_ready:
                messages = stream.correlator.due(self._clock())
                batch += [(topic, stream, message) for message in messages]
        for topic, _, message in batch:
            headers = [
                ("ce_specversion", b"1.0"),
                ("ce_id", message.id.encode()),
                ("ce_type", _TYPE),
                ("ce_source", source),
                ("ce_time", (message.body.ends_at or message.body.latest).encode()),
                ("content-type", b"application/json"),
            ]
            key = message.body.id.encode()
            deliveries.put(topic, partition=0, key=key, value=message.value, headers=headers)
        self._trouble = deliveries.flush(_FLUSH_SECONDS) if batch else self._trouble
        if not batch:
            self._trouble = ""
        self._metrics.unwritten = len(batch) if self._trouble else 0
        self._health.receiver(self._trouble)
        if self._trouble:
            self._metrics.posted("failed")
            log.warning("incidents not written", error=self._trouble)
            return
        for _, stream, message in batch:
            stream.correlator.written(message, self._clock())
            self._metrics.posted("accepted")
            self._metrics.message(message.body.status, page=message.body.page)
            log.info(
                "incident",
                id=message.body.id,
                status=message.body.status,
                keys=message.body.member_count,
                page=message.body.page,
            )

    def _commit(self, member: Consumer) -> None:
        """Commit the progress of each partition of triggers, where it has changed."""
        changed = {}
        for stream in self._streams.values():
            if not stream.is_ready:
                continue
            oldest = stream.correlator.oldest()
            unsent: dict[TP, list[int]] = {}
            for tp, offset in stream.correlator.unwritten():
                unsent.setdefault(tp, []).append(offset)
            for tp, position in self._positions.items():
                if tp[0] in stream.topics:
                    progress = Progress.of(position, unsent.get(tp, ()), oldest.get(tp), {})
                    changed[tp] = (progress.offset, progress.metadata())
        changed = {tp: entry for tp, entry in changed.items() if self._committed.get(tp) != entry}
        if not changed:
            return
        offsets = [TopicPartition(*tp, offset, text) for tp, (offset, text) in changed.items()]
        try:
            member.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:  # a rebalance or an absent broker: the next loop retries
            log.info("not committed", error=error.args[0].str())
        else:
            self._committed |= changed

    def _report(self, reader: Consumer) -> None:
        now = time.monotonic()
        self._health.worked(now)
        if all(stream.is_ready for stream in self._streams.values()):
            detail = "" if self._streams else "stands by: another member makes the incidents"
            self._health.phase("running", detail, now)
        lag = 0
        for tp, position in self._positions.items():
            watermarks = reader.get_watermark_offsets(TopicPartition(*tp), cached=True)
            lag += max(0, watermarks[1] - position) if watermarks else 0
        correlators = [stream.correlator for stream in self._streams.values()]
        self._metrics.state(
            firing=sum(correlator.firing for correlator in correlators),
            unsent=self._metrics.unwritten,
            waiting=sum(len(list(correlator.unwritten())) for correlator in correlators),
            lag=lag,
        )
        self._metrics.open(sum(correlator.open for correlator in correlators))


def _topics(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Return the trigger topics of each topic of incidents.

    Raises:
        UserError: If triggers of one topic would belong to two topics of incidents.
    """
    topics: dict[str, tuple[str, ...]] = {}
    for stream in settings.streams:
        incidents = settings.output.topic("incidents", stream)
        triggers = settings.output.topic("triggers", stream)
        topics[incidents] = tuple(dict.fromkeys((*topics.get(incidents, ()), triggers)))
    names = [topic for group in topics.values() for topic in group]
    if len(set(names)) < len(names):
        raise UserError(
            "Two streams share a topic of triggers and not that of incidents. Expected one topic of"
            f" incidents for them. Received: output.incidents={settings.output.incidents!r}. Set it"
            " to a name without `<input>`.",
            exit_code=2,
        )
    return topics


def _correlator(settings: Settings) -> Correlator:
    per_week = settings.alerts.pages_per_week
    return Correlator(incident_rules(settings), None if per_week is None else PageBudget(per_week))
