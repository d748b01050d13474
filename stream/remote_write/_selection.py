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
        input_tp: Stream and partition of its rows.
        series: Number of its series.
        last_us: Event time of its newest row.
    """

    input_tp: TP
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
        self._clocks: dict[TP, int] = {}
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
        input_tp = batch.topic, batch.partition
        self._clocks[input_tp] = max(newest_us, self._clocks.get(input_tp, newest_us))
        rows = self._keys.first_of_steps(numbers, batch.time_us // self._step_us)
        is_sent, is_done = self._split(batch, numbers, rows, is_known=is_known)
        waiting = rows[~is_sent & ~is_done]
        self.history.add(
            tp,
            batch.topic,
            batch.channels,
            numbers[waiting],
            batch.time_us[waiting],
            table[waiting],
        )
        sent = [
            KeyRows(
                batch.topic,
                batch.keys[indexes[0]],
                batch.channels,
                batch.time_us[indexes],
                table[indexes],
            )
            for indexes in _by_number(numbers, rows[is_sent])
        ]
        self._expire(tp, input_tp)
        return [keyed for keyed in sent if self._admit(keyed, input_tp)]

    def _split(
        self,
        batch: ScoreBatch,
        numbers: NDArray[np.int64],
        rows: NDArray[np.int64],
        *,
        is_known: bool,
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which of some rows are written, and which were before a restart."""
        is_sent = self._keys.is_always(numbers[rows])
        is_done = is_sent & is_known
        is_sent &= not is_known
        candidates = [self._keys.find(name.key) for name in self.episodes]
        firing = np.fromiter((n for n in candidates if n is not None), dtype=np.int64)
        for index in np.flatnonzero(np.isin(numbers[rows], firing) & ~is_done).tolist():
            row = rows[index]
            window = self.episodes.get(StreamKey(batch.topic, batch.keys[row]))
            if window is not None and window.has(int(batch.time_us[row])):
                was_written = is_known and window.is_known
                is_sent[index], is_done[index] = not was_written, was_written
        return is_sent, is_done

    def begun(self) -> list[KeyRows]:
        """Return the rows before the alerts that have begun since the last call."""
        by_topic: dict[str, dict[int, tuple[int, float]]] = {}
        input_tps: dict[tuple[str, int], TP] = {}
        for name, window in self.episodes.begun().items():
            number = self._keys.find(name.key)
            if number is not None:
                by_topic.setdefault(name.topic, {})[number] = window.begin_us, window.end_us
                input_tps[name.topic, number] = name.topic, window.tp[1]
        parts_of: dict[tuple[str, int, tuple[str, ...]], list[KeyRows]] = {}
        for topic, windows in by_topic.items():
            for number, channels, time_us, table in self.history.take(topic, windows):
                keyed = KeyRows(topic, self._keys.names[number], channels, time_us, table)
                if self._admit(keyed, input_tps[topic, number]):
                    parts_of.setdefault((topic, number, channels), []).append(keyed)
        return [_join(parts) for parts in parts_of.values()]

    def _admit(self, keyed: KeyRows, input_tp: TP) -> bool:
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
        self._written[name] = _Written(input_tp, count, newest_us)
        self.series += count
        return True

    def _expire(self, tp: TP, input_tp: TP) -> None:
        """Forget rows, alerts, series and keys that are too old."""
        self.history.expire(tp, self._clocks[input_tp])
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
            if written.last_us + grace_us < self._clocks.get(written.input_tp, now_us)
        )
        if len(self._keys) > 2 * self._compacted:
            numbers_of_names = (
                self._keys.find(name.key) for name in (*self._written, *self.episodes)
            )
            written = np.array([n for n in numbers_of_names if n is not None], dtype=np.int64)
            numbers = np.union1d(self.history.numbers(), written)
            self.history.renumber(self._keys.keep(numbers))
            self._compacted = max(len(numbers), _LEAST_COMPACTED)

    def _forget(self, names: Iterator[StreamKey]) -> None:
        for name in names:
            self.series -= self._written.pop(name).series

    def drop(self, tp: TP) -> None:
        """Forget a partition that was revoked, of scores or of triggers."""
        self.history.drop(tp)
        self.episodes.drop(tp)

    def drop_input(self, topic: str, partition: int) -> None:
        """Forget the keys of a partition of the input.

        Args:
            topic: Input topic, as events name it.
            partition: Its partition.
        """
        input_tp = topic, partition
        self._clocks.pop(input_tp, None)
        self._forget(n for n, w in list(self._written.items()) if w.input_tp == input_tp)


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
