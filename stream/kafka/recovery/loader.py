"""Changelogs and local copies into memory, and the progress of a recovery."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stream.engine import AnyEngine
from stream.kafka.context import Context
from stream.kafka.protocol.assignment import Assignment, AssignmentClosed
from stream.kafka.protocol.changelog import Changelog
from stream.kafka.protocol.ports import FetchControl, GroupClient, Recovery
from stream.keys import quoted
from stream.types import TP

from .snapshots import Snapshots

log = logging.getLogger(__name__)

_DAMAGED_SHOWN = 20
"""Damaged rows of a partition that are named one by one."""


class StateLoader:
    """Loads state after an assignment, and keeps that of standbys up to date.

    Args:
        context: Surroundings of the worker.
        engine: State of all keys.
        client: Member of the group.
        fetching: Control of the fetches.

    Attributes:
        changelog: Contents of memory by changelog partition.
        snapshots: Copies of the state on local disk; None: there are none.
        remaining: Changelog records that the recovery has to go.
        migrated_at: Time at which rows of another model were last migrated, on the clock.
    """

    def __init__(
        self, context: Context, engine: AnyEngine, client: GroupClient, fetching: FetchControl
    ) -> None:
        self._context = context
        self._engine = engine
        self._client = client
        self._fetching = fetching
        self._damaged_rows: dict[TP, int] = {}
        self.changelog = Changelog(engine, context.observer, self._report_damage)
        self.snapshots: Snapshots | None = None
        self.remaining = 0
        self.migrated_at = float("-inf")

    async def load(self, recovery: Recovery, tp: TP, records: Sequence[Any]) -> None:
        """Merge a fetch of a changelog partition, and advance the recovery.

        Args:
            recovery: Progress of the recovery.
            tp: Changelog partition.
            records: Records in offset order.
        """
        if tp in recovery.active_tps:
            offsets = recovery.active_offsets
        elif tp in recovery.standby_tps:
            offsets = recovery.standby_offsets
        else:
            return
        source = self._context.config.source_of(tp)
        # Rows of a rebase seem older than those of a copy, so the copy must go first.
        if self.snapshots is not None and self.changelog.overtaken(source, records):
            await self.snapshots.overtaken(source)
            offsets[tp] = -1
            await self._fetching.seek({tp: 0})
            return
        self.changelog.load(source, records)
        offsets[tp] = max(offsets.get(tp) or -1, records[-1].offset)

    def follow(self, recovery: Recovery, active: Iterable[TP]) -> None:
        """Count markers and compacted ends, which are never delivered, as read; end a recovery.

        Args:
            recovery: Progress of the recovery.
            active: Partitions of the fetch; the positions of others may be of before a seek.
        """
        if not recovery.in_recovery:
            return
        # Others may still have the position from before a seek.
        fetched = set(active)
        for tp in recovery.active_tps:
            position = self._client.fetch_position(tp) if tp in fetched else None
            if position is not None and position - 1 > (recovery.active_offsets.get(tp) or -1):
                recovery.active_offsets[tp] = position - 1
                self.changelog.reached(self._context.config.source_of(tp), position - 1)
        # Without highwaters Faust has not asked for the ends yet.
        if recovery.active_highwaters and not recovery.need_recovery():
            recovery.signal_recovery_end.set()

    async def restore(self, recovery: Recovery, ends: Mapping[Any, int]) -> None:
        """Load the local copies of partitions of which nothing is in memory.

        Args:
            recovery: Progress of the recovery.
            ends: Ends of the changelogs of active partitions.
        """
        if self.snapshots is None:
            return
        status = await self._client.log_status(recovery.standby_tps)
        standby_ends = {tp: log_status.end for tp, log_status in status.items()}
        for tp, offset in (await self.snapshots.restore(ends, standby_ends)).items():
            active = tp in recovery.active_tps
            (recovery.active_offsets if active else recovery.standby_offsets)[tp] = offset

    def report(self, remaining: int) -> None:
        """Report the progress of a recovery.

        Args:
            remaining: Changelog records to go.
        """
        self.remaining = remaining
        sentence = f"{remaining} changelog records to go"
        self._context.lifecycle.recover(sentence)
        log.info("Recovering state: %s.", sentence)

    async def migrate(self, assignment: Assignment, tp: TP) -> None:
        """Migrate rows of another layout or model, once the whole changelog is in memory.

        Args:
            assignment: Assignment that the partition belongs to.
            tp: Input partition.

        Raises:
            AssignmentClosed: If the partition was given back meanwhile; its next owner migrates
                the remaining rows.
        """
        for progress in self.changelog.complete(tp):
            if progress.left:
                rows, total = progress.rows, progress.rows + progress.left
                self._context.lifecycle.recover(
                    f"{tp[0]}-{tp[1]}: migrating rows of another model: {rows} of {total}"
                )
                self.migrated_at = self._context.clock()
                await asyncio.sleep(0)
                assignment.check_open()
                # A rebalance may also take one partition away and leave the others.
                if tp not in self._engine.attached():
                    raise AssignmentClosed
        if progress.rows:
            log.warning(
                "%s-%d: %d keys were migrated from another model or layout.", *tp, progress.rows
            )
        damaged = self._damaged_rows.pop(tp, 0)
        if damaged > _DAMAGED_SHOWN:
            log.error("%s-%d: %d damaged rows in all; their keys start anew.", *tp, damaged)

    def _report_damage(self, tp: TP, key: bytes, reason: str) -> None:
        self._damaged_rows[tp] = self._damaged_rows.get(tp, 0) + 1
        if self._damaged_rows[tp] <= _DAMAGED_SHOWN:
            log.error(
                "%s-%d: state of key %s is damaged and starts anew: %s", *tp, quoted(key), reason
            )
