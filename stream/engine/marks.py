"""Marks of false alarms: a key needs more of the same before it fires again.

A mark counts from the time of its event on, and fades with a half-life of event time. So it needs
no state: a replay of the same records under the same marks decides the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ember_core import ops
from stream.control import ControlSet, Feedback
from stream.event_times import parse_time

HALF_LIFE_SECONDS: Final = 30 * 86_400.0
MARGIN: Final = 0.5
"""Severity over that of the marked episode that a mark asks for,"""
GROWTH: Final = 0.1
"""and this share of its severity over the threshold. Each further mark adds as much again."""
FULL_SHARE: Final = 0.5
"""Share of the marked channels in a row from which the need counts in full for all together."""
HELD_FROM: Final = 0.3
"""Share that is left of a mark up to which averages do not follow its side."""
_LN2: Final = float(np.log(2.0))

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Mark:
    """One mark.

    Attributes:
        name: Name of its document, as events list it.
        above: True for channels that the event showed above their usual values, `(C,)`.
        below: True for those below, `(C,)`.
        time_us: Time of the event.
        need: Severity over the threshold that the same needs from now on.
    """

    name: str
    above: NDArray[np.bool_]
    below: NDArray[np.bool_]
    time_us: int
    need: float

    def left(self, time_us: NDArray[np.int64]) -> Floats:
        """Return the share of the mark that is left at times, `(n,)`."""
        age = (time_us - self.time_us) * 1e-6 / HALF_LIFE_SECONDS
        share = ops.exact_exp((-_LN2 * np.maximum(age, 0.0)).astype(np.float32))
        return np.where(age >= 0.0, share, np.float32(0.0)).astype(np.float32)


class MarksOfKeys:
    """Marks of false alarms among documents, by topic and key.

    Args:
        control: The documents.
        channels: Names of the model's channels.
    """

    def __init__(self, control: ControlSet, channels: Sequence[str]) -> None:
        self._by_key: dict[tuple[str, str], list[Mark]] = {}
        for document in control.documents:
            body = document.body
            if not isinstance(body, Feedback) or body.verdict != "false-alarm":
                continue
            above, below = (
                np.isin(np.asarray(channels, dtype=object), list(side))
                for side in (body.above, body.below)
            )
            if not (above | below).any():
                continue  # of a model with other channels
            need = (1 + GROWTH) * body.excess + MARGIN
            mark = Mark(document.key, above, below, parse_time(body.time), need)
            self._by_key.setdefault((body.topic, body.key), []).append(mark)

    def __bool__(self) -> bool:
        return bool(self._by_key)

    def of(self, topic: str, key: str) -> Sequence[Mark]:
        """Return the marks of a key, by name."""
        return self._by_key.get((topic, key), ())


class Needs(NamedTuple):
    """Severity that channels of rows need beyond the threshold, `(n, C)` each.

    Attributes:
        above: Need above the usual value.
        below: Need below it.
        here: Need on the side on which the row lies.
        channels: True for channels with a mark, `(C,)`.
    """

    above: Floats
    below: Floats
    here: Floats
    channels: NDArray[np.bool_]

    def joint(self, shares: Floats) -> Floats:
        """Return the need of all channels together, by their shares in the rows, `(n,)`."""
        largest, share = np.zeros(len(shares), np.float32), np.zeros(len(shares), np.float32)
        for i in np.flatnonzero(self.channels).tolist():
            largest = np.maximum(largest, self.here[:, i])
            share = share + np.where(self.here[:, i] > 0, shares[:, i], np.float32(0.0))
        counted: Floats = largest * np.minimum(share / np.float32(FULL_SHARE), np.float32(1.0))
        return counted


def needs_of(
    marks: Sequence[Mark], time_us: NDArray[np.int64], deviation: NDArray[np.float64]
) -> Needs | None:
    """Return the needs of rows of a key; None where it has no mark.

    Args:
        marks: Marks of the key.
        time_us: Times of the rows, `(n,)`.
        deviation: Values less the usual ones, `(n, C)`.
    """
    if not marks:
        return None
    above, below = (_side(marks, side, time_us) for side in ("above", "below"))
    zero = np.float32(0.0)
    here = np.where(deviation > 0, above, np.where(deviation < 0, below, zero))
    channels = np.logical_or.reduce([mark.above | mark.below for mark in marks])
    return Needs(above, below, here, channels)


def _side(marks: Sequence[Mark], side: str, time_us: NDArray[np.int64]) -> Floats:
    """Return the need on one side: that of the largest mark, and a little for each further one."""
    shape: Any = (len(time_us), marks[0].above.size)
    largest, count, first = (np.zeros(shape, np.float32) for _ in range(3))
    for mark in marks:
        left = mark.left(time_us)[:, None] * getattr(mark, side)
        largest = np.maximum(largest, left * np.float32(mark.need))
        count, first = count + left, np.maximum(first, left)
    more = np.float32(MARGIN) * (largest > 0) + np.float32(GROWTH) * largest
    need: Floats = largest + more * (count - first)
    return need


def held_side(marks: Sequence[Mark], side: str, time_us: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return True where averages do not follow a marked side, `(n, C)`.

    Otherwise the end of a marked fault would be a fault to the other side.

    Args:
        marks: Marks of a key.
        side: `above` or `below`.
        time_us: Times of the rows, `(n,)`.
    """
    is_held = np.zeros((len(time_us), marks[0].above.size), dtype=bool)
    for mark in marks:
        is_held |= (mark.left(time_us) > HELD_FROM)[:, None] & getattr(mark, side)
    return is_held
