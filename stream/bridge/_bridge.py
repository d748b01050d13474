"""Triggers from the topic to Alertmanager: at least once, and only what is so now.

The group's offset of a partition is committed when Alertmanager has accepted everything before it;
in the commit's metadata stands the offset of the oldest trigger that still fires. After a restart,
or on another member of the group, reading begins there, so that what fires is known again.
Nothing is sent while there is more to read: who failed and recovered meanwhile wakes nobody.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

from stream.errors import UserError
from stream.observe import BridgeHealth, BridgeMetrics
from stream.settings import Settings
from stream.tools import clients, reading

from ._alertmanager import Cluster, Result
from ._alerts import TP, Alerts

log = structlog.stdlib.get_logger("ember")

_PART = 250  # alerts in a request: some 300 KiB
_POLL_SECONDS = 0.5
_TOPIC_SECONDS = 5.0
_OLDEST = re.compile(r"firing-from=(\d+)")


class Bridge:
    """One member of the bridge's group.

    Args:
        settings: All of them.
        metrics: What it counts.
        health: What it tells of itself.
        clock: Monotonic seconds.

    Raises:
        UserError: If the settings name files that cannot be read.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: BridgeMetrics,
        health: BridgeHealth,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._health = health
        self._clock = clock
        self._cluster = Cluster(settings.alertmanager, clock, self._posted)
        self._alerts = Alerts(settings.alertmanager)
        self._topics = sorted({settings.output.topic("triggers", t) for t in settings.input.topics})
        self._positions: dict[TP, int] = {}
        self._committed: dict[TP, tuple[int, int | None]] = {}
        self._accepted: dict[TP, int] = {}  # offsets as of the assignment
        self._behind: set[TP] = set()
        self._caught_up = True
        self._remind_at = 0.0

    @property
    def group(self) -> str:
        """Its consumer group."""
        return f"{self._settings.kafka.group}-alertmanager"

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set.

        Raises:
            UserError: If the broker refuses the login, or to be read.
        """
        if not self._wait_for_topics(stop):
            return
        kafka = self._settings.kafka
        session = round(1000 * kafka.session_timeout_seconds)
        consumer = clients.open_consumer(kafka, self.group, session__timeout__ms=session)
        self._health.phase("joining", f"group {self.group}", self._clock())
        try:
            consumer.subscribe(self._topics, on_assign=self._assigned, on_revoke=self._revoked)
            log.info("started", group=self.group, topics=self._topics)
            while not stop.is_set():
                self._read(consumer.consume(500, timeout=_POLL_SECONDS))
                self._send()
                self._commit(consumer)
                self._health.worked(self._clock())
                self._metrics.state(self._alerts.firing, self._alerts.unsent, self._lag(consumer))
            log.info("stopping", firing=self._alerts.firing, unsent=self._alerts.unsent)
        except KafkaException as error:
            raise UserError(f"The broker refused the bridge: {error.args[0].str()}.") from None
        finally:
            consumer.close()

    def _wait_for_topics(self, stop: threading.Event) -> bool:
        """And for a broker; workers create the topics."""
        said = ""
        while not stop.is_set():
            try:
                there = clients.partition_counts(clients.fetch_metadata(self._settings.kafka))
            except clients.UnreachableError as error:
                why = error.message
            else:
                missing = [topic for topic in self._topics if topic not in there]
                if not missing:
                    return True
                why = f"there is no topic {missing[0]!r} yet: `ember run` creates it"
            self._health.worked(self._clock())
            self._health.phase("waiting", why, self._clock())
            if why != said:
                log.warning("waiting", why=why)
                said = why
            stop.wait(_TOPIC_SECONDS)
        return False

    # -- the group

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        starts = self._starts(consumer, partitions)
        consumer.assign(starts)
        self._behind |= {(at.topic, at.partition) for at in starts}
        self._tell_partitions(consumer)
        self._caught_up = False
        self._health.phase("recovering", "reads what fires", self._clock())

    def _starts(self, consumer: Consumer, partitions: list[TopicPartition]) -> list[TopicPartition]:
        """Where the oldest firing trigger is; without a commit, where today's news begins."""
        seconds = clients.REQUEST_SECONDS
        found = []
        new = []
        for at in consumer.committed(partitions, timeout=seconds):
            if at.offset < 0:
                new.append(at)
                continue
            oldest = _OLDEST.fullmatch(at.metadata or "")
            self._committed[at.topic, at.partition] = (at.offset, oldest and int(oldest[1]))
            self._accepted[at.topic, at.partition] = at.offset
            first = min(int(oldest[1]), at.offset) if oldest else at.offset
            found.append(TopicPartition(at.topic, at.partition, first))
        if not new:
            return found
        if clients.is_embedded(consumer.list_topics(timeout=seconds)):  # looks up no times
            return found + [TopicPartition(at.topic, at.partition, OFFSET_BEGINNING) for at in new]
        since = int(1000 * (time.time() - self._settings.alerts.max_age_seconds))
        # The ends first: what is written between the two questions must not be passed over.
        ends = [consumer.get_watermark_offsets(at, timeout=seconds)[1] for at in new]
        asked = [TopicPartition(at.topic, at.partition, since) for at in new]
        for at, end in zip(consumer.offsets_for_times(asked, timeout=seconds), ends, strict=True):
            first = at.offset if at.offset >= 0 else end  # all of it is older
            found.append(TopicPartition(at.topic, at.partition, first))
        return found

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._commit(consumer)
        for at in partitions:
            tp = (at.topic, at.partition)
            self._alerts.drop(tp)
            self._behind.discard(tp)
            self._positions.pop(tp, None)
            self._committed.pop(tp, None)
            self._accepted.pop(tp, None)
        self._tell_partitions(consumer)

    def _tell_partitions(self, consumer: Consumer) -> None:
        held = {(at.topic, at.partition) for at in consumer.assignment()}
        self._health.assigned(held, self._clock())

    # -- reading

    def _read(self, messages: Sequence[Message]) -> None:
        now = datetime.now(UTC)
        for message in messages:
            if message.error() is not None:
                if reading.is_partition_end(message):
                    tp = reading.partition_of(message)
                    self._behind.discard(tp)
                    self._positions[tp] = message.offset() or 0
                else:
                    reading.raise_if_fatal(message)
                continue
            tp, offset = reading.partition_of(message), message.offset()
            assert offset is not None
            headers = reading.headers_of(message)
            told = offset < self._accepted.get(tp, 0)
            body = message.value() or b""
            outcome = self._alerts.take(tp, offset, headers, body, now, told=told)
            self._positions[tp] = offset + 1
            self._metrics.trigger(outcome)
            if outcome == "invalid":
                log.warning("not a trigger", topic=tp[0], partition=tp[1], offset=offset)
            elif outcome == "withheld":
                log.warning("more alerts than alertmanager.max_alerts", held=self._alerts.firing)

    # -- sending

    def _send(self) -> None:
        """Tell what is to be told, once everything is read."""
        if self._behind:
            return
        now = self._clock()
        if not self._caught_up:
            self._caught_up = True
            self._health.phase("running", "", now)
            log.info("caught up", firing=self._alerts.firing, partitions=len(self._positions))
        if now >= self._remind_at:
            self._alerts.remind()
            self._remind_at = now + self._settings.alertmanager.resend_seconds
        for places in list(self._alerts.parts(_PART)):
            if not self._cluster.deliver(self._alerts.payload(places, datetime.now(UTC))):
                break
            self._alerts.told(places)
            self._metrics.accepted()
        self._health.alertmanager(self._cluster.trouble() if self._alerts.unsent else "")

    def _posted(self, result: Result) -> None:
        """One request was made: of many, each is a step."""
        self._metrics.posted(result)
        self._health.worked(self._clock())

    def _commit(self, consumer: Consumer) -> None:
        """Keep how far everything is told, and from where on something still fires."""
        if self._alerts.unsent or self._behind:
            return
        oldest = self._alerts.oldest()
        now = {tp: (position, oldest.get(tp)) for tp, position in self._positions.items()}
        new = {tp: at for tp, at in now.items() if self._committed.get(tp) != at}
        if not new:
            return
        offsets = [
            TopicPartition(*tp, position, "" if first is None else f"firing-from={first}")
            for tp, (position, first) in new.items()
        ]
        try:
            consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:  # a rebalance, or a broker that is away: again soon
            log.info("not committed", why=error.args[0].str())
        else:
            self._committed |= new

    def _lag(self, consumer: Consumer) -> int:
        """Triggers to be read, as far as the last answers of the brokers tell."""
        lag = 0
        for tp, position in self._positions.items():
            marks = consumer.get_watermark_offsets(TopicPartition(*tp), cached=True)
            lag += max(0, marks[1] - position) if marks else 0
        return lag
