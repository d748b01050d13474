"""Event bodies of anomalies and episodes, in the same bytes on every replay."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import Any, Literal

import msgspec
import numpy as np

from ember_core.pipeline import Decision, FleetModel, Observation
from stream.given_up import SUMMARIES
from stream.keys import key_text
from stream.records import (
    Anomaly,
    Event,
    LimitReached,
    ModelRef,
    Trigger,
    Window,
    encode_body,
    encode_part,
    event_id,
    fingerprint,
    rfc3339,
)

from .event_identity import fingerprint_of
from .event_text import ChannelText, number_text
from .explanation import SHOWN, Explanation, explain_channels
from .hard_limits import LimitChange

_KEY_REASONS = ("key_stale", "key_returned")
# Reasons whose published `reason` is another word: the alert's name tells the two cases apart.
_PUBLISHED = {
    "episode_stale": "stale",
    "episode_returned": "returned",
    "key_stale": "stale",
    "key_returned": "returned",
}


class EventRow(msgspec.Struct):
    """Fields of an event that come from its row."""

    topic: str
    key: bytes
    time_us: int
    end_us: int
    seq: int
    score: float
    severity: float
    evidence: float
    probability: float = 1.0
    confidence: float = 1.0
    rules: Sequence[str] = ()


class EventBuilder:
    """Makes the events of one model.

    Attributes:
        channels: Channels of the model.

    Args:
        model: The model that scores.
    """

    def __init__(self, model: FleetModel) -> None:
        self._pipeline = model.pipeline
        ref = ModelRef(name=model.name, version=model.version, sha256=model.sha256)
        self._ref = msgspec.Raw(encode_part(ref))
        config = model.pipeline.config
        self.channels = self._channels = config.channels
        self._text = ChannelText(config.channels)
        if config.windows == "exponential":
            self._size = round(2 * max(config.half_lives))
            self._strides = [round(h) for h in config.half_lives]
        else:
            self._size, self._strides = config.window_size, list(config.strides)

    def explain(
        self,
        observation: Observation,
        index: Any,
        values: Any,
        decision: Decision,
        decided: Any,
    ) -> list[Explanation]:
        """Explain rows by the channels that make them improbable.

        Args:
            observation: Rows observed.
            index: Those that are explained, `(B,)`.
            values: Values of their records, `(B, C)`, NaN where missing.
            decision: Decisions on rows.
            decided: Indices of the rows among these, `(B,)`.
        """
        shares = self._pipeline.explain(observation.visible[index])
        if observation.usual is not None:
            return explain_channels(
                self._channels, observation, index, values, shares, decision, decided
            )
        order = np.argsort(-shares, axis=1, kind="stable")[:, :SHOWN]
        moments = {name: value[index] for name, value in observation.moments.items()}
        in_units = self._pipeline.normaliser.restore(moments, observation.expected[index])
        return [
            Explanation(c, s, v, e)
            for c, s, v, e in zip(
                order.tolist(),
                np.take_along_axis(shares, order, axis=1).tolist(),
                np.take_along_axis(values, order, axis=1).tolist(),
                np.take_along_axis(in_units, order, axis=1).tolist(),
                strict=True,
            )
        ]

    def anomaly(self, row: EventRow, explanation: Explanation, threshold: float) -> Event:
        """Return the event of one improbable row."""
        labels, common = self._labels("EmberAnomaly", row), self._common(row, explanation)
        body = Anomaly(
            status="firing",
            labels=labels,
            annotations=self._annotations(
                labels["key"], row, explanation, "improbable for this key"
            ),
            starts_at=common["window"].start,
            fingerprint=fingerprint_of("EmberAnomaly", labels["key"], row.topic),
            threshold=threshold,
            **common,
        )
        return self._event("anomaly", "anomaly", row, encode_body(body))

    def trigger(
        self,
        row: EventRow,
        explanation: Explanation,
        threshold: float,
        *,
        resolved: bool,
        reason: str,
        started_us: int,
        peak: float,
        rows: int,
    ) -> Event:
        """Return the event of the begin or end of an episode.

        Args:
            row: The row that moved the neuron.
            explanation: Its explanation, or that of the episode's peak.
            threshold: Evidence at which the neuron fires or resolves.
            resolved: The episode ends.
            reason: Cause of its begin or end: `evidence`; `planned` where planned work on the key
                begins; `episode_stale` and `episode_returned`
                where the key of an open episode becomes idle and sends again; `key_stale` and
                `key_returned` where the episode is the idle time itself. Both pairs are published
                as `stale` and `returned`.
            started_us: Event time the episode began.
            peak: Largest severity of the episode.
            rows: Its rows so far.
        """
        name = "EmberKeyStale" if reason in _KEY_REASONS else "EmberFiring"
        summary = {
            "evidence": "behaves unlike itself" if not resolved else "is itself again",
            "escalation": "is worse than before",
            "normal_now": "is as usual, an operator says",
            "planned": "is under planned work",
            "episode_stale": "fell silent while it fired",
            "episode_returned": "sends again and still fires",
            "key_stale": "has fallen silent",
            "key_returned": "sends again",
        }[reason]
        labels = self._labels(name, row)
        body = Trigger(
            status="resolved" if resolved else "updated" if reason == "escalation" else "firing",
            labels=labels,
            annotations=self._annotations(labels["key"], row, explanation, summary),
            starts_at=rfc3339(started_us),
            ends_at=rfc3339(max(row.time_us, started_us)) if resolved else None,
            fingerprint=fingerprint_of(name, labels["key"], row.topic),
            threshold=threshold,
            reason=_PUBLISHED.get(reason, reason),
            peak=peak,
            rows=rows,
            evidence=explanation.evidence or msgspec.UNSET,
            **self._common(row, explanation),
        )
        kind = f"trigger/{name}/{body.status}"
        return self._event("trigger", kind, row, encode_body(body))

    def channel_trigger(self, row: EventRow, channel: int, *, resolved: bool, rows: int) -> Event:
        """Return the event of a channel that goes missing, or that returns.

        Its labels name the channel, so that every channel of a key is an alert of its own.

        Args:
            row: The row that it is missing from, or is in again.
            channel: Index of the channel.
            resolved: The channel returns, or its key is forgotten.
            rows: Rows without it.
        """
        name = self._channels[channel]
        labels = {**self._labels("EmberChannelMissing", row), "channel": name}
        verb = "comes again" if resolved else "has stopped coming"
        body = Trigger(
            status="resolved" if resolved else "firing",
            labels=labels,
            annotations={
                "summary": f"Channel {name} of {key_text(row.key)} {verb}",
                "description": f"{rows} rows without a value.",
            },
            starts_at=rfc3339(row.time_us),
            ends_at=rfc3339(row.time_us) if resolved else None,
            fingerprint=fingerprint(labels),
            threshold=0.0,
            reason="channel_returned" if resolved else "channel_missing",
            peak=0.0,
            rows=rows,
            **self._common(row, Explanation([], [], [], [])),
        )
        kind = f"trigger/EmberChannelMissing/{channel}/{body.status}"
        return self._event("trigger", kind, row, encode_body(body))

    def limit_trigger(self, row: EventRow, change: LimitChange) -> Event:
        """Return the event of a hard limit that is broken, or no longer is.

        Its labels name the channel and the side, so that each of a key is an alert of its own.

        Args:
            row: The row that breaks it, or not any more.
            change: The change.
        """
        name = self._channels[change.channel]
        side: Literal["above", "below"] = "below" if change.side else "above"
        labels = {**self._labels("EmberLimit", row), "channel": name, "direction": side}
        value = None if isnan(change.value) else change.value
        bound = None if isnan(change.bound) else change.bound
        if change.is_open:
            summary = f"{number_text(change.value)}, {side} its limit {number_text(change.bound)}"
            reason = "limit"
        elif bound is None:
            summary, reason = "has no such limit any more", "limit_removed"
        else:
            summary, reason = f"{number_text(change.value)}, within its limit again", "within_limit"
        body = Trigger(
            status="firing" if change.is_open else "resolved",
            labels=labels,
            annotations={
                "summary": f"{key_text(row.key)} {name} {summary}",
                "description": f"Rules: {', '.join(change.rules) or 'none'}.",
            },
            starts_at=rfc3339(change.since_us),
            ends_at=None if change.is_open else rfc3339(row.time_us),
            fingerprint=fingerprint(labels),
            threshold=0.0 if bound is None else bound,
            reason=reason,
            peak=0.0,
            rows=0,
            limit=LimitReached(
                channel=name,
                direction=side,
                value=value,
                bound=bound,
                since=rfc3339(change.since_us),
            ),
            **self._common(row, Explanation([], [], [], [])),
        )
        kind = f"trigger/EmberLimit/{change.channel}/{side}/{body.status}"
        return self._event("trigger", kind, row, encode_body(body))

    def given_up(
        self,
        row: EventRow,
        reason: str,
        *,
        name: str = "EmberFiring",
        channel: str | None = None,
        direction: str | None = None,
        explanation: Explanation | None = None,
        started_us: int,
        peak: float = 0.0,
        rows: int = 0,
    ) -> Event:
        """Return the trigger that resolves an alert which its key does not hold open any more.

        Args:
            row: The key's last row, or the time it is forgotten.
            reason: Reason for it, one of `stream.given_up`.
            name: Name of the alert.
            channel: Channel that was missing, or broke its limit.
            direction: Side of the limit.
            explanation: That of the episode's peak.
            started_us: Event time the alert began.
            peak: Largest severity of the episode.
            rows: Its rows, or those without the channel.
        """
        explanation = explanation or Explanation([], [], [], [])
        places = {"channel": channel, "direction": direction}
        labels = self._labels(name, row) | {k: v for k, v in places.items() if v is not None}
        body = Trigger(
            status="resolved",
            labels=labels,
            annotations=self._annotations(labels["key"], row, explanation, SUMMARIES[reason]),
            starts_at=rfc3339(started_us),
            # Alertmanager refuses an end before the begin.
            ends_at=rfc3339(max(row.time_us, started_us)),
            fingerprint=fingerprint(labels),
            threshold=0.0,
            reason=reason,
            peak=peak,
            rows=rows,
            **self._common(row, explanation),
        )
        kind = f"trigger/{name}/{'/'.join(filter(None, (channel, direction)))}/given up"
        return self._event("trigger", kind, row, encode_body(body))

    def _event(self, kind: Any, unique: str, row: EventRow, body: bytes) -> Event:
        return Event(
            kind=kind,
            key=row.key,
            id=event_id(row.topic, row.key, row.time_us, row.seq, unique),
            time_us=row.time_us,
            body=body,
        )

    def _labels(self, name: str, row: EventRow) -> dict[str, str]:
        return {"alertname": name, "key": key_text(row.key), "topic": row.topic}

    def _annotations(
        self, key: str, row: EventRow, explanation: Explanation, summary: str
    ) -> dict[str, str]:
        parts = self._text.of(explanation).parts
        first = f": {parts[0]}" if parts else ""
        return {
            "summary": f"{key} {summary}{first}",
            "description": "; ".join(parts) or f"Last record at {rfc3339(row.time_us)}.",
        }

    def _common(self, row: EventRow, explanation: Explanation) -> dict[str, Any]:
        start = rfc3339(row.time_us)
        return {
            "score": row.score,
            "probability": row.probability,
            "severity": row.severity,
            "confidence": row.confidence if row.confidence < 1.0 else msgspec.UNSET,
            "rules": list(row.rules) or msgspec.UNSET,
            "window": Window(
                start=start,
                end=start if row.end_us == row.time_us else rfc3339(row.end_us),
                size=self._size,
                stride=self._strides,
            ),
            "top_channels": self._text.of(explanation).top_channels,
            "model": self._ref,
        }
