"""Tumbling intervals by the key's own event time: samples in, complete rows out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.engine.state.layout import NEVER, WindowSpec

_FIELDS = (
    "max_time",
    "window_start",
    "window_open",
    "window_value",
    "window_count",
    "window_time",
)
_FAR = 2**62


class Tumbling:
    """Open intervals of a block of keys, one sample per key at a time.

    An interval closes when the key's own largest event time passes its end by the lateness; a
    sample of an interval that has closed is late.

    Args:
        spec: Length, lateness and aggregates.
        channels: Names of the channels, in column order.

    Attributes:
        fields: Fields of a row that are its own.
    """

    fields = _FIELDS

    def __init__(self, spec: WindowSpec, channels: tuple[str, ...]) -> None:
        self.spec = spec
        by_channel = dict(spec.aggregates)
        kinds = np.array([by_channel.get(name, spec.aggregate) for name in channels])
        # Masks of the channels with each aggregate, `(C,)`.
        self._is = {kind: kinds == kind for kind in ("last", "mean", "max", "count")}

    def late(self, views: dict[str, Any], time_us: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return True where a sample's interval has closed; shape `(B,)`."""
        closed: NDArray[np.bool_] = self._end(self._start(time_us)) <= views["max_time"]
        return closed

    def due(
        self, views: dict[str, Any], time_us: NDArray[np.int64]
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]]:
        """Close the intervals that a sample's time closes, oldest first.

        At most one interval of each key at a time.

        Args:
            views: Fields of the keys, written to.
            time_us: Time of each key's sample, not late, shape `(B,)`.

        Yields:
            Index of the keys that close an interval, its start, and its row `(n, C)`; NaN where
            a channel sent nothing.
        """
        views["max_time"][...] = np.maximum(views["max_time"], time_us)
        for _ in range(self.spec.open_windows):
            # Slot of the oldest open interval of each key; free slots never win.
            start = np.where(views["window_open"] > 0, views["window_start"], _FAR)
            oldest = start.argmin(axis=1)
            oldest_start = start[np.arange(len(start)), oldest]
            closes = (oldest_start < _FAR) & (self._end(oldest_start) <= views["max_time"])
            keys = np.flatnonzero(closes)
            if keys.size == 0:
                return
            slot = oldest[keys]
            total = views["window_value"][keys, slot]
            count = views["window_count"][keys, slot]
            total = np.where(self._is["mean"], total / np.maximum(count, 1), total)
            views["window_open"][keys, slot] = 0
            yield keys, oldest_start[keys], np.where(count > 0, total, np.nan)

    def absorb(
        self, views: dict[str, Any], time_us: NDArray[np.int64], values: NDArray[np.float64]
    ) -> None:
        """Add one sample per key to its interval.

        Args:
            views: Fields of the keys, written to.
            time_us: Time of each key's sample, shape `(B,)`.
            values: Values of each, shape `(B, C)`; NaN where the sample lacks a channel.
        """
        start = self._start(time_us)
        is_open = views["window_open"] > 0
        match = is_open & (views["window_start"] == start[:, None])
        # Slot of the sample's interval, or the first free one: there are as many slots as
        # intervals that can be open at once.
        slot = np.where(match.any(axis=1), match.argmax(axis=1), is_open.argmin(axis=1))
        key = np.arange(len(slot))
        opens = ~match.any(axis=1)
        count = np.where(opens[:, None], 0, views["window_count"][key, slot])
        total = np.where(opens[:, None], 0.0, views["window_value"][key, slot])
        last = np.where(opens[:, None], NEVER, views["window_time"][key, slot])
        present = np.isfinite(values)
        first = count == 0
        is_new = self._is["last"] & (time_us[:, None] >= last)
        new = np.where(
            self._is["max"],
            np.fmax(total, values),
            np.where(self._is["mean"], total + values, np.where(is_new, values, total)),
        )
        new = np.where(self._is["count"], total + 1.0, np.where(first, values, new))
        new = np.where(first & self._is["count"], 1.0, new)
        views["window_start"][key, slot] = start
        views["window_open"][key, slot] = 1
        views["window_value"][key, slot] = np.where(present, new, total)
        views["window_count"][key, slot] = count + present
        last_time = np.maximum(last, time_us[:, None])
        views["window_time"][key, slot] = np.where(present, last_time, last)

    def _start(self, time_us: Any) -> Any:
        return time_us - time_us % self.spec.interval_us

    def _end(self, start: Any) -> Any:
        return start + (self.spec.interval_us + self.spec.lateness_us)
