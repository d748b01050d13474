"""Results of a backtest by key: episodes, silences, labelled spans and evidence."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
from numpy.typing import NDArray

from ember_core.evaluate import EpisodeScores, detection_delay, episode_scores
from ember_core.pipeline import FleetModel, GroupMotor
from stream.backtest import Backtest, KeyScores
from stream.keys import key_text
from stream.records import Anomaly, Event, TopChannel, Trigger

from ._motor import Trace, group_trace, trace

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SILENT = "EmberKeyStale"
_trigger = msgspec.json.Decoder(Trigger)
_anomaly = msgspec.json.Decoder(Anomaly)


@dataclass(frozen=True)
class Episode:
    """Episode of a key, from `firing` to `resolved`.

    Attributes:
        start_us: Event time of its start.
        end_us: Event time of its end; None while it is open at the end of the data.
        first: Scored row that fired.
        last: Last scored row of it, inclusive.
        peak: Largest severity.
        peak_row: Scored row of the peak.
        channels: Channels with the largest shares, at the peak where the event names them.
        true: True if it holds a labelled row; None without labels.
    """

    start_us: int
    end_us: int | None
    first: int
    last: int
    peak: float
    peak_row: int
    channels: tuple[TopChannel, ...]
    true: bool | None = None


@dataclass
class KeyFacts:
    """Results of one key.

    Attributes:
        table: Index in the data set and in `Backtest.scores`.
        name: Key as text.
        scores: Scored rows.
        trace: Evidence of the rows.
        episodes: Episodes in order of time.
        silences: Start and end of each silence, event times; an end of None is that of the data.
        anomalies: Row time and body of each anomaly.
        label: Label of each scored row, 0 or 1; None without labels.
        spans: Labelled events: first row, one after the last, shape `(E, 2)`.
        delays: Rows from the start of each labelled event to its first flagged row; NaN: missed.
        evaluation: Evaluation of the episodes by the labels, or None.
        known: Index among the keys of the training, or None.
    """

    table: int
    name: str
    scores: KeyScores
    trace: Trace
    episodes: list[Episode] = field(default_factory=list)
    silences: list[tuple[int, int | None]] = field(default_factory=list)
    anomalies: list[tuple[int, Anomaly]] = field(default_factory=list)
    label: NDArray[np.int8] | None = None
    spans: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 2), dtype=np.int64))
    delays: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    evaluation: EpisodeScores | None = None
    known: int | None = None

    @property
    def fired(self) -> int:
        """Number of episodes, as the figures count them: those at most ten rows apart are one."""
        return self.evaluation.episodes if self.evaluation else len(self.episodes)

    @property
    def caught(self) -> int:
        """Number of labelled events with a flagged row."""
        return self.evaluation.caught if self.evaluation else 0

    @property
    def false(self) -> int:
        """Number of episodes without a labelled row."""
        return self.evaluation.false_episodes if self.evaluation else 0

    @property
    def top(self) -> float:
        """Largest evidence."""
        return float(self.trace.evidence.max()) if len(self.trace.evidence) else 0.0


def gather(result: Backtest, model: FleetModel) -> list[KeyFacts]:
    """Collect the results of every key, in the order of the data."""
    by_key: dict[bytes, list[Event]] = defaultdict(list)
    for event in result.events:
        by_key[event.key].append(event)
    model_index = {key: number for number, key in enumerate(model.keys)}
    return [
        _facts(result, model, number, by_key.get(table.key, []), model_index.get(table.key))
        for number, table in enumerate(result.dataset.tables)
    ]


def _facts(
    result: Backtest, model: FleetModel, number: int, events: list[Event], model_index: int | None
) -> KeyFacts:
    scores, table = result.scores[number], result.dataset.tables[number]
    silences: list[tuple[int, int | None]] = []
    fired: list[tuple[Event, Trigger]] = []
    anomalies: list[tuple[int, Anomaly]] = []
    for event in events:
        if event.kind == "anomaly":
            anomalies.append((event.time_us, _anomaly.decode(event.body)))
            continue
        body = _trigger.decode(event.body)
        if body.labels.get("alertname") != _SILENT:
            if body.reason == "evidence":  # silences have alerts of their own
                fired.append((event, body))
        elif body.status == "firing":
            silences.append((event.time_us, None))
        else:
            start_us = silences.pop()[0] if silences else _micros(body.starts_at)
            silences.append((start_us, event.time_us))
    pipeline = model.pipeline
    config = pipeline.config
    # The first row that may fire, as the engine counts it: an unknown key warms up; a known one
    # rests for `quiet_rows`, because a replay without warm-up begins with a fresh state.
    warms_up = model_index is None and len(scores.score) < len(
        result.dataset.rows(number, "scored")
    )
    quiet_rows = config.quiet_rows if model_index is not None and not result.warm else 0
    first_free = pipeline.fires_from - config.warmup_score if warms_up else quiet_rows
    facts = KeyFacts(
        table=number,
        name=key_text(table.key),
        scores=scores,
        trace=(
            group_trace(scores.evidence, pipeline.motor, max(first_free, 0))
            if isinstance(pipeline.motor, GroupMotor)
            else trace(scores.severity, pipeline.motor, max(first_free, 0))
        ),
        episodes=_episodes(fired, scores),
        silences=silences,
        anomalies=anomalies,
        label=result.labels(number) if len(scores.score) else None,
        known=model_index,
    )
    _evaluate(facts)
    return facts


def _episodes(fired: list[tuple[Event, Trigger]], scores: KeyScores) -> list[Episode]:
    """Pair firing with resolved triggers; the last may be open, the first may lack its firing."""
    out: list[Episode] = []
    opened: tuple[Event, Trigger] | None = None
    for event, body in fired:
        if body.status == "firing":
            opened = (event, body)
            continue
        first = opened[1] if opened else None
        out.append(_episode(scores, first, body, event.time_us))
        opened = None
    if opened is not None:
        out.append(_episode(scores, opened[1], None, None))
    return out


def _episode(
    scores: KeyScores, opened: Trigger | None, resolved: Trigger | None, end_us: int | None
) -> Episode:
    body = resolved or opened
    assert body is not None
    start_us = _micros(body.starts_at)
    last_us = int(scores.time_us[-1]) if end_us is None else end_us
    first = int(np.searchsorted(scores.time_us, start_us))
    last = max(int(np.searchsorted(scores.time_us, last_us, side="right")) - 1, first)
    severities = scores.severity[first : last + 1]
    # The state of a key keeps three channels of the peak; a firing trigger names five of its row.
    strongest = max(
        (b for b in (opened, resolved) if b), key=lambda b: (b.peak, len(b.top_channels))
    )
    return Episode(
        start_us=start_us,
        end_us=end_us,
        first=first,
        last=last,
        peak=float(severities.max()) if severities.size else body.peak,
        peak_row=first + (int(severities.argmax()) if severities.size else 0),
        channels=tuple(strongest.top_channels),
    )


def _evaluate(facts: KeyFacts) -> None:
    """Compare episodes with labels, by the definitions of `ember_core.evaluate`."""
    if facts.label is None:
        return
    flags = flagged(len(facts.label), [(e.first, e.last) for e in facts.episodes])
    # With a zero on either side every run of labels has a rising and a falling edge: pairs of its
    # first row and the row after its last.
    edges = np.flatnonzero(np.diff(np.concatenate(([0], facts.label, [0]))))
    facts.spans = edges.reshape(-1, 2).astype(np.int64)
    facts.delays = detection_delay(facts.label, flags)
    facts.evaluation = episode_scores(facts.label, flags)
    facts.episodes = [
        replace(e, true=bool(facts.label[e.first : e.last + 1].any())) for e in facts.episodes
    ]


def flagged(rows: int, episodes: list[tuple[int, int]]) -> NDArray[np.bool_]:
    """Return a mask `(rows,)` of the rows inside episodes (first and last row, inclusive)."""
    flags = np.zeros(rows, dtype=bool)
    for first, last in episodes:
        flags[first : last + 1] = True
    return flags


def _micros(text: str) -> int:
    """Parse an event time; the inverse of `stream.records.rfc3339`."""
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)
