"""Threshold slider: results at other on-thresholds, and the data of its script."""

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
    """Results of a threshold over all keys."""

    on: float
    episodes: int
    caught: int
    false: int


def sweep(facts: list[KeyFacts], on: float) -> Point:
    """Count episodes at one threshold, and evaluate them where there are labels."""
    episodes = events_caught = false_episodes = 0
    for f in facts:
        fired = f.trace.episodes(on)
        if f.label is None:
            episodes += len(fired)
            continue
        result = episode_scores(f.label, flagged(len(f.label), fired))
        episodes, events_caught, false_episodes = (
            episodes + result.episodes,
            events_caught + result.caught,
            false_episodes + result.false_episodes,
        )
    return Point(on, episodes, events_caught, false_episodes)


def thresholds(facts: list[KeyFacts], axes: Axes) -> tuple[float, float]:
    """Return the slider's range: from above the off-threshold to where nothing fires."""
    low = min(np.ceil(10 * axes.off + 1) / 10, axes.on)
    high = max(max(f.top for f in facts) + 0.1, axes.on + 0.5)
    return float(low), float(np.ceil(10 * high) / 10)


def slider_section(
    facts: list[KeyFacts], drawn: list[KeyFacts], axes: Axes, model: FleetModel
) -> str:
    """Render slider, counts, and a table of the same results for use without the script.

    Args:
        facts: All keys.
        drawn: Keys with a time line, in the order of the page.
        axes: Axes of the time lines.
        model: The model; its calibration predicts the false triggers of a threshold.
    """
    if not any(len(f.trace.spans) for f in facts):
        return ""
    low, high = thresholds(facts, axes)
    labelled = any(f.label is not None for f in facts)
    points = [sweep(facts, threshold) for threshold in np.linspace(low, high, _POINTS).tolist()]
    counted, data = _payload(facts, drawn, axes, model)
    uncounted = len(facts) - counted
    note = ""
    if uncounted:
        note = f" The slider counts the {counted:,} of {len(facts):,} keys with most evidence."
    quantity = "labelled events caught and false episodes" if labelled else "the number of episodes"
    return (
        '<section id="threshold"><h2>Other thresholds</h2>'
        f"<p>An episode fires when the evidence, a leaky mean of the severity, reaches the "
        f"on-threshold. Move the slider to change {quantity}; the time lines below follow."
        f"{note}</p>"
        '<div class="slider"><label for="on">on-threshold</label>'
        f'<input id="on" type="range" min="{low:.2f}" max="{high:.2f}" step="0.02" '
        f'value="{axes.on:.2f}" autocomplete="off">'
        f'<output id="on-value">{axes.on:.2f}</output>'
        '<button id="on-reset" type="button" disabled>as it ran</button></div>'
        f'<p id="on-result" class="big" aria-live="polite"></p>'
        f"{_table(points, labelled)}</section>"
        f'<script type="application/json" id="data">{data}</script>'
    )


def _table(points: list[Point], labelled: bool) -> str:
    """Render the results as a table; thresholds that change nothing are left out."""
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
    label_heads = "<th>events caught</th><th>false episodes</th>" if labelled else ""
    return (
        "<details><summary>The same as a table</summary>"
        f"<table><thead><tr><th>on-threshold</th><th>episodes</th>{label_heads}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></details>"
    )


def _payload(
    facts: list[KeyFacts], drawn: list[KeyFacts], axes: Axes, model: FleetModel
) -> tuple[int, str]:
    """Return the number of keys and the script's data: numbers only, no text of the data."""
    keys: list[Any] = []
    values = 0
    index_of = {f.table: i for i, f in enumerate(drawn)}
    # Drawn keys first: the slider redraws them.
    for f in sorted(facts, key=lambda f: (index_of.get(f.table, len(index_of)), -f.top)):
        size = int(np.diff(f.trace.spans, axis=1).sum())
        if values + size > _MOST_VALUES:
            break
        values += size
        keys.append(_key(f, index_of.get(f.table)))
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


def _key(f: KeyFacts, index: int | None) -> dict[str, Any]:
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
    pieces = [t.evidence[a:b] for a, b in t.spans.tolist()]
    raw = packed(np.concatenate(pieces) if pieces else np.zeros(0)).tobytes()
    return {
        "at": index,
        "n": len(t.evidence),
        "free": t.free,
        "rest": t.refractory,
        "x": excursions,
        "e": base64.b64encode(raw).decode(),
        "l": None if f.label is None else f.spans.ravel().tolist(),
    }


def _inert(text: str) -> str:
    """Escape JSON so that it cannot end a script element."""
    return text.replace("<", "\\u003c")
