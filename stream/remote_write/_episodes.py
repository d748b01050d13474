"""Times in which the rows of a key are written, by its triggers. No Kafka, no clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, NamedTuple

import msgspec

from stream.types import TP

FOREVER = float("inf")
_MOST_KEYS = 100_000
"""Keys whose alerts are known at a time; further ones are counted and left out."""


class StreamKey(NamedTuple):
    """A key of one stream."""

    topic: str
    key: bytes


class _Trigger(msgspec.Struct):
    """Fields of a trigger's body that matter here."""

    status: Literal["firing", "updated", "resolved"]
    labels: dict[str, str]
    startsAt: datetime  # noqa: N815  # the wire's name
    endsAt: datetime | None = None  # noqa: N815


@dataclass
class Window:
    """Time in which the rows of a key are written.

    Attributes:
        tp: Partition of the triggers.
        offset: Offset of the first trigger.
        begin_us: First event time.
        end_us: Last event time; infinite while an alert fires.
        open: Labels of the alerts that fire.
        is_known: True if all rows before a restart were written already.
    """

    tp: TP
    offset: int
    begin_us: int
    end_us: float = FOREVER
    open: set[tuple[tuple[str, str], ...]] = field(default_factory=set)
    is_known: bool = False

    def has(self, time_us: int) -> bool:
        """Return True if a row of this time is written."""
        return self.begin_us <= time_us <= self.end_us


class Episodes:
    """Windows of all keys.

    Args:
        before_us: Time before an alert, in microseconds.
        after_us: Time after its end, in microseconds.
    """

    def __init__(self, before_us: int, after_us: int) -> None:
        self._before_us, self._after_us = before_us, after_us
        self._decode = msgspec.json.Decoder(_Trigger).decode
        self._windows: dict[StreamKey, Window] = {}
        self._begun: set[StreamKey] = set()

    def __len__(self) -> int:
        return len(self._windows)

    def __iter__(self) -> Iterator[StreamKey]:
        """Iterate over the keys that have a window."""
        return iter(self._windows)

    @property
    def firing(self) -> int:
        """Number of keys with an alert that fires."""
        return sum(bool(window.open) for window in self._windows.values())

    def get(self, key: StreamKey) -> Window | None:
        """Return the window of a key."""
        return self._windows.get(key)

    def take(
        self, tp: TP, offset: int, key: bytes, body: bytes, *, is_known: bool
    ) -> Literal["firing", "resolved", "invalid", "withheld"]:
        """Apply a trigger.

        Args:
            tp: Partition of the trigger.
            offset: Its offset.
            key: Stream key.
            body: Value of the record.
            is_known: True if it was read before a restart already.

        Returns:
            The outcome, for the metrics.
        """
        try:
            trigger = self._decode(body)
        except msgspec.DecodeError:
            return "invalid"
        name = StreamKey(trigger.labels.get("topic", ""), key)
        labels = tuple(sorted(trigger.labels.items()))
        window = self._windows.get(name)
        if trigger.status == "resolved":
            if window is not None:
                window.open.discard(labels)
                if not window.open:
                    end_us = _micros(trigger.endsAt or trigger.startsAt)
                    window.end_us = end_us + self._after_us
            return "resolved"
        begin_us = _micros(trigger.startsAt) - self._before_us
        if window is None:
            if len(self._windows) >= _MOST_KEYS:
                return "withheld"
            window = Window(tp, offset, begin_us, is_known=is_known)
            self._windows[name] = window
            self._begun.add(name)
        elif window.end_us != FOREVER:  # rows since then were not written
            if window.end_us < begin_us:
                window.begin_us = begin_us
            window.is_known = window.is_known and is_known
            self._begun.add(name)
        window.open.add(labels)
        window.end_us = FOREVER
        return "firing"

    def begun(self) -> dict[StreamKey, Window]:
        """Return the windows that have begun since the last call."""
        windows = {name: self._windows[name] for name in self._begun if name in self._windows}
        self._begun.clear()
        return windows

    def expire(self, clocks: Mapping[tuple[str, int], int]) -> None:
        """Forget the windows that ended long ago.

        Args:
            clocks: Newest event time of each partition, by stream and number.
        """
        # A key may be behind others of its partition: the time before an alert is its grace.
        ended = [
            name
            for name, window in self._windows.items()
            if window.end_us + self._before_us < clocks.get((name.topic, window.tp[1]), 0)
        ]
        for name in ended:
            del self._windows[name]

    def drop(self, tp: TP) -> None:
        """Forget the windows of a partition that was revoked."""
        for name in [name for name, window in self._windows.items() if window.tp == tp]:
            del self._windows[name]

    def oldest(self) -> dict[TP, int]:
        """Return the offset of the oldest trigger that is still needed, by partition."""
        offsets: dict[TP, int] = {}
        for window in self._windows.values():
            offsets[window.tp] = min(window.offset, offsets.get(window.tp, window.offset))
        return offsets


def _micros(time: datetime) -> int:
    aware = time.replace(tzinfo=UTC) if time.tzinfo is None else time
    return round(1_000_000 * aware.timestamp())
