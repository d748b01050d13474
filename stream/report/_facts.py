"""What a backtest says of each key: its episodes, silences, labelled spans and evidence."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
from numpy.typing import NDArray

from ember_core.evaluate import EpisodeScores, detection_delay, episode_scores
from ember_core.pipeline import FleetModel
from stream.backtest import Backtest, KeyScores
from stream.records import Anomaly, Event, TopChannel, Trigger, text_of

from ._motor import Trace, trace

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SILENT = "EmberKeyStale"
_trigger = msgspec.json.Decoder(Trigger)
_anomaly = msgspec.json.Decoder(Anomaly)


@dataclass(frozen=True)
class Episode:
    """From `firing` to `resolved`.

    Attributes:
        start_us: Event time it began.
        end_us: Event time it ended; None while it is open at the end of the data.
        first: Scored row that fired.
        last: Last scored row of it, inclusive.
        peak: Largest severity.
        peak_row: Scored row of the peak.
        channels: What made it improbable, at the peak where that is known.
        true: It holds a labelled row; None without labels.
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
    """One key.

    Attributes:
        table: Its place in the data set and in `Backtest.scores`.
        name: The key as text.
        scores: Its scored rows.
        trace: Its evidence.
        episodes: In order of time.
        silences: From and until when it sent nothing, event times; None: to the end.
        anomalies: Row time and body of each.
        label: 0/1 per scored row, or None.
        spans: Labelled events: first row, one after the last, shape `(E, 2)`.
        delays: Rows from the start of each labelled event to its first flagged row; NaN: missed.
        worth: The episodes held against the labels, or None.
        known: Its place among the keys the model was trained on, or None.
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
    worth: EpisodeScores | None = None
    known: int | None = None

    @property
    def fired(self) -> int:
        """Episodes, as the figures count them: those at most ten rows apart are one."""
        return self.worth.episodes if self.worth else len(self.episodes)

    @property
    def caught(self) -> int:
        """Labelled events with a flagged row."""
        return self.worth.caught if self.worth else 0

    @property
    def false(self) -> int:
        """Episodes without a labelled row."""
        return self.worth.false_episodes if self.worth else 0

    @property
    def top(self) -> float:
        """Largest evidence."""
        return float(self.trace.evidence.max()) if len(self.trace.evidence) else 0.0


def gather(result: Backtest, model: FleetModel) -> list[KeyFacts]:
    """Facts of every key, in the order of the data."""
    by_key: dict[bytes, list[Event]] = defaultdict(list)
    for event in result.events:
        by_key[event.key].append(event)
    place = {key: number for number, key in enumerate(model.keys)}
    return [
        _facts(result, model, number, by_key.get(table.key, []), place.get(table.key))
        for number, table in enumerate(result.dataset.tables)
    ]


def _facts(
    result: Backtest, model: FleetModel, number: int, events: list[Event], known: int | None
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
            if body.reason == "evidence":  # silences are told by themselves
                fired.append((event, body))
        elif body.status == "firing":
            silences.append((event.time_us, None))
        else:
            since = silences.pop()[0] if silences else _micros(body.starts_at)
            silences.append((since, event.time_us))
    pipeline = model.pipeline
    config = pipeline.config
    waits = known is None and len(scores.score) < len(result.dataset.rows(number, "scored"))
    quiet = config.quiet_rows if known is not None and not result.warm else 0
    free = max(config.warmup_alarm, config.quiet_rows) - config.warmup_score if waits else quiet
    facts = KeyFacts(
        table=number,
        name=text_of(table.key),
        scores=scores,
        trace=trace(scores.severity, pipeline.motor, max(free, 0)),
        episodes=_episodes(fired, scores),
        silences=silences,
        anomalies=anomalies,
        label=result.labels(number) if len(scores.score) else None,
        known=known,
    )
    _judge(facts)
    return facts


def _episodes(fired: list[tuple[Event, Trigger]], scores: KeyScores) -> list[Episode]:
    """Pairs of firing and resolved; the last may be open, the first may have begun earlier."""
    out: list[Episode] = []
    begun: tuple[Event, Trigger] | None = None
    for event, body in fired:
        if body.status == "firing":
            begun = (event, body)
            continue
        first = begun[1] if begun else None
        out.append(_episode(scores, first, body, event.time_us))
        begun = None
    if begun is not None:
        out.append(_episode(scores, begun[1], None, None))
    return out


def _episode(
    scores: KeyScores, begun: Trigger | None, ended: Trigger | None, end_us: int | None
) -> Episode:
    body = ended or begun
    assert body is not None
    start_us = _micros(body.starts_at)
    until = int(scores.time_us[-1]) if end_us is None else end_us
    first = int(np.searchsorted(scores.time_us, start_us))
    last = max(int(np.searchsorted(scores.time_us, until, side="right")) - 1, first)
    inside = scores.severity[first : last + 1]
    # The peak's memory holds three channels; where the first row was the peak, it named five.
    named = max((b for b in (begun, ended) if b), key=lambda b: (b.peak, len(b.top_channels)))
    return Episode(
        start_us=start_us,
        end_us=end_us,
        first=first,
        last=last,
        peak=float(inside.max()) if inside.size else body.peak,
        peak_row=first + (int(inside.argmax()) if inside.size else 0),
        channels=tuple(named.top_channels),
    )


def _judge(facts: KeyFacts) -> None:
    """Hold episodes against labels, by the definitions of `ember_core.evaluate`."""
    if facts.label is None:
        return
    flags = flagged(len(facts.label), [(e.first, e.last) for e in facts.episodes])
    edges = np.flatnonzero(np.diff(np.concatenate(([0], facts.label, [0]))))
    facts.spans = edges.reshape(-1, 2).astype(np.int64)
    facts.delays = detection_delay(facts.label, flags)
    facts.worth = episode_scores(facts.label, flags)
    facts.episodes = [
        replace(e, true=bool(facts.label[e.first : e.last + 1].any())) for e in facts.episodes
    ]


def flagged(rows: int, episodes: list[tuple[int, int]]) -> NDArray[np.bool_]:
    """True in every row of the episodes (first and last row, inclusive), shape `(rows,)`."""
    flags = np.zeros(rows, dtype=bool)
    for first, last in episodes:
        flags[first : last + 1] = True
    return flags


def _micros(text: str) -> int:
    """Inverse of `stream.records.rfc3339`."""
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)
