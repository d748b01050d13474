"""`ember state rebase`: the log as it is becomes what the state belongs to.

Keys keep their memory; only where they stand in the log begins anew. A row's source offset and the
meta row would be older than what the changelog holds, and a merge would refuse them: a tombstone
goes before each.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from stream.engine import META_KEY, MetaRow
from stream.errors import UserError
from stream.kafka.protocol.checkpoint import COMMITTED_HEADER
from stream.kafka.protocol.ports import RefusedError, TopicStatus
from stream.kafka.protocol.start_offset import PartitionStatus, resume

from .partitioners import PARTITIONERS, Partitioner, which
from .state import PartitionState, StateLog, Writer

At = Literal["auto", "earliest", "latest", "committed"]

_OFFSET_AT, _TIME_AT = 16, 24


@dataclass(frozen=True)
class Move:
    """What is to become of one input partition.

    Attributes:
        partition: Its number.
        was: The offset after the last absorbed one; None without state.
        position: Where it goes on.
        why: What does not fit now; empty where everything does.
        committed: The group's offset now; -1 none.
    """

    partition: int
    was: int | None
    position: int
    why: str
    committed: int


@dataclass(frozen=True)
class Plan:
    """What is to become of one input topic.

    Attributes:
        topic: Input topic.
        facts: What it is now.
        changelog_id: Topic id of its changelog.
        moves: One for each partition.
        states: What the changelog holds.
        partitioner: By which keys change their partition; empty where none does.
        left: Partition and key of rows that an event of their key in another partition is newer
            than: they are forgotten.
    """

    topic: str
    facts: TopicStatus
    changelog_id: str
    moves: list[Move]
    states: list[PartitionState]
    partitioner: str = ""
    left: list[tuple[int, bytes]] = field(default_factory=list)

    @property
    def fits(self) -> bool:
        """Whether there is nothing to do."""
        return not self.partitioner and not any(move.why for move in self.moves)

    @property
    def keys(self) -> int:
        """Keys with state."""
        return sum(len(state.rows) for state in self.states)


def plan(log: StateLog, topic: str, at: At = "auto", partitioner: str = "") -> Plan:
    """Compare state and log of a topic, and find where to go on.

    Args:
        log: The group's changelogs.
        topic: Input topic.
        at: Where to go on: auto goes by what has happened (a topic made again is read from its
            beginning, a truncated one from its end, a group moved by hand from where it was moved
            to); the others hold for all partitions.
        partitioner: Name of the one that producers use now, where keys have moved; empty: the one
            that fits where they are.

    Raises:
        UserError: If the partitions changed and it cannot be told where the keys have gone.
    """
    facts = log.facts(topic)
    states = log.read(topic)
    count = len(states)
    if facts.partitions < count:
        raise UserError(
            f"Topic {topic!r} has fewer partitions than its state. Expected at least {count}. "
            f"Received: partitions={facts.partitions}. Export the state, and start a new group."
        )
    if facts.partitions > count:
        partitioner = partitioner or _of_producers(topic, facts, states)
        states += [PartitionState(n) for n in range(count, facts.partitions)]
    elif partitioner and not _moves(states, PARTITIONERS[partitioner]):
        partitioner = ""
    left = _leave_older(states) if partitioner else []
    changelog_id = log.facts(log.changelog(topic)).topic_id
    marks = log.marks(topic, facts.partitions)
    committed = log.committed(topic, facts.partitions)
    moves = [
        _move(log.kafka.group, topic, state, facts, changelog_id, mark, offset, at)
        for state, mark, offset in zip(states, marks, committed, strict=True)
    ]
    return Plan(topic, facts, changelog_id, moves, states, partitioner, left)


def _of_producers(topic: str, facts: TopicStatus, states: Sequence[PartitionState]) -> str:
    """Name of the partitioner that gave every key its place."""
    placed = [(key, state.partition) for state in states for key in state.rows]
    found = which(placed, len(states))
    if found is None:
        raise UserError(
            f"Topic {topic!r} has {facts.partitions} partitions, its state {len(states)}, and "
            "keys are neither where murmur2 nor where crc32 puts them, so it cannot be told where "
            "they have gone. Name what producers use now with --partitioner, or start a new group."
        )
    return found


def _moves(states: Sequence[PartitionState], partitioner: Partitioner) -> bool:
    """Whether a key is not where a partitioner puts it."""
    return any(partitioner(key, len(states)) != s.partition for s in states for key in s.rows)


def _leave_older(states: Sequence[PartitionState]) -> list[tuple[int, bytes]]:
    """Of keys in several partitions keep the row whose last event is the newest."""
    found: dict[bytes, list[tuple[int, int]]] = {}
    for state in states:
        for key, row in state.rows.items():
            (time_us,) = struct.unpack_from("<q", row, _TIME_AT)
            found.setdefault(key, []).append((time_us, state.partition))
    left = [(part, key) for key, places in found.items() for _, part in sorted(places)[:-1]]
    for partition, key in left:
        del states[partition].rows[key]
    return left


def _move(
    group: str,
    topic: str,
    state: PartitionState,
    facts: TopicStatus,
    changelog_id: str,
    mark: tuple[int, int],
    committed: int,
    at: At,
) -> Move:
    meta = state.meta or MetaRow()
    low, high = mark
    was = meta.absorbed + 1 if state.meta is not None else None
    another = bool(facts.topic_id and meta.topic_id and facts.topic_id != meta.topic_id)
    why, position = "", meta.absorbed + 1
    seen = PartitionStatus(
        facts.topic_id,
        meta.partition_count or facts.partitions,
        low,
        high,
        committed,
        state.committed_before,
        changelog_id,
    )
    try:
        position = resume(group, (topic, state.partition), meta, seen).position
    except RefusedError:
        if another:
            why, position = "the topic was made again", low
        elif meta.changelog_id not in ("", changelog_id):
            why = "the changelog was made again"
        elif high < position:
            why, position = "the log was truncated", high
        elif state.meta is None:
            why, position = "there is no state, but the group has an offset", committed
        else:
            why, position = "the group was moved by hand", committed
    forced = {"earliest": low, "latest": high, "committed": committed}.get(at, position)
    if at != "auto" and forced != position and state.meta is not None:
        why = why or f"--at {at}"
    if at != "auto" and why:
        position = forced
    if position < 0:
        raise UserError(
            f"The group has no offset of {topic}-{state.partition} to go on at. Expected --at "
            "earliest or latest."
        )
    return Move(state.partition, was, min(max(position, low), high), why, committed)


def carry_out(log: StateLog, made: Plan) -> int:
    """Write the state as the plan says, then set the group's offsets.

    Args:
        log: The group's changelogs; no worker may run.
        made: The plan.

    Returns:
        Records written.
    """
    log.require_idle()
    changelog = log.changelog(made.topic)
    if made.facts.partitions > log.counts[changelog]:
        log.grow(made.topic, made.facts.partitions)
    with log.writing() as writer:
        for partition, key in made.left:
            writer.put(changelog, partition, key, None)
        for state, move in zip(made.states, made.moves, strict=True):
            _write(changelog, made, state, move, writer)
    log.commit(
        made.topic,
        {move.partition: move.position for move in made.moves if move.why or made.partitioner},
    )
    return writer.written


def _write(changelog: str, made: Plan, state: PartitionState, move: Move, writer: Writer) -> None:
    count = made.facts.partitions
    for key, row in state.rows.items():
        home = state.partition
        if made.partitioner:
            home = PARTITIONERS[made.partitioner](key, count)
        if home == state.partition and not move.why:
            continue
        writer.put(changelog, state.partition, key, None)
        writer.put(changelog, home, key, anew(row))
    if not (move.why or made.partitioner):
        return
    meta = MetaRow(
        topic_id=made.facts.topic_id,
        changelog_id=made.changelog_id,
        partition_count=count,
        absorbed=move.position - 1,
    )
    old = state.meta
    if old is not None:
        meta.model, meta.fields, meta.channels = old.model, old.fields, old.channels
        meta.clock_us, meta.rebased = old.clock_us, old.rebased + 1
        if not move.why:  # it only has more neighbours now
            meta.first_offset, meta.counts = old.first_offset, old.counts
    else:
        _describe_like(meta, made.states)
    headers: list[tuple[str, str | bytes | None]] = [
        (COMMITTED_HEADER, str(move.committed).encode())
    ]
    writer.put(changelog, state.partition, META_KEY, None)
    writer.put(changelog, state.partition, META_KEY, meta.encode(), headers)


def _describe_like(meta: MetaRow, states: Sequence[PartitionState]) -> None:
    """A partition that had no meta row gets the description of rows that come to it."""
    for state in states:
        if state.meta is not None:
            meta.model, meta.fields = state.meta.model, state.meta.fields
            meta.channels = state.meta.channels
            return


def anew(row: bytes) -> bytes:
    """A row that has absorbed nothing of the log yet, and remembers all the same."""
    changed = bytearray(row)
    struct.pack_into("<q", changed, _OFFSET_AT, -1)
    return bytes(changed)
