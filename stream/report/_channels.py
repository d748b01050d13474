"""Every channel of a key over time: values, usual values, band and episodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ember_core.plots.decimation import Floats, decimate

from ._facts import KeyFacts
from ._svg import Scale, band_shape, gaps, line, rect
from ._timeline import LEFT, RIGHT, WIDTH, time_scale
from ._words import TimeFormat, esc, number

if TYPE_CHECKING:
    from ember_core.plots import KeyRows

OPEN_CHANNELS = 12  # drawn open; the others are folded
DRAWN_CHANNELS = 64
_HEIGHT, _TOP, _BOTTOM = 104, 8, 92
_COLUMNS = 480
_MARGIN = 0.06  # of the range of the values


def blame(rows: KeyRows) -> NDArray[np.int64]:
    """Return the channels by falling part in the improbable rows.

    Args:
        rows: Scored rows of the key.
    """
    # Rows count by how improbable they are: shares of usual rows say nothing.
    weight = np.expm1(np.maximum(np.asarray(rows.severity, dtype=np.float64), 0.0))
    total = weight @ np.nan_to_num(np.asarray(rows.contribution, dtype=np.float64))
    order: NDArray[np.int64] = np.argsort(-total, kind="stable")
    return order


def channel_drawings(
    facts: KeyFacts, rows: KeyRows, time_format: TimeFormat, marks: Sequence[int] = ()
) -> str:
    """Render one wide drawing a channel, those with the largest part in the episodes first.

    Args:
        facts: Results of the key, with the same rows.
        rows: The rows, with the values of the channels.
        time_format: Format of times.
        marks: Event times to mark, in microseconds.
    """
    order = blame(rows)[:DRAWN_CHANNELS].tolist()
    drawings = [_drawing(facts, rows, channel, time_format, marks) for channel in order]
    folded = "".join(drawings[OPEN_CHANNELS:])
    out = "".join(drawings[:OPEN_CHANNELS])
    if folded:
        count = len(drawings) - OPEN_CHANNELS
        out += f"<details><summary>{count:,} more channels</summary>{folded}</details>"
    left_out = len(rows.channels) - len(order)
    if left_out:
        out += f'<p class="soft">{left_out:,} channels with smaller parts are not drawn.</p>'
    return out


def _drawing(
    facts: KeyFacts,
    rows: KeyRows,
    channel: int,
    time_format: TimeFormat,
    marks: Sequence[int],
) -> str:
    name = rows.channels[channel]
    value, usual, lower, upper = (
        np.asarray(column, dtype=np.float64)[:, channel]
        for column in (rows.value, rows.usual, rows.lower, rows.upper)
    )
    x, y = time_scale(facts), _value_scale(value, usual, lower, upper)
    positions = x(facts.scores.time_us.astype(np.float64))
    label = esc(f"{name} over time")
    parts = [
        f'<svg class="channel" viewBox="0 0 {WIDTH} {_HEIGHT}" role="img" aria-label="{label}">'
    ]
    time = facts.scores.time_us
    parts += [
        rect(x.ends(time[e.first], time[e.last]), _TOP, _BOTTOM - _TOP, "fire-bg")
        for e in facts.episodes
    ]
    for tick in _ticks(y):
        height = y.at(tick)
        parts.append(f'<path class="grid" d="M{LEFT} {height:.1f}H{RIGHT}"/>')
        parts.append(
            f'<text class="tick" x="{LEFT - 6}" y="{height + 3.5:.1f}" text-anchor="end">'
            f"{number(tick)}</text>"
        )
    parts.append(band_shape(positions, lower, upper, y, _COLUMNS))
    px, py = decimate(positions, usual, _COLUMNS)
    parts.append(f'<path class="usual-line" d="{line(px, y(py), gaps(px, 6.0))}"/>')
    px, py = decimate(positions, value, _COLUMNS)
    parts.append(f'<path class="value" d="{line(px, y(py), gaps(px, 6.0))}"/>')
    parts += [
        f'<path class="mark" d="M{x.at(t):.1f} {_TOP}V{_BOTTOM}"/>'
        for t in marks
        if x.low <= t <= x.high
    ]
    parts.append("</svg>")
    caption = f"<b>{esc(name)}</b> {_last(value, usual, lower, upper)}"
    return (
        f'<figure class="wide"><figcaption>{caption}</figcaption>'
        f"{''.join(part for part in parts if part)}</figure>"
    )


def _value_scale(value: Floats, usual: Floats, lower: Floats, upper: Floats) -> Scale:
    """Return a scale that holds the values; the band may widen it, and must not flatten them."""
    drawn = np.concatenate([value, usual])
    drawn = drawn[np.isfinite(drawn)]
    low, high = (float(drawn.min()), float(drawn.max())) if drawn.size else (0.0, 1.0)
    room = (high - low) or abs(high) or 1.0
    if not np.isnan(lower).all():
        low = max(min(low, float(np.nanmin(lower))), low - room)
        high = min(max(high, float(np.nanmax(upper))), high + room)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    margin = _MARGIN * (high - low)
    return Scale(low - margin, high + margin, _BOTTOM, _TOP)


def _ticks(y: Scale) -> list[float]:
    """Return two or three round values inside a scale."""
    step = 10.0 ** np.floor(np.log10((y.high - y.low) / 2.0))
    step *= next(m for m in (5.0, 2.0, 1.0) if (y.high - y.low) / (m * step) >= 2.0)
    first = np.ceil(y.low / step)
    count = int(np.floor(y.high / step) - first) + 1
    return [float((first + i) * step) for i in range(count)]


def _last(value: Floats, usual: Floats, lower: Floats, upper: Floats) -> str:
    """Return the newest value in words, with its usual values."""
    if not len(value):
        return ""
    text = f"last {number(float(value[-1]))}"
    if np.isfinite(usual[-1]):
        text += f", usually {number(float(usual[-1]))}"
    if np.isfinite(lower[-1]):
        text += f" ({number(float(lower[-1]))} to {number(float(upper[-1]))})"
    return text
