"""A stretch of a key's rows: results that lie in it, counted from its first row."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
from numpy.typing import NDArray

from stream.backtest import KeyScores

from ._facts import Episode, KeyFacts
from ._motor import Trace


def stretch(facts: KeyFacts, begin_us: int, end_us: int) -> KeyFacts:
    """Return the results of the rows between two times, both inclusive.

    Episodes and silences that reach beyond the stretch keep their times; their rows are those in
    it.

    Args:
        facts: Results of a key.
        begin_us: Earliest event time.
        end_us: Latest event time.
    """
    time_us = facts.scores.time_us
    first, end = (int(i) for i in np.searchsorted(time_us, [begin_us, end_us + 1]))
    scores, details = facts.scores, facts.scores.details
    columns = {f.name: getattr(scores, f.name)[first:end] for f in fields(scores)[:-1]}
    if details is not None:
        details = details.take(np.arange(first, end))
    label = None if facts.label is None else facts.label[first:end]
    return replace(
        facts,
        scores=KeyScores(**columns, details=details),
        trace=_without_excursions(facts.scores.evidence[first:end]),
        episodes=[e for episode in facts.episodes if (e := _inside(episode, first, end))],
        silences=[
            (start, stop)
            for start, stop in facts.silences
            if start <= end_us and (stop is None or stop >= begin_us)
        ],
        anomalies=[(t, body) for t, body in facts.anomalies if begin_us <= t <= end_us],
        label=label,
        spans=np.zeros((0, 2), dtype=np.int64),
        delays=np.zeros(0),
        evaluation=None,
    )


def _inside(episode: Episode, first: int, end: int) -> Episode | None:
    """Return an episode with its rows in the stretch; None where it has none there."""
    if episode.last < first or episode.first >= end:
        return None
    return replace(
        episode,
        first=max(episode.first - first, 0),
        last=min(episode.last, end - 1) - first,
        peak_row=min(max(episode.peak_row, first), end - 1) - first,
    )


def _without_excursions(evidence: NDArray[np.float32]) -> Trace:
    spans = np.zeros((0, 2), dtype=np.int64)
    return Trace(evidence.astype(np.float64), spans, np.zeros(0), 0, 0)
