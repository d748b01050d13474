"""Changelog records back into the engine: a merge, whole fetches at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

import msgspec

from stream.engine import META_KEY, Engine, LoadReport, MetaRow, Tombstone, number_in, tombstone_of
from stream.observer import Observer
from stream.types import TP

from .checkpoint import COMMITTED_HEADER

_ADOPTED_ROWS = 2048
"""Rows taken over in one go: some tens of milliseconds."""


class ChangelogRecord(Protocol):
    """A record of a changelog; aiokafka's `ConsumerRecord` satisfies it."""

    @property
    def key(self) -> bytes | None:
        """Stream key, or the meta row's."""

    @property
    def value(self) -> bytes | None:
        """The row; None is a tombstone."""

    @property
    def offset(self) -> int:
        """Offset in the changelog."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """Ours are on meta rows and tombstones."""


class Adopted(NamedTuple):
    """Rows of another layout or model that were taken over so far, and how many may be left."""

    rows: int
    left: int


class Changelog:
    """What memory holds of every changelog partition, by input partition.

    Args:
        engine: Takes the rows; it accepts a row only when its source offset is not older.
        observer: Told of every merge.
        on_damaged: Called with partition, key and reason of a row that could not be read.
    """

    def __init__(
        self,
        engine: Engine,
        observer: Observer,
        on_damaged: Callable[[TP, bytes, str], None] = lambda _tp, _key, _why: None,
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
        """Last changelog offset contained in memory; None: nothing."""
        return self._stored.get(tp)

    def reached(self, tp: TP, offset: int) -> None:
        """Memory contains the changelog up to `offset`: written by us, or skipped as markers."""
        if offset > self._stored.get(tp, -1):
            self._stored[tp] = offset

    def wrote(
        self, tp: TP, offset: int, committed_before: int, position: int, meta: bytes = b""
    ) -> None:
        """Our own rows are in the log.

        Args:
            tp: The input partition.
            offset: Changelog offset of the last of them; -1: the broker did not say.
            committed_before: What the group had committed before.
            position: Next input offset to absorb after them.
            meta: The meta row, last of them.
        """
        self.reached(tp, offset)
        self._committed[tp] = committed_before
        self._absorbed[tp] = position - 1
        self._metas[tp] = meta

    def committed_before(self, tp: TP) -> int | None:
        """What the group had committed when the last meta row was written; None: not known."""
        return self._committed.get(tp)

    def meta(self, tp: TP) -> bytes:
        """The newest meta row in the log, as far as it was read or written; empty: none."""
        return self._metas.get(tp, b"")

    def restored(self, tp: TP, offset: int, meta: bytes, committed_before: int | None) -> None:
        """A copy from the disk is in memory: the changelog up to `offset`, or some rows beyond.

        Args:
            tp: The input partition.
            offset: Changelog offset the copy began at.
            meta: Its meta row.
            committed_before: What the group had committed before that.

        Raises:
            msgspec.DecodeError: If the meta row is none.
        """
        row = MetaRow.decode(meta)
        self._report(tp, self._engine.load(tp, [META_KEY], [meta]))
        self.reached(tp, offset)
        self._absorbed[tp], self._metas[tp] = row.absorbed, meta
        self._trusted[tp] = row.rebased
        if committed_before is not None:
            self._committed[tp] = committed_before

    def drop(self, tp: TP) -> None:
        """Forget a partition: its slots are gone."""
        self._stored.pop(tp, None)
        self._trusted.pop(tp, None)
        self._begins_anew(tp)

    def overtaken(self, tp: TP, records: Sequence[ChangelogRecord]) -> bool:
        """Whether records tell that the state was rebased after the copy on disk was made.

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
            tp: The *input* partition.
            records: In offset order.

        Returns:
            Rows accepted.
        """
        seen = self._stored.get(tp, -1)
        keys: list[bytes] = []
        values: list[bytes | Tombstone | None] = []
        for record in records:
            if record.offset <= seen:
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

    def complete(self, tp: TP) -> Iterator[Adopted]:
        """The whole changelog is in memory: take over rows of another layout or model.

        Yields:
            How far it is, after every piece; nothing is left after the last.
        """
        adopted = 0
        while True:
            adopted += self._report(tp, self._engine.migrate(tp, _ADOPTED_ROWS))
            left = self._engine.unmigrated(tp)
            yield Adopted(adopted, left)
            if not left:
                return

    def _report(self, tp: TP, report: LoadReport) -> int:
        for key, why in report.damaged:
            self._on_damaged(tp, key, why)
        self._observer.loaded(tp, report.accepted, report.stale, len(report.damaged))
        return report.accepted

    def _begins_anew(self, tp: TP) -> None:
        for known in (self._committed, self._absorbed, self._metas):
            known.pop(tp, None)

    def _read_headers(
        self, tp: TP, value: bytes | None, headers: Sequence[tuple[str, bytes]]
    ) -> None:
        """Note what goes with the newest meta row: a suspended worker may have written late."""
        if value is None:  # the partition begins anew
            self._begins_anew(tp)
            return
        meta = _decoded(value)
        if meta is None:
            return  # the engine says that it is damaged
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
