"""Marks of false alarms: a key needs more of the same before it fires again.

A mark counts from the time of its event on, and fades with a half-life of event time. So it needs
no state: a replay of the same records under the same marks decides the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ember_core import ops
from ember_core.pipeline.evidence import Sides
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
        companions_above: True for channels that went above with these, `(C,)`.
        companions_below: True for those that went below with them, `(C,)`.
        time_us: Time of the event.
        need: Severity over the threshold that the same needs from now on.
    """

    name: str
    above: NDArray[np.bool_]
    below: NDArray[np.bool_]
    companions_above: NDArray[np.bool_]
    companions_below: NDArray[np.bool_]
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
            sides = (body.above, body.below, body.companions_above, body.companions_below)
            masks = [np.isin(np.asarray(channels, dtype=object), list(side)) for side in sides]
            if not (masks[0] | masks[1]).any():
                continue  # of a model with other channels
            need = (1 + GROWTH) * body.excess + MARGIN
            mark = Mark(
                document.key,
                above=masks[0],
                below=masks[1],
                companions_above=masks[2],
                companions_below=masks[3],
                time_us=parse_time(body.time),
                need=need,
            )
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
        slow_above: Need of slow averages above it.
        slow_below: Need of those below.
        here: Need on the side on which the row lies.
        channels: True for channels with a mark, `(C,)`.
    """

    above: Floats
    below: Floats
    slow_above: Floats
    slow_below: Floats
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

    def beyond(self, sides: Sides) -> Floats:
        """Return the severities of channels less what they need, `(n, C)`.

        The spread grows with any jump, and stays: it needs as much as the side that needs more.
        """
        moving = np.maximum(
            np.maximum(sides.above - self.above, sides.slow_above - self.slow_above),
            np.maximum(sides.below - self.below, sides.slow_below - self.slow_below),
        )
        spread = sides.spread - np.maximum(self.slow_above, self.slow_below)
        severity: Floats = np.maximum(np.maximum(moving, sides.frozen - self.here), spread)
        return severity


def needs_of(
    marks: Sequence[Mark],
    time_us: NDArray[np.int64],
    deviation: NDArray[np.float64],
    sides: Sides | None,
    level: float,
) -> Needs | None:
    """Return the needs of rows of a key; None where it has no mark.

    Args:
        marks: Marks of the key.
        time_us: Times of the rows, `(n,)`.
        deviation: Values less the usual ones, `(n, C)`.
        sides: Severities of the channels by side; None with joint evidence.
        level: Severity from which a marked channel goes on, and with it its companions.
    """
    if not marks:
        return None
    shape = (len(time_us), marks[0].above.size)
    goes_on = [np.zeros(shape[0], dtype=bool)] * len(marks)
    if sides is not None:
        is_above = np.maximum(sides.above, sides.slow_above) >= level
        is_below = np.maximum(sides.below, sides.slow_below) >= level
        goes_on = [(is_above & mark.above | is_below & mark.below).any(axis=1) for mark in marks]
    mark_shares = [mark.left(time_us)[:, None] for mark in marks]
    # A slow average of a companion goes on for hours after the marked channel is as usual again.
    quick, slow = (
        [
            _total(
                [
                    share * (getattr(mark, side) | counts & getattr(mark, f"companions_{side}"))
                    for mark, share, counts in zip(marks, mark_shares, companions, strict=True)
                ],
                marks,
            )
            for side in ("above", "below")
        ]
        for companions in ([mask[:, None] for mask in goes_on], [np.True_] * len(marks))
    )
    zero = np.float32(0.0)
    here = np.where(deviation > 0, quick[0], np.where(deviation < 0, quick[1], zero))
    channels = np.logical_or.reduce(
        [m.above | m.below | m.companions_above | m.companions_below for m in marks]
    )
    return Needs(
        above=quick[0],
        below=quick[1],
        slow_above=slow[0],
        slow_below=slow[1],
        here=here,
        channels=channels,
    )


def _total(shares: Sequence[Floats], marks: Sequence[Mark]) -> Floats:
    """Return the need of the largest mark, and a little for each further one, `(n, C)`.

    Args:
        shares: Share of each mark that is left for each channel, `(n, C)` each.
        marks: The marks.
    """
    largest, count, first = (np.zeros_like(shares[0]) for _ in range(3))
    for mark, share in zip(marks, shares, strict=True):
        largest = np.maximum(largest, share * np.float32(mark.need))
        count, first = count + share, np.maximum(first, share)
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
        covered = getattr(mark, side) | getattr(mark, f"companions_{side}")
        is_held |= (mark.left(time_us) > HELD_FROM)[:, None] & covered
    return is_held
