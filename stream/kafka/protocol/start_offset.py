"""Where to go on in an input partition, or why not."""

from __future__ import annotations

from typing import NamedTuple

from stream.engine import MetaRow
from stream.types import TP

from .ports import RefusedError

MEND = "Run `ember state rebase` to say what should hold."


class PartitionStatus(NamedTuple):
    """What broker and group say about an input partition.

    Attributes:
        topic_id: Of the topic; empty where the broker does not tell.
        partition_count: Of the topic.
        log_start: First offset still there.
        log_end: Offset of the next record to come.
        committed: The group's; -1 none.
        committed_before: What the writer of the newest meta row found committed; None: not known.
        changelog_id: Of the changelog; empty where the broker does not tell.
    """

    topic_id: str
    partition_count: int
    log_start: int
    log_end: int
    committed: int
    committed_before: int | None
    changelog_id: str = ""


class Start(NamedTuple):
    """The offset to go on at, and records that retention has removed unread."""

    position: int
    lost: int


def resume(
    group: str, tp: TP, meta: MetaRow, facts: PartitionStatus, *, between: bool = False
) -> Start:
    """Find the position that continues the state exactly.

    The state decides, not the group's offset: rows, meta row and position were written together.
    The group's offset is honest at two values only: what the last checkpoint committed, and what
    it found (when it died before committing).

    Args:
        group: Consumer group, for the sentence.
        tp: Input partition.
        meta: The engine's meta row after recovery; `absorbed` -1: no state.
        facts: From broker and group.
        between: Accept what lies between these two as well. Where nothing fences, a suspended
            worker's late rows may be ahead of what its successor has committed.

    Raises:
        RefusedError: State and log contradict each other.
    """
    where = f"{tp[0]}-{tp[1]}"
    if meta.absorbed < 0:
        if facts.committed > facts.log_start:
            raise RefusedError(
                f"Group {group!r} has committed offset {facts.committed} of {where}, but there is "
                f"no state for it. Expected the changelog that belongs to this group. {MEND}"
            )
        return Start(max(facts.log_start, 0), 0)
    position = meta.absorbed + 1
    if facts.changelog_id and meta.changelog_id and facts.changelog_id != meta.changelog_id:
        raise RefusedError(
            changelog_made_again(tp, "its changelog", meta.changelog_id, facts.changelog_id)
        )
    if facts.topic_id and meta.topic_id and facts.topic_id != meta.topic_id:
        raise RefusedError(topic_made_again(tp, meta.topic_id, facts.topic_id))
    if meta.partition_count and facts.partition_count != meta.partition_count:
        raise RefusedError(
            f"Topic {tp[0]!r} has another number of partitions than its state, so keys have moved. "
            f"Expected {meta.partition_count}. Received: partitions={facts.partition_count}. {MEND}"
        )
    if facts.log_end < position:
        raise RefusedError(truncated(tp, position, facts.log_end))
    before = position if facts.committed_before is None else facts.committed_before
    honest = facts.committed in (-1, before, position)
    if not honest and not (between and before < facts.committed < position):
        raise RefusedError(
            f"The offset of group {group!r} in {where} was moved by hand. Expected {position}. "
            f"Received: committed={facts.committed}. {MEND}"
        )
    if facts.log_start > position:
        return Start(facts.log_start, facts.log_start - position)
    return Start(position, 0)


def topic_made_again(tp: TP, was: str, now: str) -> str:
    """What to say of an input topic that is another one now."""
    return (
        f"The state of {tp[0]}-{tp[1]} belongs to another topic of this name: it was deleted and "
        f"made again. Expected topic id {was}. Received: topic_id={now}. {MEND}"
    )


def truncated(tp: TP, position: int, log_end: int) -> str:
    """What to say of a log that ends before what was absorbed of it."""
    return (
        f"The log of {tp[0]}-{tp[1]} ends before what the state has absorbed: it was truncated. "
        f"Expected an end of at least {position}. Received: log_end={log_end}. {MEND}"
    )


def changelog_made_again(tp: TP, changelog: str, was: str, now: str | None) -> str:
    """What to say of a changelog that is another one now, or, None, none at all."""
    what = "deleted" if now is None else "deleted and made again"
    return (
        f"{changelog} of {tp[0]}-{tp[1]} was {what}, and the state in it is gone. Expected topic "
        f"id {was or 'of before'}. Received: topic_id={now or 'none'}. {MEND}"
    )
