"""Copies of the state on local disk, so that a restart on this host reads only the log's tail.

The changelog stays the state: a copy is a shorter way to a place in it. It is made beside the
stream: the offset that memory contains is noted, clean rows are copied a few at a time, and the
file gets its name when a checkpoint that began after that is done, so that rows which were dirty
meanwhile are in the log behind the offset. Loaded rows are merged like any changelog row.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial

import msgspec

from stream.engine import AnyEngine
from stream.kafka.client.errors import KafkaError
from stream.kafka.context import Context
from stream.kafka.protocol.changelog import Changelog
from stream.kafka.protocol.checkpoint import Checkpoint
from stream.kafka.protocol.positions import Positions
from stream.types import TP

from .snapshot_files import DamagedError, Head, SnapshotFiles, SnapshotReader

log = logging.getLogger(__name__)

_BLOCK_ROWS = 2048
"""Rows copied in one go: some milliseconds."""
_RESTORE_SECONDS = 45.0
"""Longer than this, and the changelog is the quicker way."""
_REFRESH_SECONDS = 3600.0
"""A copy of a partition in which nothing happens is made anew, before it is too old."""


class Snapshots:
    """Writes and reads the copies of one worker's partitions.

    Args:
        context: Surroundings of the worker.
        files: Files of the copies.
        engine: State of all keys.
        changelog: Contents of memory by changelog partition.
        positions: Partitions that are processed.
        checkpoint: Checkpoints of this worker, which count how often rows were taken.
    """

    def __init__(
        self,
        context: Context,
        files: SnapshotFiles,
        engine: AnyEngine,
        changelog: Changelog,
        positions: Positions,
        checkpoint: Checkpoint,
    ) -> None:
        self._context = context
        self._files = files
        self._engine = engine
        self._changelog = changelog
        self._positions = positions
        self._checkpoint = checkpoint
        self._offload = context.offload
        self._wall_clock = context.wall_clock
        self._ids: dict[str, str] = {}
        self._written: dict[TP, tuple[int, float]] = {}
        self._owned: Sequence[TP] = ()
        self._warned = False
        self._swept = False

    # -- writing

    async def forever(
        self, stopped: Callable[[], bool], checkpoint: Callable[[str], Awaitable[None]]
    ) -> None:
        """Write copies of all partitions that are processed, at the interval.

        Args:
            stopped: Function that says whether the worker stops.
            checkpoint: Function that makes a checkpoint, given a reason for logs and metrics.
        """
        while not stopped():
            await asyncio.sleep(self._context.config.snapshot_seconds)
            for tp in self._positions:
                if tp in self._positions:
                    await self.write(tp, lambda: checkpoint("snapshot"))

    def keep_released(self, tps: Iterable[TP]) -> None:
        """Note partitions that are in the changelog whole, and are not processed any more."""
        self._owned = tuple(tps) or self._owned

    async def write_released(self) -> None:
        """Write copies of the partitions that were owned last, at the end of the worker."""
        for tp in self._owned:
            if tp in self._engine.attached():
                await self.write(tp)

    async def write(self, tp: TP, settle: Callable[[], Awaitable[None]] | None = None) -> bool:
        """Write a copy of a partition.

        Args:
            tp: Input partition.
            settle: Function that makes a checkpoint; None: memory is in the log whole.

        Returns:
            True where there is a new file.
        """
        started, now = self._context.clock(), self._wall_clock()
        changelog, engine = self._changelog, self._engine
        name = self._context.config.changelog(tp[0])
        offset, identity = changelog.stored(tp), self._ids.get(name, "")
        if offset is None or not identity or not changelog.meta(tp):
            return False
        former = self._written.get(tp)
        if former is not None and former[0] == offset and now - former[1] < _REFRESH_SECONDS:
            return False
        model, fields = engine.row_kind()
        head = Head(
            changelog_id=identity,
            offset=offset,
            taken=now,
            model=model,
            fields=fields,
            row_bytes=engine.row_bytes,
        )
        scan, writer = engine.scan(tp), None
        try:
            writer = await self._offload(lambda: self._files.write(tp, head))
            while (block := scan.take(_BLOCK_ROWS)) is not None:
                # Off the event loop: a disk can take seconds.
                await self._offload(partial(writer.append, block))
                if scan.gone:
                    return False
            waiting, checkpoints = scan.waiting, self._checkpoint.taken.get(tp, 0)
            if settle is not None:
                await settle()
            if scan.gone or (waiting and self._checkpoint.taken.get(tp, 0) == checkpoints):
                return False
            meta, committed = changelog.meta(tp), changelog.committed_before(tp)
            size = await self._offload(partial(writer.commit, meta, committed))
        except OSError as error:
            self._warn(error)
            return False
        finally:
            scan.close()
            if writer is not None:
                writer.discard()
        self._warned = False
        self._written[tp] = offset, now
        seconds = self._context.clock() - started
        log.info("%s-%d: copied the state to the disk, %d bytes in %.1f s.", *tp, size, seconds)
        return True

    def _warn(self, error: OSError) -> None:
        write = log.debug if self._warned else log.warning
        self._warned = True
        write(
            "The state cannot be copied to %s (%s): a restart will read the whole changelog. "
            "Free disk space, let state.directory be a folder that can be written to, or set "
            "state.snapshot_interval_seconds = 0.",
            self._files.directory,
            error.strerror or error,
        )

    # -- reading

    async def restore(self, ends: Mapping[TP, int], standbys: Mapping[TP, int]) -> dict[TP, int]:
        """Load copies of partitions of which nothing is in memory.

        Args:
            ends: End of the log by changelog partition.
            standbys: Ends of partitions that another worker processes. A transaction open there
                may hide rows of a copy, which then is not used this time.

        Returns:
            Offset contained now by changelog partition; those without a copy are absent.
        """
        if not self._swept:
            self._swept = True
            await self._offload(self._files.sweep)
        names = sorted({tp[0] for tp in (*ends, *standbys)} - self._ids.keys())
        try:
            topics = await self._context.admin.describe(names) if names else {}
        except KafkaError as error:
            log.warning("The broker does not say which changelogs these are: %s.", error)
            return {}
        # A topic id proves later that a copy belongs to this changelog.
        self._ids |= {name: topic.topic_id for name, topic in topics.items()}
        deadline = self._context.clock() + _RESTORE_SECONDS
        offsets: dict[TP, int] = {}
        for tp, end in {**ends, **standbys}.items():
            source = self._context.config.source_of(tp)
            if self._changelog.stored(source) is None:
                offset = await self._restore(tp, source, end, deadline, hidden=tp in standbys)
                if offset is not None:
                    offsets[tp] = offset
        return offsets

    async def _restore(
        self, tp: TP, source: TP, end: int, deadline: float, *, hidden: bool
    ) -> int | None:
        reader: SnapshotReader | None = None
        try:
            reader = await self._offload(lambda: self._files.read(source))
            if reader is None or (hidden and reader.head.offset >= end):
                return None
            reason = await self._unfit(reader.head, tp[0], end)
            if not reason:
                await self._load(source, reader, deadline)
                return reader.head.offset
        except (DamagedError, OSError, msgspec.DecodeError, UnicodeError, TimeoutError) as error:
            reason = f"it cannot be read: {error}"
            self._forget(source)
        except BaseException:
            self._forget(source)  # half of a copy is worth nothing
            raise
        finally:
            if reader is not None:
                reader.close()
        log.warning(
            "%s-%d: the copy of the state on the disk is not used, all of the changelog is: %s.",
            *source,
            reason,
        )
        await self._offload(lambda: self._files.remove(source))
        return None

    async def _unfit(self, head: Head, changelog: str, end: int) -> str:
        """Return the reason for which a copy cannot be used; empty: it can."""
        model, fields = self._engine.row_kind()
        if not head.changelog_id or head.changelog_id != self._ids.get(changelog):
            return "it belongs to another changelog topic"
        if (head.model, head.fields) != (model, fields):
            return "its rows are of another model or layout"
        if head.offset >= end:
            return f"the changelog ends at {end}, before its offset {head.offset}"
        retention = (await self._context.admin.tombstones_kept([changelog])).get(changelog)
        if retention is None:
            return "the broker does not say how long it keeps tombstones (right DescribeConfigs)"
        age = self._wall_clock() - head.taken
        if not -60.0 <= age <= retention / 2:  # half: clocks are not that good
            return (
                f"it is {age:.0f} s old by this host's clock, and keys that were forgotten since "
                f"would come back after {retention / 2:.0f} s (half of the changelog's "
                "delete.retention.ms)"
            )
        return ""

    async def _load(self, source: TP, reader: SnapshotReader, deadline: float) -> None:
        # The next block is read while this one is merged.
        reading = asyncio.ensure_future(self._offload(reader.block))
        try:
            while (block := await reading) is not None:
                reading = asyncio.ensure_future(self._offload(reader.block))
                report = self._engine.load_block(source, block)
                self._context.observer.loaded(
                    source, report.accepted, report.stale, len(report.damaged)
                )
                if report.damaged:
                    raise DamagedError(report.damaged[0][1])
                if self._context.clock() > deadline:
                    raise TimeoutError(f"that took longer than {_RESTORE_SECONDS:g} s")
                await asyncio.sleep(0)
        finally:
            reading.cancel()
        assert reader.end is not None
        self._changelog.restored(
            source, reader.head.offset, reader.end.meta, reader.end.committed_before
        )
        self._written[source] = reader.head.offset, reader.head.taken
        log.info("%s-%d: %d keys were read from the disk.", *source, reader.end.rows)

    async def overtaken(self, tp: TP) -> None:
        """Forget a copy that is older than a rebase of the state, and the rows it brought."""
        log.warning("%s-%d: the state was rebased, so the whole changelog is read.", *tp)
        await self._offload(lambda: self._files.remove(tp))
        self._forget(tp)

    def _forget(self, source: TP) -> None:
        self._written.pop(source, None)
        self._changelog.drop(source)
        self._engine.detach(source)
        self._engine.attach(source)
