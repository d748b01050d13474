"""Changelog records back into the engine: a merge, whole fetches at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from stream.engine import META_KEY, MetaRow

from ._checkpoint import COMMITTED_HEADER
from ._ports import TP, Engine, LoadReport, Observer


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
        """Ours are on meta rows only."""


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

    def stored(self, tp: TP) -> int | None:
        """Last changelog offset contained in memory; None: nothing."""
        return self._stored.get(tp)

    def reached(self, tp: TP, offset: int) -> None:
        """Memory contains the changelog up to `offset`: written by us, or skipped as markers."""
        if offset > self._stored.get(tp, -1):
            self._stored[tp] = offset

    def wrote(self, tp: TP, offset: int, committed_before: int, position: int) -> None:
        """Our own rows are in the log.

        Args:
            tp: The input partition.
            offset: Changelog offset of the last of them; -1: the broker did not say.
            committed_before: What the group had committed before.
            position: Next input offset to absorb after them.
        """
        self.reached(tp, offset)
        self._committed[tp] = committed_before
        self._absorbed[tp] = position - 1

    def committed_before(self, tp: TP) -> int | None:
        """What the group had committed when the last meta row was written; None: not known."""
        return self._committed.get(tp)

    def drop(self, tp: TP) -> None:
        """Forget a partition: its slots are gone."""
        for known in (self._stored, self._committed, self._absorbed):
            known.pop(tp, None)

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
        values: list[bytes | None] = []
        for record in records:
            if record.offset <= seen:
                continue
            if record.key is None:
                self._on_damaged(tp, b"", "a changelog record without a key")
                continue
            keys.append(record.key)
            values.append(record.value)
            if record.key == META_KEY and record.value is not None:
                self._read_headers(tp, record.value, record.headers)
        if records:
            self.reached(tp, records[-1].offset)
        if not keys:
            return 0
        return self._report(tp, self._engine.load(tp, keys, values))

    def complete(self, tp: TP) -> int:
        """The whole changelog is in memory: take over rows of another layout or model.

        Returns:
            Rows taken over.
        """
        return self._report(tp, self._engine.adopt(tp))

    def _report(self, tp: TP, report: LoadReport) -> int:
        for key, why in report.damaged:
            self._on_damaged(tp, key, why)
        self._observer.loaded(tp, report.accepted, report.stale, len(report.damaged))
        return report.accepted

    def _read_headers(self, tp: TP, value: bytes, headers: Sequence[tuple[str, bytes]]) -> None:
        """Note what goes with the newest meta row: a suspended worker may have written late."""
        try:
            absorbed = MetaRow.decode(value).absorbed
        except (msgspec.DecodeError, UnicodeError):
            return  # the engine says that it is damaged
        if absorbed < self._absorbed.get(tp, -1):
            return
        self._absorbed[tp] = absorbed
        committed = dict(headers).get(COMMITTED_HEADER, b"")
        if committed.lstrip(b"-").isdigit():
            self._committed[tp] = int(committed)
        else:
            self._committed.pop(tp, None)
