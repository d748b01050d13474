"""Offset at which an input partition goes on, or the reason to refuse it."""

from __future__ import annotations

from typing import NamedTuple

from stream.engine import MetaRow
from stream.types import TP

from .ports import RefusedError

FIX = "Run `ember state rebase` to set the offset that counts."


class PartitionStatus(NamedTuple):
    """Status of an input partition, as broker and group report it.

    Attributes:
        topic_id: Kafka's id of the topic; empty where the broker has none.
        partition_count: Partitions of the topic.
        log_start: First offset still there.
        log_end: Offset of the next record to come.
        committed: Offset of the group; -1 none.
        committed_before: Offset that the writer of the newest meta row found committed; None: not
            known.
        changelog_id: Kafka's id of the changelog; empty where the broker has none.
    """

    topic_id: str
    partition_count: int
    log_start: int
    log_end: int
    committed: int
    committed_before: int | None
    changelog_id: str = ""


class Start(NamedTuple):
    """Offset to go on at, and number of records that retention has removed unread."""

    position: int
    lost: int


def resume(
    group: str, tp: TP, meta: MetaRow, status: PartitionStatus, *, between: bool = False
) -> Start:
    """Find the position that continues the state exactly.

    The state decides, not the group's offset: rows, meta row and position were written together.
    The group's offset is honest at two values only: what the last checkpoint committed, and what
    it found (when it died before committing).

    Args:
        group: Consumer group, for the sentence.
        tp: Input partition.
        meta: Meta row after recovery; `absorbed` -1: no state.
        status: Report of broker and group.
        between: Accept an offset between these two as well. Where nothing fences, the late rows of
            a suspended worker may be ahead of the offset that its successor has committed.

    Raises:
        RefusedError: State and log contradict each other.
    """
    name = f"{tp[0]}-{tp[1]}"
    # Committed records without state would be lost for the keys they belong to.
    if meta.absorbed < 0:
        if status.committed > status.log_start:
            raise RefusedError(
                f"Group {group!r} has committed offset {status.committed} of {name}, but there is "
                f"no state for it. Expected the changelog that belongs to this group. {FIX}"
            )
        return Start(max(status.log_start, 0), 0)
    position = meta.absorbed + 1
    if status.changelog_id and meta.changelog_id and status.changelog_id != meta.changelog_id:
        raise RefusedError(
            changelog_made_again(tp, "its changelog", meta.changelog_id, status.changelog_id)
        )
    if status.topic_id and meta.topic_id and status.topic_id != meta.topic_id:
        raise RefusedError(topic_made_again(tp, meta.topic_id, status.topic_id))
    if meta.partition_count and status.partition_count != meta.partition_count:
        raise RefusedError(
            f"Topic {tp[0]!r} has another number of partitions than its state, so keys have moved. "
            f"Expected {meta.partition_count}. Received: partitions={status.partition_count}. {FIX}"
        )
    if status.log_end < position:
        raise RefusedError(truncated(tp, position, status.log_end))
    # The writer may have died between its rows and its commit.
    previous = position if status.committed_before is None else status.committed_before
    honest = status.committed in (-1, previous, position)
    if not honest and not (between and previous < status.committed < position):
        raise RefusedError(
            f"The offset of group {group!r} in {name} was moved by hand. Expected {position}. "
            f"Received: committed={status.committed}. {FIX}"
        )
    # Retention was faster than this group; the gap is reported, not refused.
    if status.log_start > position:
        return Start(status.log_start, status.log_start - position)
    return Start(position, 0)


def partitions_added(changelog: str, topic: str, expected: int, received: int) -> str:
    """Return the sentence for an input topic with more partitions than its changelog."""
    return (
        f"Changelog {changelog!r} does not fit its input topic {topic!r}. Expected {expected} "
        f"partitions. Received: partitions={received}. {FIX}"
    )


def topic_made_again(tp: TP, was: str, now: str) -> str:
    """Return the sentence for an input topic that was deleted and made again."""
    return (
        f"The state of {tp[0]}-{tp[1]} belongs to another topic of this name: it was deleted and "
        f"made again. Expected topic id {was}. Received: topic_id={now}. {FIX}"
    )


def truncated(tp: TP, position: int, log_end: int) -> str:
    """Return the sentence for a log that ends before its absorbed offsets."""
    return (
        f"The log of {tp[0]}-{tp[1]} ends before what the state has absorbed: it was truncated. "
        f"Expected an end of at least {position}. Received: log_end={log_end}. {FIX}"
    )


def changelog_made_again(tp: TP, changelog: str, was: str, now: str | None) -> str:
    """Return the sentence for a changelog that is another one now, or, None, none at all."""
    change = "deleted" if now is None else "deleted and made again"
    return (
        f"{changelog} of {tp[0]}-{tp[1]} was {change}, and the state in it is gone. Expected topic "
        f"id {was or 'of before'}. Received: topic_id={now or 'none'}. {FIX}"
    )
