"""Bridge from trigger topics to a receiver: at least once, and known again after a restart.

The group's offset of a partition is that of its first trigger which the receiver has not accepted;
the commit's metadata has the offset of the oldest trigger that still fires. After a restart, or on
another member of the group, reading starts there, so that all firing alerts are known again.
Nothing is sent while there is more to read: an alert that resolved meanwhile notifies nobody.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime

import structlog
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from stream.observe import BridgeHealth, BridgeMetrics
from stream.settings import Settings
from stream.tools import reading
from stream.types import TP

from ._alerts import AlertTable
from ._control_reader import ControlReader
from ._http import Result
from ._orders import Orders
from ._progress import Progress
from ._reading import first_offsets, group_member, wait_for_topics
from ._receiver import Receiver
from ._receivers import RECEIVERS, ReceiverName

log = structlog.stdlib.get_logger("ember")

_POLL_SECONDS = 0.5


class Bridge:
    """One member of the bridge's consumer group.

    Args:
        name: Name of the receiver.
        settings: Settings of the service.
        metrics: Metrics of the bridge.
        health: Health of the bridge.
        clock: Monotonic clock, in seconds.

    Raises:
        UserError: If the receiver has no address, or a file of the settings cannot be read.
    """

    def __init__(
        self,
        name: ReceiverName,
        settings: Settings,
        metrics: BridgeMetrics,
        health: BridgeHealth,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._health = health
        self._clock = clock
        self._receiver = _receiver(name, settings, clock, self._on_result)
        section = self._receiver.section
        keeps_short = self._receiver.keeps_short
        self._alerts = AlertTable(
            section.max_alerts, keeps_short=keeps_short, takes_digest=keeps_short
        )
        self._topics = sorted(settings.output_topics(section.source))
        self._control = ControlReader(settings, clock)
        self._orders = Orders(self._control.current)
        self._positions: dict[TP, int] = {}
        self._committed: dict[TP, tuple[int, str]] = {}
        self._former: dict[TP, Progress] = {}  # at the assignment
        self._catching_up: set[TP] = set()
        self._caught_up = True

    @property
    def group(self) -> str:
        """Consumer group of the bridge."""
        return f"{self._settings.kafka.group}-{self._receiver.name}"

    def run(self, stop: threading.Event) -> None:
        """Run until an event is set.

        Args:
            stop: Event that stops the bridge.

        Raises:
            UserError: If the broker refuses the login, or to be read.
        """
        source = self._receiver.section.source
        creator = "`ember run`" if source == "triggers" else "`ember incidents`"
        if not wait_for_topics(self._settings, self._topics, creator, self._health, stop):
            return
        member = group_member(self._settings, self.group, self._health, self._clock(), "the bridge")
        with closing(self._control), member as consumer:
            consumer.subscribe(self._topics, on_assign=self._assigned, on_revoke=self._revoked)
            log.info("started", group=self.group, topics=self._topics)
            # Read, send, commit, in this order: a commit never passes an unsent alert.
            while not stop.is_set():
                self._read(consumer.consume(500, timeout=_POLL_SECONDS))
                self._send()
                self._commit(consumer)
                self._health.worked(self._clock())
                self._metrics.state(
                    firing=self._alerts.firing,
                    unsent=self._receiver.overdue if self._caught_up else self._unsent,
                    waiting=self._unsent,
                    silenced=self._alerts.silenced,
                    lag=self._lag(consumer),
                )
            log.info("stopping", firing=self._alerts.firing, unsent=self._unsent)

    # -- the group

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        starts, former = first_offsets(consumer, partitions, self._settings.alerts.max_age_seconds)
        self._former |= former
        for progress in former.values():
            self._receiver.threads |= progress.threads
        consumer.assign(starts)
        self._catching_up |= {(tp.topic, tp.partition) for tp in starts}
        self._report_partitions(consumer)
        self._caught_up = False
        self._health.phase("recovering", "reads firing triggers", self._clock())

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        # The partitions are still assigned during the callback: the next member starts here.
        self._commit(consumer)
        for revoked in partitions:
            tp = (revoked.topic, revoked.partition)
            self._alerts.drop(tp)
            self._catching_up.discard(tp)
            self._positions.pop(tp, None)
            self._committed.pop(tp, None)
            self._former.pop(tp, None)
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
            is_sent = tp in self._former and self._former[tp].is_sent(offset)
            body = message.value() or b""
            # Without a commit nobody has read here: alerts that have ended are history.
            is_past = tp in self._catching_up and tp not in self._former
            outcome = self._alerts.take(
                tp, offset, headers, body, now, is_sent=is_sent, is_past=is_past
            )
            self._positions[tp] = offset + 1
            self._metrics.trigger(outcome)
            if outcome == "invalid":
                log.warning("not a trigger", topic=tp[0], partition=tp[1], offset=offset)
            elif outcome == "withheld":
                setting = f"{self._receiver.name}.max_alerts"
                log.warning("more alerts than may be sent", setting=setting)

    # -- sending

    def _send(self) -> None:
        """Send the messages that are due, once all topics are read to their ends."""
        former = self._control.current
        self._control.poll()
        self._health.control(self._control.trouble)
        if self._control.current is not former:
            self._orders = Orders(self._control.current)
        if self._catching_up:
            return
        if not self._control.is_ready:
            reason = self._control.trouble or "reads silences and acknowledgements"
            self._health.phase("waiting", reason, self._clock())
            self._caught_up = False
            return
        if not self._caught_up:
            self._caught_up = True
            self._health.phase("running", "", self._clock())
            log.info("caught up", firing=self._alerts.firing, partitions=len(self._positions))
        now = datetime.now(UTC)
        self._alerts.hold(
            self._orders.is_silenced,
            self._orders.acknowledgement,
            now,
            repeats=self._receiver.repeats,
        )
        self._receiver.send(self._alerts, now)
        self._health.receiver(self._receiver.trouble)

    @property
    def _unsent(self) -> int:
        return len(self._alerts.unsent)

    def _on_result(self, result: Result) -> None:
        """Count a request; each of many is a sign of life."""
        self._metrics.posted(result)
        self._health.worked(self._clock())

    def _commit(self, consumer: Consumer) -> None:
        """Commit the progress of each partition, where it is another than at the last commit."""
        if self._catching_up:
            return
        changed = {}
        for tp, progress in self._progress().items():
            entry = (progress.offset, progress.metadata())
            if self._committed.get(tp) != entry:
                changed[tp] = entry
        if not changed:
            return
        offsets = [TopicPartition(*tp, offset, text) for tp, (offset, text) in changed.items()]
        try:
            consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:  # a rebalance or an absent broker: the next loop retries
            log.info("not committed", error=error.args[0].str())
        else:
            self._committed |= changed

    def _progress(self) -> dict[TP, Progress]:
        """Return the progress of every partition that was read."""
        oldest = self._alerts.oldest()
        unsent: dict[TP, list[int]] = {}
        for alert in self._alerts.unaccepted:
            if alert.unsent is not None:
                unsent.setdefault(alert.id.tp, []).append(alert.unsent)
        threads: dict[TP, dict[str, str]] = {}
        if self._receiver.threads:
            for alert in self._alerts:
                group = self._receiver.group_of(alert)
                if group in self._receiver.threads:
                    message = self._receiver.threads[group]
                    threads.setdefault(alert.id.tp, {})[group] = message
        return {
            tp: Progress.of(position, unsent.get(tp, ()), oldest.get(tp), threads.get(tp, {}))
            for tp, position in self._positions.items()
        }

    def _lag(self, consumer: Consumer) -> int:
        """Return the number of unread triggers, by the watermarks of the last fetches."""
        lag = 0
        for tp, position in self._positions.items():
            watermarks = consumer.get_watermark_offsets(TopicPartition(*tp), cached=True)
            lag += max(0, watermarks[1] - position) if watermarks else 0
        return lag


def _receiver(
    name: ReceiverName,
    settings: Settings,
    clock: Callable[[], float],
    on_result: Callable[[Result], None],
) -> Receiver:
    """Return the receiver of a name, with its section of the settings."""
    return RECEIVERS[name](getattr(settings, name), settings.alerts.link, clock, on_result)
