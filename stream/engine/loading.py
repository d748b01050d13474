"""Load of a partition's state: rows and meta rows of its changelog, and their migration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from stream.engine.state.layout import LAYOUT_VERSION
from stream.engine.state.merge import LoadReport, RowMerger, Value
from stream.engine.state.meta import META_KEY, MetaRow
from stream.engine.state.migration import descriptions_of
from stream.engine.state.model_version import FormerModel
from stream.engine.state.partition import ALWAYS, Partition
from stream.engine.state.snapshot import RowBlock
from stream.engine.state.table import Store
from stream.engine.state.tombstones import Tombstone

_MIGRATED_ROWS = 4096
"""Rows looked at at once, where all of them are to be migrated."""


class ChangelogLoader:
    """Loads partitions into a store.

    Args:
        store: The store.
        sha256: Digest of the store's model.
    """

    def __init__(self, store: Store, sha256: str) -> None:
        self._store, self._sha256 = store, sha256
        self._merger = RowMerger(store)

    def continue_with(self, meta: MetaRow) -> None:
        """Go on with a meta row as it was read."""
        meta.drop_unused_model(self._sha256)
        self.describe_rows(meta)

    def describe_rows(self, meta: MetaRow) -> None:
        """Note in a meta row the layout and model of the rows written from now on."""
        meta.describe_rows(self.rows())

    def rows(self) -> FormerModel:
        """Return the layout and model of the rows."""
        return FormerModel(self._sha256, self._store.layout.spec, list(self._store.channels))

    def load(self, part: Partition, keys: Sequence[bytes], values: Sequence[Value]) -> LoadReport:
        """Merge rows and meta rows of a changelog, in its order.

        Args:
            part: The partition.
            keys: Stream keys, or `META_KEY`.
            values: Value of each.
        """
        damaged: list[tuple[bytes, str]] = []
        accepted = stale = 0
        for rows, metas in _up_to_meta_rows(keys, values):
            report = self._merger.merge(part, rows)
            accepted, stale = accepted + report.accepted, stale + report.stale
            damaged += report.damaged
            for meta in metas:
                damaged += self._load_meta(part, meta)
        return LoadReport(accepted, stale, damaged)

    def _load_meta(self, part: Partition, value: bytes | None) -> list[tuple[bytes, str]]:
        """Take a meta row in; with None the partition begins anew.

        Returns:
            The row where it is damaged, and the reason.
        """
        try:
            meta = MetaRow() if value is None else MetaRow.decode(value)
        except (msgspec.DecodeError, UnicodeError) as error:
            return [(META_KEY, f"not a meta row: {error}")]
        if value is None or meta.rebased > part.meta.rebased:
            part.tombstone_index.clear()  # offsets may begin anew
        part.descriptions |= descriptions_of(meta)
        if value is None or meta.absorbed >= part.meta.absorbed:
            part.meta = meta
            self.continue_with(meta)
        return []

    def load_block(self, part: Partition, block: RowBlock) -> LoadReport:
        """Merge rows of a snapshot."""
        return self._merger.merge_block(part, block)

    def newer_layout(self, part: Partition) -> int:
        """Return the highest layout version of loaded rows if it cannot be read; else 0."""
        highest = self._store.unmigrated.newest_layout(part)
        return highest if highest > LAYOUT_VERSION else 0

    def migrate(self, part: Partition, limit: int | None) -> LoadReport:
        """Migrate rows of another layout or model, once all rows are loaded.

        Args:
            part: The partition.
            limit: Most rows to look at; None: all of them.
        """
        part.tombstone_index.clear()  # the whole changelog was read
        part.next_idle_us = ALWAYS
        migrated, damaged = 0, list[tuple[bytes, str]]()
        while True:
            count, reasons = self._store.unmigrated.migrate(part, limit or _MIGRATED_ROWS)
            migrated, damaged = migrated + count, damaged + reasons
            if not part.unmigrated_rows():
                return LoadReport(migrated + self._store.renew_rows(part), 0, damaged)
            if limit:
                return LoadReport(migrated, 0, damaged)


def _up_to_meta_rows(
    keys: Sequence[bytes], values: Sequence[Value]
) -> Iterator[tuple[list[tuple[bytes, Value]], list[bytes | None]]]:
    """Split a changelog behind each meta row.

    Yields:
        Rows, and the meta row that follows them; at last the rows that none follows.
    """
    rows: list[tuple[bytes, Value]] = []
    for key, value in zip(keys, values, strict=True):
        if key != META_KEY:
            rows.append((key, value))
            continue
        yield rows, [None if isinstance(value, Tombstone) else value]
        rows = []
    yield rows, []
