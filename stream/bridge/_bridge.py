"""Bridge from trigger topics to Alertmanager: at least once, and the present state only.

The group's offset of a partition is committed when Alertmanager has accepted everything before it;
the commit's metadata has the offset of the oldest trigger that still fires. After a restart, or on
another member of the group, reading starts there, so that all firing alerts are known again.
Nothing is sent while there is more to read: an alert that resolved meanwhile notifies nobody.
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
from stream.types import TP

from ._alertmanager import Cluster, Result
from ._alerts import Alerts

log = structlog.stdlib.get_logger("ember")

_BATCH = 250  # alerts in a request: some 300 KiB
_POLL_SECONDS = 0.5
_TOPIC_RETRY_SECONDS = 5.0
# Metadata of a commit; other tools may have set the offset without it.
_OLDEST = re.compile(r"firing-from=(\d+)")


class Bridge:
    """One member of the bridge's consumer group.

    Args:
        settings: Settings of the service.
        metrics: Metrics of the bridge.
        health: Health of the bridge.
        clock: Monotonic clock, in seconds.

    Raises:
        UserError: If a file named in the settings cannot be read.
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
        self._cluster = Cluster(settings.alertmanager, clock, self._on_result)
        self._alerts = Alerts(settings.alertmanager)
        self._topics = sorted(settings.output_topics("triggers"))
        self._positions: dict[TP, int] = {}
        self._committed: dict[TP, tuple[int, int | None]] = {}
        self._accepted: dict[TP, int] = {}  # committed offsets at the assignment
        self._catching_up: set[TP] = set()
        self._caught_up = True
        self._next_resend = 0.0

    @property
    def group(self) -> str:
        """Consumer group of the bridge."""
        return f"{self._settings.kafka.group}-alertmanager"

    def run(self, stop: threading.Event) -> None:
        """Run until an event is set.

        Args:
            stop: Event that stops the bridge.

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
            # Read, send, commit, in this order: a commit never passes an unsent alert.
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
        """Wait for a broker and the trigger topics, which workers create; False if stopped."""
        logged_reason = ""
        while not stop.is_set():
            try:
                counts = clients.partition_counts(clients.fetch_metadata(self._settings.kafka))
            except clients.UnreachableError as error:
                reason = error.message
            else:
                missing = [topic for topic in self._topics if topic not in counts]
                if not missing:
                    return True
                reason = f"there is no topic {missing[0]!r} yet: `ember run` creates it"
            self._health.worked(self._clock())
            self._health.phase("waiting", reason, self._clock())
            if reason != logged_reason:
                log.warning("waiting", reason=reason)
                logged_reason = reason
            stop.wait(_TOPIC_RETRY_SECONDS)
        return False

    # -- the group

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        starts = self._starts(consumer, partitions)
        consumer.assign(starts)
        self._catching_up |= {(tp.topic, tp.partition) for tp in starts}
        self._report_partitions(consumer)
        self._caught_up = False
        self._health.phase("recovering", "reads firing triggers", self._clock())

    def _starts(self, consumer: Consumer, partitions: list[TopicPartition]) -> list[TopicPartition]:
        """Return the offsets to start at: the oldest firing trigger of each partition.

        A partition without a commit starts at the first trigger within `alerts.max_age_seconds`.
        """
        seconds = clients.REQUEST_SECONDS
        starts = []
        uncommitted = []
        for tp in consumer.committed(partitions, timeout=seconds):
            if tp.offset < 0:
                uncommitted.append(tp)
                continue
            oldest = _OLDEST.fullmatch(tp.metadata or "")
            self._committed[tp.topic, tp.partition] = (tp.offset, oldest and int(oldest[1]))
            self._accepted[tp.topic, tp.partition] = tp.offset
            first = min(int(oldest[1]), tp.offset) if oldest else tp.offset
            starts.append(TopicPartition(tp.topic, tp.partition, first))
        if not uncommitted:
            return starts
        if clients.is_embedded(consumer.list_topics(timeout=seconds)):
            # The embedded broker cannot look up offsets by time.
            return starts + [
                TopicPartition(tp.topic, tp.partition, OFFSET_BEGINNING) for tp in uncommitted
            ]
        since_ms = int(1000 * (time.time() - self._settings.alerts.max_age_seconds))
        # End offsets first: a trigger written between the two requests must not be skipped.
        ends = [consumer.get_watermark_offsets(tp, timeout=seconds)[1] for tp in uncommitted]
        requests = [TopicPartition(tp.topic, tp.partition, since_ms) for tp in uncommitted]
        answers = consumer.offsets_for_times(requests, timeout=seconds)
        for tp, end in zip(answers, ends, strict=True):
            first = tp.offset if tp.offset >= 0 else end  # negative: all triggers are older
            starts.append(TopicPartition(tp.topic, tp.partition, first))
        return starts

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        # The partitions are still assigned during the callback: the next member starts here.
        self._commit(consumer)
        for revoked in partitions:
            tp = (revoked.topic, revoked.partition)
            self._alerts.drop(tp)
            self._catching_up.discard(tp)
            self._positions.pop(tp, None)
            self._committed.pop(tp, None)
            self._accepted.pop(tp, None)
        self._report_partitions(consumer)

    def _report_partitions(self, consumer: Consumer) -> None:
        assigned = {(tp.topic, tp.partition) for tp in consumer.assignment()}
        self._health.assigned(assigned, self._clock())

    # -- reading

    def _read(self, messages: Sequence[Message]) -> None:
        now = datetime.now(UTC)
        for message in messages:
            if message.error() is not None:
                if reading.is_partition_end(message):
                    tp = reading.partition_of(message)
                    self._catching_up.discard(tp)
                    self._positions[tp] = message.offset() or 0
                else:
                    reading.raise_if_fatal(message)
                continue
            tp, offset = reading.partition_of(message), message.offset()
            assert offset is not None
            headers = reading.headers_of(message)
            # Read again after a restart: its alert was accepted before the commit.
            is_sent = offset < self._accepted.get(tp, 0)
            body = message.value() or b""
            outcome = self._alerts.take(tp, offset, headers, body, now, is_sent=is_sent)
            self._positions[tp] = offset + 1
            self._metrics.trigger(outcome)
            if outcome == "invalid":
                log.warning("not a trigger", topic=tp[0], partition=tp[1], offset=offset)
            elif outcome == "withheld":
                log.warning("more alerts than alertmanager.max_alerts", firing=self._alerts.firing)

    # -- sending

    def _send(self) -> None:
        """Send the unsent alerts, once all partitions are read to their ends."""
        if self._catching_up:
            return
        now = self._clock()
        if not self._caught_up:
            self._caught_up = True
            self._health.phase("running", "", now)
            log.info("caught up", firing=self._alerts.firing, partitions=len(self._positions))
        if now >= self._next_resend:
            self._alerts.resend()
            self._next_resend = now + self._settings.alertmanager.resend_seconds
        for batch in list(self._alerts.batches(_BATCH)):
            if not self._cluster.deliver(self._alerts.payload(batch, datetime.now(UTC))):
                break
            self._alerts.sent(batch)
            self._metrics.accepted()
        self._health.alertmanager(self._cluster.trouble() if self._alerts.unsent else "")

    def _on_result(self, result: Result) -> None:
        """Count a request; each of many is a sign of life."""
        self._metrics.posted(result)
        self._health.worked(self._clock())

    def _commit(self, consumer: Consumer) -> None:
        """Commit the positions and the oldest firing triggers, once every alert is sent."""
        if self._alerts.unsent or self._catching_up:
            return
        oldest = self._alerts.oldest()
        current = {tp: (position, oldest.get(tp)) for tp, position in self._positions.items()}
        changed = {tp: entry for tp, entry in current.items() if self._committed.get(tp) != entry}
        if not changed:
            return
        offsets = [
            TopicPartition(*tp, position, "" if first is None else f"firing-from={first}")
            for tp, (position, first) in changed.items()
        ]
        try:
            consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:  # a rebalance or an absent broker: the next loop retries
            log.info("not committed", error=error.args[0].str())
        else:
            self._committed |= changed

    def _lag(self, consumer: Consumer) -> int:
        """Return the number of unread triggers, by the watermarks of the last fetches."""
        lag = 0
        for tp, position in self._positions.items():
            watermarks = consumer.get_watermark_offsets(TopicPartition(*tp), cached=True)
            lag += max(0, watermarks[1] - position) if watermarks else 0
        return lag
