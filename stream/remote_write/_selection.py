"""Choice of the rows that are written: by pattern, by alert, and before an alert.

No Kafka, no network, no clock but that of the rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream.scores import ScoreBatch
from stream.settings import RemoteWriteSection
from stream.types import TP

from ._episodes import Episodes, StreamKey
from ._history import History
from ._keys import KeyTable
from ._rows import KeyRows, series_count, table_of

_MICROS = 1_000_000
_MIB = 1 << 20
_LEAST_COMPACTED = 4_096
"""Number of keys below which none is forgotten."""
_UPKEEP_US = 10 * _MICROS


@dataclass
class _Written:
    """A key whose rows are written.

    Attributes:
        place: Stream and partition.
        series: Number of its series.
        last_us: Event time of its newest row.
    """

    place: tuple[str, int]
    series: int
    last_us: int


class Selection:
    """Rows to write, and the history of the others.

    Args:
        settings: Section of the settings.

    Attributes:
        episodes: Alerts of the keys.
        history: Rows that are not written yet.
        left_out: Samples of keys that found no room among the series.
        series: Number of series that are written at present.
    """

    def __init__(self, settings: RemoteWriteSection) -> None:
        before_us = round(_MICROS * settings.before_seconds)
        self.episodes = Episodes(before_us, round(_MICROS * settings.after_seconds))
        self.history = History(before_us, _MIB * settings.memory_mib)
        self.left_out = 0
        self.series = 0
        self._before_us = before_us
        self._step_us = round(_MICROS * settings.step_seconds)
        self._max_series = settings.max_series
        self._keys = KeyTable(settings.keys)
        self._written: dict[StreamKey, _Written] = {}
        self._clocks: dict[tuple[str, int], int] = {}
        self._compacted = _LEAST_COMPACTED
        self._next_upkeep_us = 0

    @property
    def keys(self) -> int:
        """Number of keys that are written at present."""
        return len(self._written)

    def rows(self, tp: TP, batch: ScoreBatch, *, is_known: bool) -> list[KeyRows]:
        """Return the rows of a batch that are written now; the others are kept for a while.

        Args:
            tp: Partition of the scores topic.
            batch: Scored rows.
            is_known: True if they were read before a restart already.
        """
        if not len(batch):
            return []
        numbers = self._keys.numbers(batch.keys)
        table = table_of(batch)
        newest_us = int(batch.time_us.max())
        place = batch.topic, batch.partition
        self._clocks[place] = max(newest_us, self._clocks.get(place, newest_us))
        rows = self._keys.first_of_steps(numbers, batch.time_us // self._step_us)
        goes, is_done = self._split(batch, numbers, rows, is_known=is_known)
        kept = rows[~goes & ~is_done]
        self.history.add(
            tp, batch.topic, batch.channels, numbers[kept], batch.time_us[kept], table[kept]
        )
        written = rows[goes]
        chosen = [
            KeyRows(
                batch.topic, batch.keys[each[0]], batch.channels, batch.time_us[each], table[each]
            )
            for each in _by_number(numbers, written)
        ]
        self._look_after(tp, place)
        return [keyed for keyed in chosen if self._admit(keyed, place)]

    def _split(
        self,
        batch: ScoreBatch,
        numbers: NDArray[np.int64],
        rows: NDArray[np.int64],
        *,
        is_known: bool,
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which of some rows are written, and which were before a restart."""
        goes = self._keys.is_always(numbers[rows])
        is_done = goes & is_known
        goes &= not is_known
        candidates = [self._keys.find(name.key) for name in self.episodes]
        firing = np.fromiter((n for n in candidates if n is not None), dtype=np.int64)
        for index in np.flatnonzero(np.isin(numbers[rows], firing) & ~is_done).tolist():
            row = rows[index]
            window = self.episodes.get(StreamKey(batch.topic, batch.keys[row]))
            if window is not None and window.has(int(batch.time_us[row])):
                was_written = is_known and window.is_known
                goes[index], is_done[index] = not was_written, was_written
        return goes, is_done

    def begun(self) -> list[KeyRows]:
        """Return the rows before the alerts that have begun since the last call."""
        by_topic: dict[str, dict[int, tuple[int, float]]] = {}
        places: dict[int, tuple[str, int]] = {}
        for name, window in self.episodes.begun().items():
            number = self._keys.find(name.key)
            if number is not None:
                by_topic.setdefault(name.topic, {})[number] = window.begin_us, window.end_us
                places[number] = name.topic, window.tp[1]
        chosen: dict[tuple[str, int, tuple[str, ...]], list[KeyRows]] = {}
        for topic, windows in by_topic.items():
            for number, channels, time_us, table in self.history.take(topic, windows):
                keyed = KeyRows(topic, self._keys.names[number], channels, time_us, table)
                if self._admit(keyed, places[number]):
                    chosen.setdefault((topic, number, channels), []).append(keyed)
        return [_join(parts) for parts in chosen.values()]

    def _admit(self, keyed: KeyRows, place: tuple[str, int]) -> bool:
        """Return True if there is room for the series of a key; else count its samples."""
        name = StreamKey(keyed.topic, keyed.key)
        newest_us = int(keyed.time_us.max())
        written = self._written.get(name)
        if written is not None:
            written.last_us = max(written.last_us, newest_us)
            return True
        count = series_count(keyed.channels)
        if self.series + count > self._max_series:
            self.left_out += keyed.samples
            return False
        self._written[name] = _Written(place, count, newest_us)
        self.series += count
        return True

    def _look_after(self, tp: TP, place: tuple[str, int]) -> None:
        """Let go of what is too old, now and then."""
        self.history.expire(tp, self._clocks[place])
        now_us = max(self._clocks.values())
        if now_us < self._next_upkeep_us:
            return
        self._next_upkeep_us = now_us + _UPKEEP_US
        self.episodes.expire(self._clocks)
        # Series end here as they do in the store: when nothing came for a while.
        grace_us = max(self._before_us, 300 * _MICROS)
        self._forget(
            name
            for name, written in list(self._written.items())
            if written.last_us + grace_us < self._clocks.get(written.place, now_us)
        )
        if len(self._keys) > 2 * self._compacted:
            present = {self._keys.find(name.key) for name in (*self._written, *self.episodes)}
            written = np.array([n for n in present if n is not None], dtype=np.int64)
            kept = np.union1d(self.history.numbers(), written)
            self.history.renumber(self._keys.keep(kept))
            self._compacted = max(len(kept), _LEAST_COMPACTED)

    def _forget(self, names: Iterator[StreamKey]) -> None:
        for name in names:
            self.series -= self._written.pop(name).series

    def drop(self, tp: TP) -> None:
        """Forget a partition that was revoked, of scores or of triggers."""
        self.history.drop(tp)
        self.episodes.drop(tp)

    def drop_place(self, topic: str, partition: int) -> None:
        """Forget the keys of a partition of the input.

        Args:
            topic: Input topic, as events name it.
            partition: Its partition.
        """
        place = topic, partition
        self._clocks.pop(place, None)
        self._forget(name for name, w in list(self._written.items()) if w.place == place)


def _by_number(numbers: NDArray[np.int64], rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yield the rows of each key, in their order."""
    order = rows[np.argsort(numbers[rows], kind="stable")]
    ends = np.flatnonzero(np.diff(numbers[order])) + 1
    return (part for part in np.split(order, ends) if len(part))


def _join(parts: list[KeyRows]) -> KeyRows:
    """Return the rows of one key as one, by time."""
    times = np.concatenate([part.time_us for part in parts])
    tables = np.concatenate([part.table for part in parts])
    order = np.argsort(times, kind="stable")
    first = parts[0]
    return KeyRows(first.topic, first.key, first.channels, times[order], tables[order])
