"""Small multiples: the top channels around the worst moments of a key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline import FleetModel
from ember_core.plots.decimation import Floats, decimate
from stream.backtest import Backtest
from stream.records import TopChannel

from ._facts import KeyFacts
from ._svg import Scale, band_shape, gaps, line, rect
from ._words import TimeFormat, esc, number

CHANNELS = 4
MOMENTS = 3
_W, _H, _LEFT, _TOP, _BOTTOM = 250, 92, 2, 4, 72
_COLUMNS = 110
_LEAST_ROWS, _MOST_ROWS = 60, 400  # shown on either side
_MOST_EXPECTED = 24


@dataclass(frozen=True)
class Moment:
    """A stretch of rows to draw: first and last scored row, and channels by falling share."""

    first: int
    last: int
    title: str
    channels: tuple[TopChannel, ...]


def moments(facts: KeyFacts, time_format: TimeFormat) -> list[Moment]:
    """Return the worst episodes, or the strongest anomaly where nothing fired."""
    worst = sorted(facts.episodes, key=lambda e: -e.peak)[:MOMENTS]
    if worst:
        return [
            Moment(
                e.first,
                e.last,
                f"Episode of {time_format.moment(e.start_us)}",
                e.channels[:CHANNELS],
            )
            for e in worst
        ]
    if not facts.anomalies:
        return []
    time_us, body = max(facts.anomalies, key=lambda a: a[1].severity)
    row = int(np.searchsorted(facts.scores.time_us, time_us))
    title = f"Strongest anomaly, {time_format.moment(time_us)} (nothing fired)"
    return [Moment(row, row, title, tuple(body.top_channels[:CHANNELS]))]


def small_multiples(
    facts: KeyFacts, result: Backtest, model: FleetModel, time_format: TimeFormat
) -> str:
    """Render one row of drawings per moment."""
    out = []
    for moment in moments(facts, time_format):
        drawings = "".join(
            _drawing(facts, result, model, moment, channel) for channel in moment.channels
        )
        out.append(
            f'<div class="moment" style="--n:{len(moment.channels)}"><h4>{esc(moment.title)}</h4>'
            f'<div class="multiples">{drawings}</div></div>'
        )
    return f'<div class="moments">{"".join(out)}</div>' if out else ""


def _drawing(
    facts: KeyFacts, result: Backtest, model: FleetModel, moment: Moment, channel: TopChannel
) -> str:
    scored = facts.scores.time_us
    column = model.channels.index(channel.name)
    length = moment.last - moment.first + 1
    pad = int(np.clip(length, _LEAST_ROWS, _MOST_ROWS))
    begin = int(scored[max(moment.first - pad, 0)])
    end = int(scored[min(moment.last + pad, len(scored) - 1)])
    time, values = result.rows(facts.table)
    visible = slice(*np.searchsorted(time, [begin, end + 1]))
    t, y = time[visible].astype(np.float64), values[visible, column]
    y = np.where(np.isfinite(y), y, np.nan)
    expected = _expected(facts, channel.name, begin, end)
    band = _band(model, facts, column, begin, end)
    scale = _value_scale(y, expected[1], band)
    x = Scale(float(begin), float(max(end, begin + 1)), _LEFT, _W - _LEFT)
    parts = [f'<svg viewBox="0 0 {_W} {_H}" role="img" aria-label="{esc(channel.name)}">']
    if band is not None:
        parts.append(band_shape(x(band.time), band.lower, band.upper, scale, _COLUMNS))
    ends = x.ends(scored[moment.first], scored[moment.last])
    parts.append(rect(ends, _TOP, _BOTTOM - _TOP, "fire-bg"))
    for a, b in facts.spans.tolist():
        if scored[b - 1] >= begin and scored[a] <= end:
            parts.append(rect(x.ends(scored[a], scored[b - 1]), _BOTTOM + 1, 4, "event"))
    px, py = decimate(x(t), y, _COLUMNS)
    parts.append(f'<path class="value" d="{line(px, scale(py), gaps(px, 4.0))}"/>')
    parts += [
        f'<circle class="expected" cx="{a:.1f}" cy="{b:.1f}" r="1.7"/>'
        for a, b in zip(x(expected[0]).tolist(), scale(expected[1]).tolist(), strict=True)
    ]
    extent = f"{number(scale.low)} to {number(scale.high)}"
    parts.append(f'<text class="tick" x="{_LEFT}" y="{_H - 3}">{extent}</text></svg>')
    caption = f"<b>{esc(channel.name)}</b> {100 * channel.share:.0f} %"
    return f"<figure><figcaption>{caption}</figcaption>{''.join(parts)}</figure>"


def _expected(
    facts: KeyFacts, name: str, begin: int, end: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return times and expected values of a channel, as the anomalies of the stretch name them."""
    points = [
        (time_us, top.expected)
        for time_us, body in facts.anomalies
        if begin <= time_us <= end
        for top in body.top_channels
        if top.name == name and top.expected is not None
    ]
    # Thinned to a few dots: every n-th, with n rounded up.
    points = points[:: max(1, -(-len(points) // _MOST_EXPECTED))]
    pairs = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


class _Band(NamedTuple):
    """Usual band of a channel: times and both bounds, `(n,)` each."""

    time: Floats
    lower: Floats
    upper: Floats


def _band(model: FleetModel, facts: KeyFacts, column: int, begin: int, end: int) -> _Band | None:
    """Return the band of a channel between two times.

    That of the rows where the backtest has it; otherwise the range of the key in training, two
    deviations around the mean; None where neither is known.
    """
    rows = facts.scores.details
    if rows is not None:
        visible = slice(*np.searchsorted(rows.time_us, [begin, end + 1]))
        time, lower, upper = rows.time_us[visible], rows.lower[visible], rows.upper[visible]
        if np.isnan(lower[:, column]).all():
            return None
        return _Band(time.astype(np.float64), lower[:, column], upper[:, column])
    if facts.known is None:
        return None
    mean = float(model.key_state["norm_mean"][facts.known, column])
    reach = 2.0 * float(model.key_state["norm_var"][facts.known, column]) ** 0.5
    times = np.array([begin, max(end, begin + 1)], dtype=np.float64)
    return _Band(times, np.full(2, mean - reach), np.full(2, mean + reach))


def _value_scale(y: Floats, expected: Floats, band: _Band | None) -> Scale:
    drawn = np.concatenate([y[~np.isnan(y)], expected])
    low, high = (float(drawn.min()), float(drawn.max())) if drawn.size else (0.0, 1.0)
    if band is not None:
        # The band is context: it may widen the axis, but must not flatten the curve.
        room = high - low or abs(high) or 1.0
        band_low, band_high = float(np.nanmin(band.lower)), float(np.nanmax(band.upper))
        low, high = max(min(low, band_low), low - room), min(max(high, band_high), high + room)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    return Scale(low, high, _BOTTOM - 2, _TOP + 2)
