"""Process that reads scores and triggers, and writes series: at least once.

An offset is committed when the store has accepted everything before it. The commit's metadata says
from where the rows before an alert are read again after a restart, and the triggers that still
matter. Rows that were accepted are not sent again, but for those of alerts that are new.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal

import structlog
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from stream.bridge import Progress, Result, first_offsets, group_member, wait_for_topics
from stream.errors import UserError
from stream.key_pattern import KeyPattern
from stream.observe import BridgeHealth, RemoteWriteMetrics
from stream.scores import ScoresError, decode
from stream.settings import Settings
from stream.tools import reading
from stream.types import TP

from ._positions import RowPositions
from ._selection import Selection
from ._sender import OUTCOMES, Outcome, Sender

log = structlog.stdlib.get_logger("ember")

READ: Final = ("scores", "firing", "resolved", "withheld", "invalid")
"""Outcome of a record; `withheld` is a trigger beyond the keys that are followed at a time."""

_POLL_SECONDS = 0.5
_RECORDS = 64
"""Records of a turn: one of the scores topic may hold thousands of rows."""
_COMMIT_SECONDS = 5.0
_RESERVED = ("key", "topic", "channel")


class RemoteWriter:
    """One member of the group that writes series.

    Args:
        settings: Settings of the service.
        metrics: Metrics of the process.
        health: Health of the process.
        clock: Monotonic clock, in seconds.

    Raises:
        UserError: If no worker writes scores, or the authorities cannot be read.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: RemoteWriteMetrics,
        health: BridgeHealth,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        section = settings.remote_write
        if not settings.output.scored_keys:
            raise UserError(
                'Workers write no scores. Expected output.scores = "all", or patterns of keys, in '
                "the settings of the workers and of this process. Received: output.scores = "
                '"off". Set it, and restart the workers.',
                exit_code=2,
            )
        self._settings, self._metrics, self._health = settings, metrics, health
        self._clock = clock
        self._selection = Selection(section)
        self._labels = _Labels(settings)
        self._sender = Sender(section, self._labels.of, clock, self._on_result, self._on_samples)
        self._scores = frozenset(settings.output_topics("scores"))
        self._triggers = sorted(settings.output_topics("triggers"))
        self._rows = RowPositions(round(1_000_000 * section.before_seconds))
        self._inputs: dict[TP, TP] = {}
        self._positions: dict[TP, int] = {}  # of the triggers
        self._former: dict[TP, Progress] = {}
        self._committed: dict[TP, tuple[int, str]] = {}
        self._next_commit = float("-inf")
        self._unread: set[TP] = set()  # triggers, to be read before any rows
        self._pause: Literal["", "rows", "all"] = ""
        self._left_out = 0

    @property
    def group(self) -> str:
        """Consumer group of the process."""
        return f"{self._settings.kafka.group}-remote-write"

    def run(self, stop: threading.Event) -> None:
        """Run until an event is set.

        Args:
            stop: Event that stops the process.

        Raises:
            UserError: If the broker refuses the login, or to be read.
        """
        topics = [*sorted(self._scores), *self._triggers]
        creator = "`ember run` with output.scores"
        if not wait_for_topics(self._settings, topics, creator, self._health, stop):
            return
        member = group_member(
            self._settings,
            self.group,
            self._health,
            self._clock(),
            "remote-write",
            isolation__level="read_committed",  # with `exactly_once` triggers are in transactions
        )
        with member as consumer:
            consumer.subscribe(topics, on_assign=self._assigned, on_revoke=self._revoked)
            log.info("started", group=self.group, topics=topics)
            while not stop.is_set():
                self._turn(consumer)
            log.info("stopping", keys=self._selection.keys, waiting=self._sender.waiting)

    def _turn(self, consumer: Consumer) -> None:
        """Read, send and commit, in this order: a commit never passes rows that wait."""
        self._read(consumer.consume(_RECORDS, timeout=_POLL_SECONDS))
        if not self._unread:
            self._sender.put(self._selection.begun())
        is_empty = self._sender.send()
        # While samples wait nothing is read, so that memory is bounded and the group is kept.
        self._hold(consumer)
        if is_empty and self._clock() >= self._next_commit:
            self._commit(consumer)
        self._report(consumer)

    # -- the group

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        rows = [tp for tp in partitions if tp.topic in self._scores]
        triggers = [tp for tp in partitions if tp.topic not in self._scores]
        row_seconds = self._settings.remote_write.before_seconds
        trigger_seconds = self._settings.alerts.max_age_seconds
        starts: list[TopicPartition] = []
        for members, seconds in ((rows, row_seconds), (triggers, trigger_seconds)):
            if members:
                first, former = first_offsets(consumer, members, seconds)
                starts += first
                self._former |= former
        consumer.assign(starts)
        self._unread |= {(tp.topic, tp.partition) for tp in triggers}
        self._pause = ""
        self._hold(consumer)
        self._own(consumer)
        self._health.phase("recovering", "reads triggers and rows", self._clock())

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        # The partitions are still assigned during the callback: the next member starts here.
        if not self._sender.waiting:
            self._commit(consumer)
        for revoked in partitions:
            tp = (revoked.topic, revoked.partition)
            self._selection.drop(tp)
            if tp in self._inputs:
                self._selection.drop_input(*self._inputs.pop(tp))
            self._rows.drop(tp)
            self._unread.discard(tp)
            for table in (self._positions, self._former, self._committed):
                table.pop(tp, None)
        self._own(consumer)

    def _own(self, consumer: Consumer) -> None:
        assigned = {(tp.topic, tp.partition) for tp in consumer.assignment()}
        self._health.assigned(assigned, self._clock())

    def _hold(self, consumer: Consumer) -> None:
        """Pause the partitions that are not read now: all, or those of rows; resume the others."""
        pause: Literal["", "rows", "all"] = "rows" if self._unread else ""
        if self._sender.waiting:
            pause = "all"
        if pause == self._pause:
            return
        self._pause = pause
        assigned = consumer.assignment()
        consumer.resume(assigned)
        if pause:
            consumer.pause([tp for tp in assigned if pause == "all" or tp.topic in self._scores])

    # -- reading

    def _read(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if message.error() is not None:
                if reading.is_partition_end(message):
                    self._reached_end(message)
                else:
                    reading.raise_if_fatal(message)
                continue
            tp, offset = reading.partition_of(message), message.offset()
            assert offset is not None
            is_known = tp in self._former and offset < self._former[tp].offset
            body = message.value() or b""
            if tp[0] in self._scores:
                self._read_rows(tp, offset, body, is_known=is_known)
                continue
            outcome = self._selection.episodes.take(
                tp, offset, message.key() or b"", body, is_known=is_known
            )
            self._positions[tp] = offset + 1
            self._metrics.record(outcome)
            if outcome == "invalid":
                log.warning("not a trigger", topic=tp[0], partition=tp[1], offset=offset)

    def _read_rows(self, tp: TP, offset: int, body: bytes, *, is_known: bool) -> None:
        try:
            batch = decode(body)
        except ScoresError as error:
            self._metrics.record("invalid")
            self._rows.reached(tp, offset + 1)
            log.warning("not scored rows", topic=tp[0], partition=tp[1], error=str(error))
            return
        self._metrics.record("scores")
        self._inputs[tp] = batch.topic, batch.partition
        if len(batch):
            self._rows.read(tp, offset, int(batch.time_us.max()))
        self._sender.put(self._selection.rows(tp, batch, is_known=is_known))
        if self._selection.left_out > self._left_out:
            self._on_samples("left_out", self._selection.left_out - self._left_out)
            self._left_out = self._selection.left_out
            log.warning("more series than may be written", setting="remote_write.max_series")

    def _reached_end(self, message: Message) -> None:
        tp = reading.partition_of(message)
        if tp[0] in self._scores:
            self._rows.reached(tp, message.offset() or 0)
            return
        self._positions[tp] = message.offset() or 0
        if tp in self._unread:
            self._unread.discard(tp)
            if not self._unread:
                log.info("caught up", firing=self._selection.episodes.firing)

    # -- results

    def _on_result(self, result: Result) -> None:
        """Count a request; each of many is a sign of life."""
        self._metrics.posted(result)
        self._health.worked(self._clock())

    def _on_samples(self, outcome: Outcome, count: int) -> None:
        assert outcome in OUTCOMES
        self._metrics.samples(outcome, count)

    def _commit(self, consumer: Consumer) -> None:
        """Commit the progress of each partition, where it is another than at the last commit."""
        if self._unread:
            return
        self._next_commit = self._clock() + _COMMIT_SECONDS
        oldest = self._selection.episodes.oldest()
        progress = self._rows.progress() | {
            tp: Progress.of(position, (), oldest.get(tp), {})
            for tp, position in self._positions.items()
        }
        entries = {tp: (part.offset, part.metadata()) for tp, part in progress.items()}
        changed = {tp: entry for tp, entry in entries.items() if self._committed.get(tp) != entry}
        if not changed:
            return
        offsets = [TopicPartition(*tp, offset, text) for tp, (offset, text) in changed.items()]
        try:
            consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:  # a rebalance or an absent broker: the next turn retries
            log.info("not committed", error=error.args[0].str())
        else:
            self._committed |= changed

    def _report(self, consumer: Consumer) -> None:
        self._health.worked(self._clock())
        self._health.receiver(self._sender.trouble)
        if consumer.assignment() and not self._unread:
            self._health.phase("running", "", self._clock())
        selection = self._selection
        self._metrics.state(
            keys=selection.keys,
            firing=selection.episodes.firing,
            series=selection.series,
            history_bytes=selection.history.nbytes,
            evicted=selection.history.evicted,
            waiting=self._sender.waiting,
            lag=self._lag(consumer),
        )

    def _lag(self, consumer: Consumer) -> int:
        """Return the number of unread records, by the watermarks of the last fetches."""
        positions = {tp: part.read_to for tp, part in self._rows.progress().items()}
        lag = 0
        for tp, position in (positions | self._positions).items():
            watermarks = consumer.get_watermark_offsets(TopicPartition(*tp), cached=True)
            lag += max(0, watermarks[1] - position) if watermarks else 0
        return lag


class _Labels:
    """Labels of a key beside its own: those of the settings, and of the pattern of keys."""

    def __init__(self, settings: Settings) -> None:
        self._pattern = KeyPattern(settings.incidents.key_pattern)
        self._common = settings.remote_write.labels

    def of(self, key: str) -> Mapping[str, str]:
        """Return the labels of a key.

        Args:
            key: Text of the key.
        """
        fields = self._pattern.labels(key).items()
        labels = {n: v for n, v in fields if n not in _RESERVED and not n.startswith("__")}
        # The settings' labels win: queries depend on them.
        return {**labels, **self._common}
