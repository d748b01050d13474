"""Comparison of the channels that events name with the true ones."""

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
    peak_times = [np.array([time for time, _ in peak], dtype=np.int64) for peak in peaks]
    rates: list[dict[str, float]] = []
    channels = len(run.model.channels)
    for k, key_trace in enumerate(trace(run.model, series, peak_times)):
        shares = (
            run.model.pipeline.explain(key_trace.visible)
            if len(key_trace.visible)
            else key_trace.visible
        )
        row_at = {int(time): i for i, time in enumerate(key_trace.time_us)}
        for time, event in peaks[k]:
            blamed = np.argsort(-shares[row_at[time]], kind="stable")
            largest = np.argsort(-np.abs(key_trace.z[row_at[time]]), kind="stable")
            rates.append(
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
    published = _published(run, truth)
    return {
        "events": len(rates),
        **{name: float(np.mean([row[name] for row in rates])) for name in rates[0]},
        "published": len(published),
        "published_hit_in_first": float(np.mean(published)) if published else float("nan"),
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
        rows = np.flatnonzero((scores.time_us >= first) & (scores.time_us <= last) & (label > 0))
        if rows.size:
            out.append((int(scores.time_us[rows[scores.score[rows].argmax()]]), event))
    return out


def _published(run: Run, truth: dict[str, list[Interpretation]]) -> list[bool]:
    """For each reported event with labels, test whether the report names a true channel first."""
    index = {name: i for i, name in enumerate(run.model.channels)}
    out = []
    for k, table in enumerate(run.dataset.tables):
        events = [e for e in run.result.events if e.key == table.key]
        times = np.array([e.time_us for e in events], dtype=np.int64)
        for event in truth.get(table.key.decode(), []):
            first, last = _span(run, k, event)
            bodies = [
                json.loads(events[i].body)
                for i in np.flatnonzero((times >= first) & (times <= last))
            ]
            firing = [b for b in bodies if b["status"] == "firing" and b["top_channels"]]
            if firing:
                best = max(firing, key=lambda body: float(body["score"]))
                ranking = [index[channel["name"]] for channel in best["top_channels"]]
                out.append(hit_in_first(ranking, event.channels, FIRST))
    return out
