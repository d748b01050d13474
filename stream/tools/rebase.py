"""`ember state rebase`: bind existing state to the input topic as it is now.

Keys keep their state; only its position in the log starts anew. A merge would refuse the new rows,
because their source offsets are older than those in the changelog: a tombstone goes before each.
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

from .open_alerts import OpenAlert, not_held, resolve
from .placement import Placement, infer_partitioner, newest_rows, target_partitions
from .state import PartitionState, StateLog
from .state_writer import StateWriter

StartAt = Literal["auto", "earliest", "latest", "committed"]

_OFFSET_BYTE = 16
"""Place of the source offset in the head of a row."""


@dataclass(frozen=True)
class PartitionPlan:
    """Plan for one input partition.

    Attributes:
        partition: Number of the partition.
        old_position: Offset after the last record in the state; None without state.
        position: Offset to continue at.
        mismatch: Difference between state and log; empty if they fit.
        committed: Offset of the group now; -1 if there is none.
    """

    partition: int
    old_position: int | None
    position: int
    mismatch: str
    committed: int


@dataclass(frozen=True)
class TopicPlan:
    """Plan for one input topic.

    Attributes:
        topic: Input topic.
        status: Id and partitions of the topic now.
        changelog_id: Topic id of the changelog.
        partitions: Plan for each partition.
        states: State of each partition.
        placement: Rule that moves keys; None if no key moves.
        targets: Partition that each key belongs to; empty if no key moves.
        outdated: Partition and key of rows to delete: another partition has a newer row of the key.
        alerts: Open alerts that no row holds open.
    """

    topic: str
    status: TopicStatus
    changelog_id: str
    partitions: list[PartitionPlan]
    states: list[PartitionState]
    placement: Placement | None = None
    targets: dict[bytes, int] = field(default_factory=dict)
    outdated: list[tuple[int, bytes]] = field(default_factory=list)
    alerts: list[OpenAlert] = field(default_factory=list)

    @property
    def fits(self) -> bool:
        """True if state and log fit, so that there is nothing to do."""
        return self.placement is None and not any(plan.mismatch for plan in self.partitions)

    @property
    def keys(self) -> int:
        """Number of keys with state."""
        return sum(len(state.rows) for state in self.states)


def plan(
    log: StateLog, topic: str, start_at: StartAt = "auto", placement: Placement | None = None
) -> TopicPlan:
    """Compare state and log of a topic, and choose the positions to continue at.

    Args:
        log: Changelogs of the group.
        topic: Input topic.
        start_at: Position to continue at. `auto` depends on the cause: the beginning of a recreated
            topic, the end of a truncated one, the group's offset where that was moved. The others
            hold for all partitions.
        placement: Rule that says where keys are now, if they have moved; None for the partitioner
            that fits the present partitions.

    Raises:
        UserError: If the number of partitions changed and no partitioner fits the keys.
    """
    status = log.status(topic)
    states = log.read(topic)
    count = len(states)
    if status.partitions < count:
        raise UserError(
            f"Topic {topic!r} has fewer partitions than its state. Expected at least {count}. "
            f"Received: partitions={status.partitions}. Export the state, and start a new group."
        )
    has_grown = status.partitions > count
    if has_grown:
        placement = placement or infer_partitioner(topic, status, states)
        states += [PartitionState(n) for n in range(count, status.partitions)]
    targets = target_partitions(log, topic, states, placement) if placement else {}
    is_moved = any(targets[key] != s.partition for s in states for key in s.rows if targets)
    if not has_grown and not is_moved:
        placement, targets = None, {}
    outdated = _drop_outdated(states) if placement else []
    changelog_id = log.status(log.changelog(topic)).topic_id
    watermarks = log.watermarks(topic, status.partitions)
    committed = log.committed(topic, status.partitions)
    partitions = []
    for state, (low, high), offset in zip(states, watermarks, committed, strict=True):
        meta = state.meta or MetaRow()
        log_status = PartitionStatus(
            status.topic_id,
            meta.partition_count or status.partitions,
            low,
            high,
            offset,
            state.committed_before,
            changelog_id,
        )
        partitions.append(_plan_partition(log.kafka.group, topic, state, log_status, start_at))
    plan = TopicPlan(topic, status, changelog_id, partitions, states, placement, targets, outdated)
    if not plan.fits:
        rows = ((state.rows, state.meta) for state in states)
        plan.alerts.extend(not_held(log.open_alerts(topic), rows))
    return plan


def _drop_outdated(states: Sequence[PartitionState]) -> list[tuple[int, bytes]]:
    """Keep the row with the newest event of each key; return partition and key of the others."""
    newest = newest_rows(states)
    outdated = [
        (state.partition, key)
        for state in states
        for key in state.rows
        if state.partition != newest[key][1]
    ]
    for partition, key in outdated:
        del states[partition].rows[key]
    return outdated


def _plan_partition(
    group: str, topic: str, state: PartitionState, log: PartitionStatus, start_at: StartAt
) -> PartitionPlan:
    meta = state.meta or MetaRow()
    low, high, committed = log.log_start, log.log_end, log.committed
    old_position = meta.absorbed + 1 if state.meta is not None else None
    mismatch, position = "", meta.absorbed + 1
    # `resume` refuses exactly the cases that a worker refuses at its start.
    try:
        position = resume(group, (topic, state.partition), meta, log).position
    except RefusedError:
        if log.topic_id and meta.topic_id and log.topic_id != meta.topic_id:
            mismatch, position = "the topic was made again", low
        elif meta.changelog_id not in ("", log.changelog_id):
            mismatch = "the changelog was made again"
        elif high < position:
            mismatch, position = "the log was truncated", high
        elif state.meta is None:
            mismatch, position = "there is no state, but the group has an offset", committed
        else:
            mismatch, position = "the group was moved by hand", committed
    requested = {"earliest": low, "latest": high, "committed": committed}.get(start_at, position)
    if start_at != "auto" and requested != position and state.meta is not None:
        mismatch = mismatch or f"--at {start_at}"
    if start_at != "auto" and mismatch:
        position = requested
    if position < 0:
        raise UserError(
            f"The group has no offset of {topic}-{state.partition} to go on at. Expected --at "
            "earliest or latest."
        )
    # Retention may have deleted records since: never before the first, never after the end.
    position = min(max(position, low), high)
    return PartitionPlan(state.partition, old_position, position, mismatch, committed)


def carry_out(log: StateLog, plan: TopicPlan) -> int:
    """Write the state as planned, then set the group's offsets.

    Args:
        log: Changelogs of the group; no worker may run.
        plan: Plan for an input topic.

    Returns:
        Number of records written.
    """
    log.require_idle()
    changelog = log.changelog(plan.topic)
    if plan.status.partitions > log.counts[changelog]:
        log.add_partitions(plan.topic, plan.status.partitions)
    with log.writing() as writer:
        # Before the rows: where this is no transaction, an attempt that fails here is repeated.
        resolve(plan.alerts, "rebase", writer.put)
        for partition, key in plan.outdated:
            writer.put(changelog, partition, key, None)
        for state, partition_plan in zip(plan.states, plan.partitions, strict=True):
            _write(changelog, plan, state, partition_plan, writer)
    positions = {p.partition: p.position for p in plan.partitions if p.mismatch or plan.placement}
    log.commit(plan.topic, positions)
    return writer.written


def _write(
    changelog: str,
    plan: TopicPlan,
    state: PartitionState,
    partition_plan: PartitionPlan,
    writer: StateWriter,
) -> None:
    count = plan.status.partitions
    mismatch = partition_plan.mismatch
    for key, row in state.rows.items():
        target = plan.targets.get(key, state.partition)
        if target == state.partition and not mismatch:
            continue
        writer.put(changelog, state.partition, key, None)
        writer.put(changelog, target, key, reset_offset(row))
    if not (mismatch or plan.placement):
        return
    meta = MetaRow(
        topic_id=plan.status.topic_id,
        changelog_id=plan.changelog_id,
        partition_count=count,
        absorbed=partition_plan.position - 1,
    )
    old = state.meta
    if old is not None:
        meta.model, meta.fields, meta.channels = old.model, old.fields, old.channels
        meta.profiles = old.profiles
        meta.clock_us, meta.rebased = old.clock_us, old.rebased + 1
        if not mismatch:  # its log is the same; only the number of partitions changed
            meta.first_offset, meta.counts = old.first_offset, old.counts
            meta.sequences, meta.events_from_ms = old.sequences, old.events_from_ms
            meta.control = old.control
    else:
        _describe_like(meta, plan.states)
    headers = [(COMMITTED_HEADER, str(partition_plan.committed).encode())]
    # The meta row goes last: a reader that sees it has seen all rows it describes.
    writer.put(changelog, state.partition, META_KEY, None)
    writer.put(changelog, state.partition, META_KEY, meta.encode(), headers)


def _describe_like(meta: MetaRow, states: Sequence[PartitionState]) -> None:
    """Copy the description of rows from another partition, for one that had no meta row."""
    for state in states:
        if state.meta is not None:
            meta.model, meta.fields = state.meta.model, state.meta.fields
            meta.channels, meta.profiles = state.meta.channels, state.meta.profiles
            return


def reset_offset(row: bytes) -> bytes:
    """Return a row with its state unchanged and a source offset before the log's first."""
    changed = bytearray(row)
    struct.pack_into("<q", changed, _OFFSET_BYTE, -1)
    return bytes(changed)
