"""Time line of one key: severity and evidence over time, with three lanes below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline import FleetModel
from ember_core.plots.decimation import decimate
from stream.counts import plural

from ._facts import Episode, KeyFacts
from ._svg import Scale, gaps, line, rect
from ._words import TimeFormat, esc, odds

WIDTH, HEIGHT = 1000, 214
LEFT, RIGHT, TOP, BOTTOM = 62, 918, 10, 142
LANES = {"labelled": 152, "firing": 167, "anomalies": 182}
LANE = 10
_COLUMNS = 560
_MOST_TICKS = 400
_MOST_TITLES = 300
_LEAST_FALSE = 4.0  # its outline needs room


@dataclass(frozen=True)
class Axes:
    """Axes that all time lines share.

    Args:
        high: Top of the severity axis.
        anomaly: Severity of an anomaly.
        on: Evidence at which an episode fires.
        off: Evidence below which an episode resolves.
    """

    high: float
    anomaly: float
    on: float
    off: float

    @classmethod
    def of(cls, facts: list[KeyFacts], model: FleetModel) -> Axes:
        """Return axes that contain every key and both thresholds."""
        motor, anomaly = model.pipeline.motor, model.pipeline.config.anomaly_severity
        # Evidence of groups may exceed the severity of the row.
        top = max(
            (float(max(f.scores.severity.max(initial=0.0), f.top)) for f in facts), default=0.0
        )
        high = float(np.ceil(max(top, motor.on + 0.5, anomaly + 0.5, 4.0)))
        return cls(high, anomaly, motor.on, motor.off)

    @property
    def y(self) -> Scale:
        """Scale from severity to drawing units."""
        return Scale(0.0, self.high, BOTTOM, TOP)


def time_scale(facts: KeyFacts) -> Scale:
    """Return the scale from event time to drawing units."""
    t = facts.scores.time_us
    return Scale(float(t[0]), float(max(t[-1], t[0] + 1)), LEFT, RIGHT)


def timeline(
    facts: KeyFacts,
    axes: Axes,
    time_format: TimeFormat,
    index: int,
    thresholds: Any = None,
    marks: Sequence[int] = (),
) -> str:
    """Render the time line.

    Args:
        facts: The key, with at least one scored row.
        axes: Axes of all keys.
        time_format: Format of times.
        index: Number of the key on the page, by which the script finds its firing lane.
        thresholds: Evidence from which each row fires, where rules change it, `(n,)`; infinite
            where the key may not fire.
        marks: Event times to mark, in microseconds.
    """
    time, x = facts.scores.time_us, time_scale(facts)
    label = esc(_label(facts))
    parts = [
        f'<svg class="timeline" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">'
    ]
    parts += [
        rect(x.ends(time[a], time[b - 1]), TOP, BOTTOM - TOP, "label-bg")
        for a, b in facts.spans.tolist()
    ]
    parts += [
        rect(x.ends(time[e.first], time[e.last]), TOP, BOTTOM - TOP, "fire-bg")
        for e in facts.episodes
    ]
    parts += _grid(axes)
    parts += _curves(facts, axes, x)
    parts += _thresholds(axes)
    if thresholds is not None:
        parts += _moved_threshold(axes, x(time.astype(np.float64)), np.asarray(thresholds, float))
    parts += [
        f'<path class="mark" d="M{x.at(t):.1f} {TOP}V{BOTTOM}"/>'
        for t in marks
        if x.low <= t <= x.high
    ]
    parts += _lanes(facts, time_format, x, index)
    parts += _time_axis(facts, time_format, x)
    parts.append("</svg>")
    return "".join(parts)


def _label(facts: KeyFacts) -> str:
    return (
        f"Time line of {facts.name}: {plural(len(facts.episodes), 'episode')}, "
        f"{plural(len(facts.anomalies), 'anomaly', 'anomalies')}"
    )


def _grid(axes: Axes) -> list[str]:
    step = 1 if axes.high <= 6 else 2 if axes.high <= 10 else 3
    out = []
    for value in range(0, int(axes.high) + 1, step):
        y = axes.y.at(value)
        out.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{RIGHT}"/>')
        out.append(
            f'<text class="tick" x="{LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">{value}</text>'
        )
    middle = (TOP + BOTTOM) / 2
    out.append(
        f'<text class="tick" x="14" y="{middle}" text-anchor="middle" '
        f'transform="rotate(-90 14 {middle})">severity</text>'
    )
    return out


def _curves(facts: KeyFacts, axes: Axes, x: Scale) -> list[str]:
    """Draw the severity of the rows as a thin line, the evidence as a thick one."""
    positions = x(facts.scores.time_us.astype(np.float64))
    out = []
    for css, values in (("severity", facts.scores.severity), ("evidence", facts.trace.evidence)):
        px, py = decimate(positions, values.astype(np.float64), _COLUMNS)
        out.append(f'<path class="{css}" d="{line(px, axes.y(py), gaps(px, 6.0))}"/>')
    return out


def _moved_threshold(
    axes: Axes, px: NDArray[np.float64], thresholds: NDArray[np.float64]
) -> list[str]:
    """Return the curve of the threshold where some row has another than the model's.

    It has a gap where a key may not fire.
    """
    is_finite = np.isfinite(thresholds)
    if (thresholds[is_finite] == np.float32(axes.on)).all():
        return []
    edges = np.flatnonzero(np.diff(np.concatenate(([0], is_finite.astype(np.int8), [0]))))
    parts = []
    for begin, end in edges.reshape(-1, 2).tolist():
        part_x, part_y = decimate(px[begin:end], thresholds[begin:end], _COLUMNS)
        parts.append(f'<path class="on-curve" d="{line(part_x, axes.y(part_y))}"/>')
    return parts


def _thresholds(axes: Axes) -> list[str]:
    out = []
    distance = axes.y.at(axes.anomaly) - axes.y.at(axes.on)
    # The label of the anomaly threshold stands inside the plot, those of the evidence outside, and
    # those two keep apart.
    label_shift = max(11.0 - (axes.y.at(axes.off) - axes.y.at(axes.on)), 0.0) / 2.0
    for css, value, text, x, dy in (
        ("anomaly-line", axes.anomaly, "anomaly", LEFT + 4, 10.0 if 0 < distance < 15 else -3.0),
        ("on-line", axes.on, "fires", RIGHT + 5, 3.5 - label_shift),
        ("off-line", axes.off, "resolves", RIGHT + 5, 3.5 + label_shift),
    ):
        y = axes.y.at(value)
        out.append(
            f'<g class="{css}"><path d="M{LEFT} {y:.1f}H{RIGHT}"/>'
            f'<text x="{x}" y="{y + dy:.1f}">{text} {value:.2f}</text></g>'
        )
    return out


def _lanes(facts: KeyFacts, time_format: TimeFormat, x: Scale, index: int) -> list[str]:
    out = []
    for name, y in LANES.items():
        if name == "labelled" and facts.label is None:
            continue
        out.append(
            f'<text class="lane" x="{LEFT - 6}" y="{y + 8.5}" text-anchor="end">{name}</text>'
        )
        out.append(f'<path class="lane-base" d="M{LEFT} {y + LANE}H{RIGHT}"/>')
    out.append(f'<g class="labels" data-key="{index}">')
    out += _labelled(facts, time_format, x)
    out.append("</g>")
    for start, end in facts.silences:
        ends = x.ends(start, x.high if end is None else end)
        text = esc(f"silent from {time_format.moment(start)}")
        out.append(rect(ends, LANES["firing"], LANE, "silent", text))
    out.append(f'<g class="fired" data-key="{index}">')
    out += [_fired(e, facts, time_format, x) for e in facts.episodes]
    out.append("</g>")
    # Ticks closer than a drawing unit look alike: one per unit is enough.
    positions = np.unique(np.round(x(np.asarray([float(t) for t, _ in facts.anomalies])), 0))
    positions = positions[:: max(1, -(-positions.size // _MOST_TICKS))]
    y = LANES["anomalies"]
    out.append(
        f'<path class="anomaly" d="{"".join(f"M{a:g} {y}v{LANE}" for a in positions.tolist())}"/>'
    )
    return out


def _labelled(facts: KeyFacts, time_format: TimeFormat, x: Scale) -> list[str]:
    """Draw labelled events; a missed one is low and pale."""
    out, time = [], facts.scores.time_us
    for (a, b), delay in zip(facts.spans.tolist(), facts.delays.tolist(), strict=True):
        missed = delay != delay  # NaN
        title = ""
        if len(facts.spans) <= _MOST_TITLES:
            outcome = "missed" if missed else f"caught after {plural(int(delay), 'row')}"
            title = esc(f"{time_format.moment(int(time[a]))}, {plural(b - a, 'row')}: {outcome}")
        height = LANE // 2 if missed else LANE
        y = LANES["labelled"] + LANE - height
        css = "missed" if missed else "event"
        out.append(rect(x.ends(time[a], time[b - 1]), y, height, css, title))
    return out


def _fired(episode: Episode, facts: KeyFacts, time_format: TimeFormat, x: Scale) -> str:
    time, false = facts.scores.time_us, episode.true is False
    text = f"{time_format.moment(episode.start_us)}, peak {episode.peak:.1f} ({odds(episode.peak)})"
    return rect(
        x.ends(time[episode.first], time[episode.last]),
        LANES["firing"],
        LANE,
        "fire false" if false else "fire",
        esc(text) if len(facts.episodes) <= _MOST_TITLES else "",
        least=_LEAST_FALSE if false else 1.0,
    )


def _time_axis(facts: KeyFacts, time_format: TimeFormat, x: Scale) -> list[str]:
    time = facts.scores.time_us
    return [
        f'<text class="tick" x="{x.at(tick):.1f}" y="{HEIGHT - 6}" text-anchor="middle">'
        f"{text}</text>"
        f'<path class="grid" d="M{x.at(tick):.1f} {LANES["anomalies"] + LANE}v4"/>'
        for tick, text in time_format.ticks(int(time[0]), int(time[-1]))
    ]
