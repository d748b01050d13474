"""Partitions of an engine of several models: each profile has rows, all share the meta row."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Literal

import msgspec
import numpy as np

from stream.control import ControlSet
from stream.engine.state.layout import WindowSpec
from stream.engine.state.merge import LoadReport
from stream.engine.state.meta import META_KEY, MetaRow
from stream.engine.state.migration import alerts_of
from stream.engine.state.snapshot import RowBlock, RowScan
from stream.engine.state.spill import Spill
from stream.engine.state.tombstones import Tombstone
from stream.types import TP

from .lane import Lane
from .limits import Limits
from .profiled_rows import JoinedScan, join_dirty
from .profiles import NO_PROFILE, Profiles
from .result import DirtyRows, Moved

Value = bytes | Tombstone | None
OTHER_KEYS = "<other>"
"""Name of the profile of the keys that no pattern fits, where one has to be shown."""


class ProfiledPartitions:
    """State of all partitions a worker owns, by profile: it is loaded, read, and taken.

    Args:
        profiles: The models.
        window: Windows that make rows of samples.
        limits: Bounds of the records.
        spill: Function that makes a place for rows of a partition that memory does not hold; None:
            there is none.
        stream_names: Name of the stream in events, by input topic that is an internal one.
        control: Documents of operators that are in force.

    Attributes:
        profiles: The models.
    """

    def __init__(
        self,
        profiles: Profiles,
        window: WindowSpec | None,
        limits: Limits,
        spill: Callable[[], Spill] | None,
        stream_names: Mapping[str, str] | None,
        control: ControlSet,
    ) -> None:
        self.profiles = profiles
        self._lanes = [
            Lane(model, window, limits, spill, stream_names, control) for model in profiles.models
        ]
        self._forgotten: dict[TP, dict[bytes, bytes]] = {}

    @property
    def row_bytes(self) -> int:
        """Bytes of the longest row, in memory and in the changelog."""
        return max(lane.row_bytes for lane in self._lanes)

    @property
    def state_bytes(self) -> int:
        """Bytes of all rows in memory."""
        return sum(lane.state_bytes for lane in self._lanes)

    @property
    def active_keys(self) -> int:
        """Keys held, over all partitions."""
        return sum(lane.active_keys for lane in self._lanes)

    def keys_by_profile(self) -> dict[str, int]:
        """Return the number of keys held, by profile."""
        return {
            self.profiles.name(number) or OTHER_KEYS: lane.active_keys
            for number, lane in enumerate(self._lanes)
        }

    def flagged(self, field: Literal["firing", "stale", "known"]) -> int:
        """Return the number of keys in memory that fire now, are idle, or are in their model."""
        return sum(lane.flagged(field) for lane in self._lanes)

    def missing_channels(self) -> dict[str, int]:
        """Return the number of keys in memory that lack a channel, by channel; some do."""
        counts: dict[str, int] = {}
        for lane in self._lanes:
            for channel, number in lane.missing_channels().items():
                counts[channel] = counts.get(channel, 0) + number
        return counts

    def open_intervals(self) -> int:
        """Return the number of intervals of keys in memory that no sample has closed yet."""
        return sum(lane.open_intervals() for lane in self._lanes)

    @property
    def moved(self) -> Moved:
        """Rows moved out of memory, back, and forgotten, so far."""
        return Moved(*map(sum, zip(*(lane.moved for lane in self._lanes), strict=True)))

    def key_capacity(self) -> int:
        """Return the number of new keys that fit, whichever profile they are of."""
        return min(lane.key_capacity() for lane in self._lanes)

    def has_unwritten(self, tp: TP) -> bool:
        """Return whether rows of a partition changed since they were last taken."""
        return any(lane.has_unwritten(tp) for lane in self._lanes)

    def unwritten_bytes(self) -> int:
        """Return the bytes of the rows that changed since they were last taken."""
        return sum(lane.unwritten_bytes() for lane in self._lanes)

    # -- partitions

    def attached(self) -> list[TP]:
        """Return the partitions owned."""
        return self._lanes[0].attached()

    def attach(self, tp: TP) -> None:
        """Begin owning a partition, with no keys and an empty meta row. No-op when owned."""
        if (tp[0], tp[1]) not in self.attached():
            for number, lane in enumerate(self._lanes):
                lane.attach(tp)
                lane.part(tp).profile = self.profiles.name(number)
            self._share(tp)

    def detach(self, tp: TP) -> None:
        """Stop owning a partition and free its rows. No-op when not owned."""
        self._forgotten.pop((tp[0], tp[1]), None)
        for lane in self._lanes:
            lane.detach(tp)

    def meta(self, tp: TP) -> MetaRow:
        """Return the meta row of a partition; may be written to."""
        return self._lanes[0].meta(tp)

    def open(
        self, tp: TP, position: int, events_from: int, events_from_ms: int | None = None
    ) -> bool:
        """Note the offset at which absorbing begins or goes on, before it does: `Engine.open`."""
        for lane in self._lanes:
            lane.own(tp)
        version = self.profiles.version
        return self.meta(tp).open_at(position, events_from, events_from_ms, version)

    def _share(self, tp: TP) -> None:
        """Let all lanes have the meta row of the first one, and describe their rows in it."""
        meta = self.meta(tp)
        for lane in self._lanes[1:]:
            lane.part(tp).meta = meta
        self._describe(meta)

    def _describe(self, meta: MetaRow) -> None:
        layouts = {lane.rows.model: lane.rows for lane in self._lanes}
        meta.describe_rows(*layouts.values())

    # -- rows

    def keys(self, tp: TP) -> int:
        """Return the number of keys of a partition that are in memory."""
        return sum(lane.keys(tp) for lane in self._lanes)

    def row(self, tp: TP, key: bytes) -> bytes | None:
        """Return the bytes of a key's row, or None."""
        (number,) = self.profiles.find([key]).tolist()
        return None if number == NO_PROFILE else self._lanes[number].row(tp, key)

    def take_dirty(self, tp: TP, limit: int | None = None) -> DirtyRows:
        """Copy rows changed since they were last taken, and mark them clean: `Engine.take_dirty`.

        Args:
            tp: The partition.
            limit: Most rows of a profile to take; the others stay dirty.
        """
        return join_dirty([lane.take_dirty(tp, limit) for lane in self._lanes])

    def load(self, tp: TP, keys: Sequence[bytes], values: Sequence[Value]) -> LoadReport:
        """Merge changelog rows: a row is taken only if its source offset is not older.

        Rows of keys that no model is for any more are set aside until `migrate`.

        Args:
            tp: The partition; attached if it was not.
            keys: Stream keys, or `META_KEY`.
            values: Rows; None is a tombstone, as is `Tombstone`, which holds up to an offset.
        """
        self.attach(tp)
        former = self.meta(tp)
        numbers = self.profiles.find(keys)
        is_meta = np.fromiter((key == META_KEY for key in keys), dtype=bool, count=len(keys))
        reports = []
        for number, lane in enumerate(self._lanes):  # each lane learns of all layouts
            lines = np.flatnonzero(is_meta | (numbers == number)).tolist()
            reports.append(lane.load(tp, [keys[i] for i in lines], [values[i] for i in lines]))
        if self.meta(tp) is not former:
            self.meta(tp).drop_unused_model(*(lane.rows.model for lane in self._lanes))
            self._share(tp)
        forgotten = self._forgotten.setdefault((tp[0], tp[1]), {})
        for i in np.flatnonzero(~is_meta & (numbers == NO_PROFILE)).tolist():
            value = values[i]
            forgotten.pop(keys[i], None)
            if isinstance(value, bytes):
                forgotten[keys[i]] = value
        rows_only = [_without_meta(report) for report in reports[1:]]  # each lane tells the same
        return _total([reports[0], *rows_only])

    def load_block(self, tp: TP, block: RowBlock) -> LoadReport:
        """Merge rows of a snapshot into a partition that is attached."""
        numbers, reports = self.profiles.find(block.keys), []
        for number, lane in enumerate(self._lanes):
            lines = np.flatnonzero(numbers == number)
            if lines.size:
                keys = [block.keys[i] for i in lines.tolist()]
                rows = np.ascontiguousarray(block.rows[lines, : lane.row_bytes])
                reports.append(lane.load_block(tp, RowBlock(keys, rows)))
        return _total(reports)

    def row_kind(self) -> tuple[str, list[tuple[str, str, tuple[int, ...]]]]:
        """Return a digest of profiles and models; name, type and shape of every field of each."""
        spec = [
            (f"{number}.{name}", kind, shape)
            for number, lane in enumerate(self._lanes)
            for name, kind, shape in lane.row_kind()[1]
        ]
        names = [*self.profiles.patterns, *(model.sha256 for model in self.profiles.models)]
        return hashlib.sha256(msgspec.json.encode(names)).hexdigest(), spec

    def scan(self, tp: TP) -> RowScan:
        """Begin to copy the rows of a partition; only one scan of a partition at a time."""
        return JoinedScan([lane.scan(tp) for lane in self._lanes], self.row_bytes)

    def newer(self, tp: TP) -> int:
        """Return the highest layout version of loaded rows if it cannot be read; else 0."""
        return max(lane.newer(tp) for lane in self._lanes)

    def migrate(self, tp: TP, limit: int | None = None) -> LoadReport:
        """Migrate rows of another layout or model, after all rows are loaded: `Engine.migrate`.

        Rows of keys that no model is for any more are forgotten: their alerts are given up, and
        the changelog gets a tombstone for each.
        """
        part = self._lanes[0].part(tp)
        for key, row in self._forgotten.pop((tp[0], tp[1]), {}).items():
            part.tombstones[key] = None
            given_up = alerts_of(row, part.descriptions, "model")
            if given_up is not None:
                part.given_up[key] = given_up
        reports, most = list[LoadReport](), limit
        for lane in self._lanes:
            reports.append(lane.migrate(tp, most))
            most = None if most is None else max(1, most - reports[-1].accepted)
        return _total(reports)

    def unmigrated(self, tp: TP) -> int:
        """Return the number of rows that wait for `migrate`; at most so many."""
        return sum(lane.unmigrated(tp) for lane in self._lanes)


def _without_meta(report: LoadReport) -> LoadReport:
    return report._replace(damaged=[row for row in report.damaged if row[0] != META_KEY])


def _total(reports: Sequence[LoadReport]) -> LoadReport:
    return LoadReport(
        sum(report.accepted for report in reports),
        sum(report.stale for report in reports),
        list(chain.from_iterable(report.damaged for report in reports)),
    )
