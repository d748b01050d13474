"""Whether the channels that events name were at fault."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from benchmarks.quality.product import Run, Subject
from benchmarks.quality.sets import Interpretation
from benchmarks.quality.trace import scored_series, trace
from ember_core.evaluate import chance_in_first, hit_in_first, hit_rate

FIRST = 3


def explanations(subject: Subject) -> dict[str, Any] | None:
    """Channels named at the peak of each labelled event, against the true ones.

    `hit_in_first` and the hit rates are over all labelled events, by the explanation of the
    event's most improbable record; `published_hit_in_first` is over those for which the product
    published an anomaly or a trigger, by the most improbable of these. Beside them the same of
    channels ranked by their z-score, and what a random ranking would have in its first three.
    """
    if not subject.truth:
        return None
    rows = [_one(run, subject.truth) for run in subject.runs]
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def _one(run: Run, truth: dict[str, list[Interpretation]]) -> dict[str, float]:
    series = scored_series(run.dataset)
    peaks: list[list[tuple[int, Interpretation]]] = []
    for k, table in enumerate(run.dataset.tables):
        peaks.append(_peaks(run, k, truth.get(table.key.decode(), [])))
    kept = [np.array([time for time, _ in peak], dtype=np.int64) for peak in peaks]
    found: list[dict[str, float]] = []
    channels = len(run.model.channels)
    for k, one in enumerate(trace(run.model, series, kept)):
        shares = run.model.pipeline.explain(one.visible) if len(one.visible) else one.visible
        at = {int(time): i for i, time in enumerate(one.time_us)}
        for time, event in peaks[k]:
            blamed = np.argsort(-shares[at[time]], kind="stable")
            largest = np.argsort(-np.abs(one.z[at[time]]), kind="stable")
            found.append(
                {
                    "hit_in_first": hit_in_first(blamed, event.channels, FIRST),
                    "hit_rate_100": hit_rate(blamed, event.channels),
                    "hit_rate_150": hit_rate(blamed, event.channels, 1.5),
                    "z_hit_in_first": hit_in_first(largest, event.channels, FIRST),
                    "z_hit_rate_100": hit_rate(largest, event.channels),
                    "z_hit_rate_150": hit_rate(largest, event.channels, 1.5),
                    "chance_in_first": chance_in_first(channels, len(event.channels), FIRST),
                }
            )
    named = _published(run, truth)
    return {
        "events": len(found),
        **{name: float(np.mean([row[name] for row in found])) for name in found[0]},
        "published": len(named),
        "published_hit_in_first": float(np.mean(named)) if named else float("nan"),
    }


def _span(run: Run, key: int, event: Interpretation) -> tuple[int, int]:
    """First and last event time of a labelled event."""
    table = run.dataset.tables[key]
    times = table.time_us[run.dataset.rows(key, "scored")]
    return int(times[event.start]), int(times[min(event.last, len(times) - 1)])


def _peaks(run: Run, key: int, events: list[Interpretation]) -> list[tuple[int, Interpretation]]:
    """Event time of the most improbable labelled record of each event."""
    scores, label = run.result.scores[key], run.result.labels(key)
    assert label is not None
    out = []
    for event in events:
        first, last = _span(run, key, event)
        inside = np.flatnonzero((scores.time_us >= first) & (scores.time_us <= last) & (label > 0))
        if inside.size:
            out.append((int(scores.time_us[inside[scores.score[inside].argmax()]]), event))
    return out


def _published(run: Run, truth: dict[str, list[Interpretation]]) -> list[bool]:
    """Of each labelled event that was reported: whether the report names a true channel first."""
    place = {name: i for i, name in enumerate(run.model.channels)}
    out = []
    for k, table in enumerate(run.dataset.tables):
        mine = [e for e in run.result.events if e.key == table.key]
        times = np.array([e.time_us for e in mine], dtype=np.int64)
        for event in truth.get(table.key.decode(), []):
            first, last = _span(run, k, event)
            bodies = [
                json.loads(mine[i].body) for i in np.flatnonzero((times >= first) & (times <= last))
            ]
            told = [b for b in bodies if b["status"] == "firing" and b["top_channels"]]
            if told:
                best = max(told, key=lambda body: float(body["score"]))
                ranking = [place[channel["name"]] for channel in best["top_channels"]]
                out.append(hit_in_first(ranking, event.channels, FIRST))
    return out
