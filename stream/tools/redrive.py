"""Redrive of dead letters: send them to the topic they came from, or to another one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from confluent_kafka import KafkaException

from stream.errors import UserError
from stream.rekeying import SEQUENCE_HEADER
from stream.settings import KafkaSection
from stream.types import TP

from .clients import Deliveries, open_producer
from .dead_letters import REPLAYS_HEADER, DeadLetter, DeadLetterLog, Selection
from .partitioners import PartitionerName, partitioner_of

_BATCH: Final = 1_000


@dataclass
class Summary:
    """Result of a redrive.

    Attributes:
        sent: Number of dead letters sent, by reason of the refusal.
        refused: Number of dead letters that could not be sent, by cause.
        left_behind: Number of dead letters skipped because their records are too old.
    """

    sent: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    left_behind: int = 0


@dataclass(frozen=True)
class Target:
    """Destination of dead letters.

    Attributes:
        partitions: Number of partitions of each topic that may be written to.
        topic: Topic; empty for the one each record came from.
        partitioner: Partitioner that chooses the partition by the key; None for the partition
            each record came from.
        max_replays: Number of replays after which a record is refused.
    """

    partitions: Mapping[str, int]
    topic: str = ""
    partitioner: PartitionerName | None = None
    max_replays: int = 3

    def refusal(self, letter: DeadLetter) -> str:
        """Return the cause why a dead letter cannot be sent, or an empty string."""
        if letter.defect:
            return letter.defect
        if letter.replays >= self.max_replays:
            return "replayed_too_often"
        count = self.partitions.get(self.topic or letter.topic)
        if count is None:
            return "not_of_an_input"
        if not self.topic and not self.partitioner and not 0 <= letter.partition < count:
            return "no_such_partition"
        return ""


class Sender:
    """Producer of redriven records.

    Args:
        kafka: The `[kafka]` section.
        target: Destination of the records.
    """

    def __init__(self, kafka: KafkaSection, target: Target) -> None:
        self._deliveries = Deliveries(open_producer(kafka))
        self._target = target
        self._place = partitioner_of(target.partitioner or "murmur2")
        self.unflushed = 0

    def put(self, letter: DeadLetter) -> None:
        """Send the record of a dead letter unchanged, but for a higher count of replays."""
        topic, partition = self._target.topic or letter.topic, letter.partition
        if self._target.topic or self._target.partitioner:
            # -1: the producer chooses one at random where there is no key.
            count = self._target.partitions[topic]
            partition = self._place(letter.key, count) if letter.key else -1
        try:
            self._deliveries.put(
                topic,
                value=letter.value,
                key=letter.key,
                partition=partition,
                timestamp=max(letter.timestamp_ms, 0),  # 0: the producer's own clock
                headers=[
                    *_without_sequence(letter),
                    (REPLAYS_HEADER, b"%d" % (letter.replays + 1)),
                ],
            )
        except KafkaException as error:
            # Raised by `flush`, so that the caller commits up to the last complete batch only.
            self._deliveries.fail(error.args[0].str())
        self.unflushed += 1

    def flush(self) -> None:
        """Wait until all records are acknowledged.

        Raises:
            UserError: If one was not.
        """
        cause = self._deliveries.flush()
        if cause:
            raise UserError(
                f"Dead letters were not delivered: {cause}. Of the last {self.unflushed:,} some "
                "may have been; the next replay begins with them."
            )
        self.unflushed = 0


def _without_sequence(letter: DeadLetter) -> list[tuple[str, bytes | None]]:
    """Return the headers of a letter but that by which a re-keyed record counts as a duplicate."""
    return [header for header in letter.headers if header[0] != SEQUENCE_HEADER]


def redrive(
    log: DeadLetterLog,
    sender: Sender | None,
    target: Target,
    selection: Selection,
    *,
    limit: int | None = None,
    again: bool = False,
) -> Summary:
    """Send selected dead letters; each counts as handled once it has been acknowledged.

    Args:
        log: Dead-letter topics.
        sender: Producer of the records; None to send and to commit nothing.
        target: Destination of the records.
        selection: Dead letters to send.
        limit: Largest number of dead letters to send.
        again: Include those that were handled before.
    """
    summary = Summary()
    for tp, progress in log.progress.items():
        end = start = 0 if again else progress.floor
        try:
            for message, letter in log.read(tp, start):
                offset = message.offset() or 0
                if selection.has_reason(letter) and (
                    again or not progress.is_handled(letter.reason, offset)
                ):
                    cause = target.refusal(letter)
                    if selection.is_old(letter):
                        summary.left_behind += 1
                    elif cause:
                        summary.refused[cause] += 1
                    elif limit is not None and summary.sent.total() >= limit:
                        break  # `end` stays: the next redrive begins with this one
                    else:
                        summary.sent[letter.reason] += 1
                        if sender is not None:
                            sender.put(letter)
                end = offset + 1
                if sender is not None and sender.unflushed >= _BATCH:
                    _commit(log, sender, tp, selection, end)
        finally:  # records sent before a failed read count as handled
            if sender is not None and end > start:
                _commit(log, sender, tp, selection, end)
    return summary


def _commit(log: DeadLetterLog, sender: Sender, tp: TP, selection: Selection, end: int) -> None:
    """Flush, then store the progress: a crash between the two sends some records twice."""
    sender.flush()
    log.progress[tp].advance(selection.reasons, end)
    log.commit(tp)
