"""Merge of changelog records into the engine, whole fetches at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

import msgspec

from stream.engine import (
    META_KEY,
    AnyEngine,
    LoadReport,
    MetaRow,
    Tombstone,
    number_in,
    tombstone_of,
)
from stream.observer import Observer
from stream.types import TP

from .checkpoint import COMMITTED_HEADER

_MIGRATED_ROWS = 2048
"""Rows migrated in one go: some tens of milliseconds."""


class ChangelogRecord(Protocol):
    """Record of a changelog; `FetchedRecord` of the Kafka client satisfies it."""

    @property
    def key(self) -> bytes | None:
        """Stream key, or the key of the meta row."""

    @property
    def value(self) -> bytes | None:
        """The row; None is a tombstone."""

    @property
    def offset(self) -> int:
        """Offset in the changelog."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """Headers, which meta rows and tombstones have."""


class Migrated(NamedTuple):
    """Number of rows of another layout or model migrated so far, and how many may be left."""

    rows: int
    left: int


class Changelog:
    """Contents of memory, by changelog partition.

    Args:
        engine: State of all keys; it accepts a row only when its source offset is not older.
        observer: Receiver of reports on every merge.
        on_damaged: Function called with partition, key and reason of a row that cannot be read.
    """

    def __init__(
        self,
        engine: AnyEngine,
        observer: Observer,
        on_damaged: Callable[[TP, bytes, str], None] = lambda _tp, _key, _reason: None,
    ) -> None:
        self._engine = engine
        self._observer = observer
        self._on_damaged = on_damaged
        self._stored: dict[TP, int] = {}
        self._committed: dict[TP, int] = {}
        self._absorbed: dict[TP, int] = {}  # by the meta row that `_committed` came with
        self._metas: dict[TP, bytes] = {}
        self._trusted: dict[TP, int] = {}  # `rebased` of the copy on disk that was loaded

    def stored(self, tp: TP) -> int | None:
        """Return the last changelog offset contained in memory; None: nothing."""
        return self._stored.get(tp)

    def reached(self, tp: TP, offset: int) -> None:
        """Note that memory contains the changelog up to `offset`: written here, or markers."""
        # Never back: records may be delivered again after a seek.
        if offset > self._stored.get(tp, -1):
            self._stored[tp] = offset

    def wrote(
        self, tp: TP, offset: int, committed_before: int, position: int, meta: bytes = b""
    ) -> None:
        """Note that rows of this worker are in the log.

        Args:
            tp: Input partition.
            offset: Changelog offset of the last row; -1: the broker did not say.
            committed_before: Offset that the group had committed before.
            position: Next input offset to absorb after the rows.
            meta: Meta row, which is the last row.
        """
        self.reached(tp, offset)
        self._committed[tp] = committed_before
        self._absorbed[tp] = position - 1
        self._metas[tp] = meta

    def committed_before(self, tp: TP) -> int | None:
        """Return the offset committed when the last meta row was written; None: not known."""
        return self._committed.get(tp)

    def meta(self, tp: TP) -> bytes:
        """Return the newest meta row that was read or written; empty: none."""
        return self._metas.get(tp, b"")

    def restored(self, tp: TP, offset: int, meta: bytes, committed_before: int | None) -> None:
        """Note that a copy from the disk is in memory: the log up to `offset`, or some rows beyond.

        Args:
            tp: Input partition.
            offset: Changelog offset at which the copy began.
            meta: Meta row of the copy.
            committed_before: Offset that the group had committed before the meta row was written.

        Raises:
            msgspec.DecodeError: If the meta row cannot be read.
        """
        row = MetaRow.decode(meta)
        self._report(tp, self._engine.load(tp, [META_KEY], [meta]))
        self.reached(tp, offset)
        self._absorbed[tp], self._metas[tp] = row.absorbed, meta
        self._trusted[tp] = row.rebased
        if committed_before is not None:
            self._committed[tp] = committed_before

    def drop(self, tp: TP) -> None:
        """Forget a partition whose slots are freed."""
        self._stored.pop(tp, None)
        self._trusted.pop(tp, None)
        self._begins_anew(tp)

    def overtaken(self, tp: TP, records: Sequence[ChangelogRecord]) -> bool:
        """Return whether the state was rebased after the copy on disk was made.

        Rows written by a rebase seem older than those of the copy, so the two do not merge.
        """
        trusted = self._trusted.get(tp)
        if trusted is None:
            return False
        for record in records:
            if record.key != META_KEY:
                continue
            if record.value is None:
                return True
            meta = _decoded(record.value)
            if meta is not None and meta.rebased != trusted:
                return True
        return False

    def load(self, tp: TP, records: Sequence[ChangelogRecord]) -> int:
        """Merge records of one changelog partition that are newer than what memory holds.

        Args:
            tp: Input partition, not the one of the changelog.
            records: Records in offset order.

        Returns:
            Rows accepted.
        """
        stored = self._stored.get(tp, -1)
        keys: list[bytes] = []
        values: list[bytes | Tombstone | None] = []
        for record in records:
            # Memory has it: the record was written here, or read as a standby.
            if record.offset <= stored:
                continue
            if record.key is None:
                self._on_damaged(tp, b"", "a changelog record without a key")
                continue
            keys.append(record.key)
            value = record.value
            values.append(tombstone_of(dict(record.headers)) if value is None else value)
            if record.key == META_KEY:
                self._read_headers(tp, record.value, record.headers)
        if records:
            self.reached(tp, records[-1].offset)
        if not keys:
            return 0
        return self._report(tp, self._engine.load(tp, keys, values))

    def complete(self, tp: TP) -> Iterator[Migrated]:
        """Migrate rows of another layout or model, once the whole changelog is in memory.

        Args:
            tp: Input partition.

        Yields:
            Progress after every piece; nothing is left after the last.
        """
        rows = 0
        # At least one piece, so that the caller always sees the result.
        while True:
            rows += self._report(tp, self._engine.migrate(tp, _MIGRATED_ROWS))
            remaining = self._engine.unmigrated(tp)
            yield Migrated(rows, remaining)
            if not remaining:
                return

    def _report(self, tp: TP, report: LoadReport) -> int:
        for key, reason in report.damaged:
            self._on_damaged(tp, key, reason)
        self._observer.loaded(tp, report.accepted, report.stale, len(report.damaged))
        return report.accepted

    def _begins_anew(self, tp: TP) -> None:
        for by_partition in (self._committed, self._absorbed, self._metas):
            by_partition.pop(tp, None)

    def _read_headers(
        self, tp: TP, value: bytes | None, headers: Sequence[tuple[str, bytes]]
    ) -> None:
        """Note the headers of the newest meta row: a suspended worker may have written late."""
        if value is None:  # the partition begins anew
            self._begins_anew(tp)
            return
        meta = _decoded(value)
        if meta is None:
            return  # the engine reports the damage
        # A meta row with fewer absorbed records is of a worker that had lost the partition.
        if meta.absorbed < self._absorbed.get(tp, -1):
            return
        self._absorbed[tp], self._metas[tp] = meta.absorbed, value
        committed = number_in(dict(headers).get(COMMITTED_HEADER))
        if committed is None:
            self._committed.pop(tp, None)
        else:
            self._committed[tp] = committed


def _decoded(value: bytes) -> MetaRow | None:
    try:
        return MetaRow.decode(value)
    except (msgspec.DecodeError, UnicodeError):
        return None
