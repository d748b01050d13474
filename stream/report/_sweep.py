"""The threshold slider: what other on-thresholds would have caught, and what the script needs."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from ember_core.evaluate import episode_scores
from ember_core.pipeline import Calibration, FleetModel

from ._facts import KeyFacts, flagged
from ._motor import STEPS, packed
from ._timeline import LANE, LANES, Axes, time_scale

_POINTS = 28
_MOST_VALUES = 500_000  # evidence handed to the script, over all keys: 1.3 MB of base64


@dataclass(frozen=True)
class Point:
    """What a threshold gives over all keys."""

    on: float
    episodes: int
    caught: int
    false: int


def sweep(facts: list[KeyFacts], on: float) -> Point:
    """Episodes and, where there are labels, their worth at one threshold."""
    episodes = caught = false = 0
    for f in facts:
        fired = f.trace.episodes(on)
        if f.label is None:
            episodes += len(fired)
            continue
        worth = episode_scores(f.label, flagged(len(f.label), fired))
        episodes, caught, false = (
            episodes + worth.episodes,
            caught + worth.caught,
            false + worth.false_episodes,
        )
    return Point(on, episodes, caught, false)


def thresholds(facts: list[KeyFacts], axes: Axes) -> tuple[float, float]:
    """The slider's range: from just above the off-threshold to where nothing fires."""
    low = min(np.ceil(10 * axes.off + 1) / 10, axes.on)
    high = max(max(f.top for f in facts) + 0.1, axes.on + 0.5)
    return float(low), float(np.ceil(10 * high) / 10)


def slider_section(
    facts: list[KeyFacts], drawn: list[KeyFacts], axes: Axes, model: FleetModel
) -> str:
    """Slider, counts, and a table that says the same without the script.

    Args:
        facts: All keys.
        drawn: Those with a time line, in the order of the page.
        axes: Axes of the time lines.
        model: The model; its calibration says what a threshold costs in false triggers.
    """
    if not any(len(f.trace.spans) for f in facts):
        return ""
    low, high = thresholds(facts, axes)
    labelled = any(f.label is not None for f in facts)
    points = [sweep(facts, on) for on in np.linspace(low, high, _POINTS).tolist()]
    given, data = _payload(facts, drawn, axes, model)
    left = len(facts) - given
    note = f" The slider counts {given:,} of {len(facts):,} keys, the liveliest." if left else ""
    words = (
        "labelled events caught against false episodes" if labelled else "how many episodes fire"
    )
    return (
        '<section id="threshold"><h2>Another threshold?</h2>'
        f"<p>An episode fires when the evidence, a leaky mean of the severity, reaches the "
        f"on-threshold. Move it and see {words}; the time lines below follow."
        f"{note}</p>"
        '<div class="slider"><label for="on">on-threshold</label>'
        f'<input id="on" type="range" min="{low:.2f}" max="{high:.2f}" step="0.02" '
        f'value="{axes.on:.2f}" autocomplete="off">'
        f'<output id="on-value">{axes.on:.2f}</output>'
        '<button id="on-reset" type="button" disabled>as it ran</button></div>'
        f'<p id="on-said" class="big" aria-live="polite"></p>'
        f"{_table(points, labelled)}</section>"
        f'<script type="application/json" id="data">{data}</script>'
    )


def _table(points: list[Point], labelled: bool) -> str:
    """The sweep in numbers; thresholds that change nothing are left out."""
    rows, last = [], None
    for point in points:
        key = (point.episodes, point.caught, point.false)
        if key == last:
            continue
        last = key
        cells = f"<td>{point.episodes:,}</td>"
        if labelled:
            cells += f"<td>{point.caught:,}</td><td>{point.false:,}</td>"
        rows.append(f'<tr><th scope="row">{point.on:.2f}</th>{cells}</tr>')
    more = "<th>events caught</th><th>false episodes</th>" if labelled else ""
    return (
        "<details><summary>The same as a table</summary>"
        f"<table><thead><tr><th>on-threshold</th><th>episodes</th>{more}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></details>"
    )


def _payload(
    facts: list[KeyFacts], drawn: list[KeyFacts], axes: Axes, model: FleetModel
) -> tuple[int, str]:
    """Numbers only: nothing of the data's own text enters the script."""
    keys: list[Any] = []
    values = 0
    place = {f.table: i for i, f in enumerate(drawn)}
    # Drawn keys first: those are the ones the slider redraws.
    for f in sorted(facts, key=lambda f: (place.get(f.table, len(place)), -f.top)):
        size = int(np.diff(f.trace.spans, axis=1).sum())
        if values + size > _MOST_VALUES:
            break
        values += size
        keys.append(_key(f, place.get(f.table)))
    calibration = model.report.get("calibration")
    rate = None
    if calibration:
        c = Calibration(**calibration)
        rate = [c.half, c.slope, 0.5 * c.rate * 604_800.0 / max(c.interval_seconds, 1e-9)]
    data = {
        "steps": STEPS,
        "on": axes.on,
        "high": axes.high,
        "y": [axes.y.start, axes.y.end],
        "lane": [LANES["firing"], LANE, LANES["labelled"]],
        "labelled": any(f.label is not None for f in facts),
        "actual": [
            sum(f.fired for f in facts),
            sum(f.caught for f in facts),
            sum(f.false for f in facts),
            sum(len(f.spans) for f in facts),
        ],
        "rate": rate,
        "keys": keys,
    }
    return len(keys), _inert(json.dumps(data, separators=(",", ":")))


def _key(f: KeyFacts, place: int | None) -> dict[str, Any]:
    t = f.trace
    excursions: list[int] = []
    if len(t.spans):
        x, time = time_scale(f), f.scores.time_us.astype(np.float64)
        last = np.minimum(t.spans[:, 1], len(time) - 1)
        ends = np.round(10 * x(time[np.stack([t.spans[:, 0], last], axis=1)])).astype(np.int64)
        sizes = np.diff(t.spans, axis=1)
        excursions = (
            np.concatenate([t.spans[:, :1], sizes, ends], axis=1, dtype=np.int64).ravel().tolist()
        )
    inside = [t.evidence[a:b] for a, b in t.spans.tolist()]
    raw = packed(np.concatenate(inside) if inside else np.zeros(0)).tobytes()
    return {
        "at": place,
        "n": len(t.evidence),
        "free": t.free,
        "rest": t.refractory,
        "x": excursions,
        "e": base64.b64encode(raw).decode(),
        "l": None if f.label is None else f.spans.ravel().tolist(),
    }


def _inert(text: str) -> str:
    """JSON that cannot end a script element."""
    return text.replace("<", "\\u003c")
