"""Metrics of events and dead letters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from stream.records import Event

from ._metric_set import MetricSet

_EPISODE_BUCKETS = (10.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0)
_MOST_CHANNELS = 50
_OTHER_CHANNEL = "other"
_TRIGGERS = (
    *(("firing", "evidence"), ("updated", "escalation"), ("resolved", "evidence")),
    *(("firing", "stale"), ("resolved", "stale")),
    *(("firing", "returned"), ("resolved", "returned")),
    *(("firing", "channel_missing"), ("resolved", "channel_returned")),
    *(("firing", "limit"), ("resolved", "within_limit"), ("resolved", "limit_removed")),
    ("resolved", "normal_now"),
)
_DEAD_LETTER_OUTCOMES = ("written", "cut", "coordinates", "dropped", "failed")


class _Channel(msgspec.Struct):
    """A channel of an event; the first one has the largest share."""

    name: str = ""


class _Body(msgspec.Struct):
    """Fields of an event body that metrics read."""

    status: str = ""
    reason: str = ""
    startsAt: datetime | None = None  # noqa: N815  # the name in the JSON
    endsAt: datetime | None = None  # noqa: N815
    top_channels: list[_Channel] = []  # msgspec copies defaults


_body_decoder = msgspec.json.Decoder(_Body)


class EventMetrics(MetricSet):
    """Metrics of the events and dead letters that a worker writes."""

    def _define_events(self, channels: Sequence[str]) -> None:
        """Create the metrics, and show known label values before anything has happened.

        Args:
            channels: The model's channels. A label needs a bound: those after the first 50 are
                counted as `other`.
        """
        self._triggers = self._counter("ember_triggers", "Trigger events.", "status", "reason")
        self._dead_letters = self._counter(
            "ember_dead_letters", "Dead letters, by outcome.", "outcome"
        )
        self._score_rows = self._counter(
            "ember_scores_rows", "Scored rows written to the scores topic."
        )
        self._score_bytes = self._counter(
            "ember_scores_bytes", "Bytes written to the scores topic, before compression."
        )
        self._top_channels = self._counter(
            "ember_top_channels",
            "Anomalies and firing triggers, by the channel with the largest share.",
            "kind",
            "channel",
        )
        self._episodes = self._histogram(
            "ember_episode_duration_seconds",
            "Event time from firing to resolved.",
            _EPISODE_BUCKETS,
        )
        self._missing_by_channel = self._counter(
            "ember_channel_missing_values",
            "Channel values carried forward or imputed, by channel.",
            "channel",
        )
        self._channels = frozenset(channels[:_MOST_CHANNELS])
        for status, reason in _TRIGGERS:
            self._triggers.labels(status, reason)
        for outcome in _DEAD_LETTER_OUTCOMES:
            self._dead_letters.labels(outcome)
        for channel in self._channel_labels():
            self._missing_by_channel.labels(channel)
            for kind in ("anomaly", "trigger"):
                self._top_channels.labels(kind, channel)

    def _channel_label(self, channel: str) -> str:
        """Return the label of a channel; those after the first 50 are `other`."""
        return channel if channel in self._channels else _OTHER_CHANNEL

    def _channel_labels(self) -> tuple[str, ...]:
        """Return all labels of channels."""
        return (*sorted(self._channels), _OTHER_CHANNEL)

    def emitted(self, events: Sequence[Event]) -> None:
        """Count events that were sent. The number of anomalies is counted by `scored`."""
        for event in events:
            body = _body_decoder.decode(event.body)
            if event.kind == "trigger":
                self._triggers.labels(body.status, body.reason).inc()
            if body.status == "firing" and body.top_channels:
                channel = self._channel_label(body.top_channels[0].name)
                self._top_channels.labels(event.kind, channel).inc()
            elif body.reason == "channel_returned":
                continue  # no episode
            elif body.status == "resolved" and body.startsAt and body.endsAt:
                self._episodes.observe((body.endsAt - body.startsAt).total_seconds())

    def scores(self, rows: int, size: int) -> None:
        """Count a message of the scores topic."""
        self._score_rows.inc(rows)
        self._score_bytes.inc(size)

    def missing(self, by_channel: Mapping[str, int]) -> None:
        """Count the values that rows lacked, by channel."""
        for channel, count in by_channel.items():
            self._missing_by_channel.labels(self._channel_label(channel)).inc(count)

    def dead_letters(self, outcome: str, count: int) -> None:
        """Count dead letters: written, cut, reduced to coordinates, dropped or failed."""
        self._dead_letters.labels(outcome).inc(count)
