"""Metrics of records: consumed, refused, scored; durations of stages; lag of the input topics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from stream.records import Reason
from stream.types import TP

from ._batch_histogram import BatchHistogram
from ._metric_set import MetricSet

# A bucket edge on every objective: an event loop held for 0.05 s, 15 % of a 2 s checkpoint
# interval, a recovery of a million keys within 8 s, at most 30 s.
_DURATION_BUCKETS = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 8.0),
    *(15.0, 30.0),
)
_STAGES = (
    *("decode", "engine", "step", "checkpoint", "checkpoint_stall", "recovery", "rebalance"),
    *("rekey", "scores"),
)
_DELAY_BUCKETS = (0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 3_600.0)  # 0.05 aim, 0.2 must
_SEVERITY_BUCKETS = (0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 9.0, 12.0)
_SCORE_BUCKETS = (
    *(-300.0, -100.0, -50.0, -30.0, -20.0, -10.0, -5.0, 0.0),
    *(5.0, 10.0, 20.0, 30.0, 50.0, 100.0, 300.0, 1_000.0, 10_000.0),
)
_VALUE_REASONS = (Reason.WRONG_TYPE.value, Reason.OUT_OF_RANGE.value)
_MOST_CHANNELS = 50
_OTHER_CHANNEL = "other"
_SEVERITIES = range(13)  # -log10 of a probability, 0 to 12
REFUSALS = frozenset(reason.value for reason in Reason if reason is not Reason.NO_CHANNELS)
_NO_CHANNELS = Reason.NO_CHANNELS.value
_OUTCOMES = (
    *("scored", "warming", "windowed", "late", "repeated", "duplicate", "absent", "no_profile"),
    _NO_CHANNELS,
)
"""Outcomes that need no mending; in a topic that others share, most have none of the channels."""


class RecordMetrics(MetricSet):
    """Metrics of the records that a worker reads and scores."""

    def _define_records(self, topics: Sequence[str], threshold: float) -> None:
        """Create the metrics, and show known label values before anything has happened.

        Args:
            topics: Input topics.
            threshold: Severity of an anomaly; an edge of the severity's histogram.
        """

        def columns(name: str, text: str, buckets: Sequence[float]) -> BatchHistogram:
            return BatchHistogram(
                name, text, buckets=buckets, topics=topics, registry=self.registry
            )

        self._records = self._counter("ember_records", "Messages consumed.", "topic")
        self._samples = self._counter(
            "ember_samples", "Samples of messages that were not refused.", "topic"
        )
        self._outcomes = self._counter(
            "ember_record_outcomes",
            "Messages that were not refused, by outcome.",
            "topic",
            "outcome",
        )
        self._rejected = self._counter(
            "ember_records_rejected", "Messages refused, by reason.", "topic", "reason"
        )
        self._bad_values = self._counter(
            "ember_bad_values",
            "Values that could not be used, by channel and reason; the rest of the record counts.",
            "topic",
            "channel",
            "reason",
        )
        self._missing = self._counter(
            "ember_missing_values", "Channel values carried forward or imputed.", "topic"
        )
        self._scored = self._counter("ember_windows_scored", "Rows scored.", "topic")
        self._anomalies = self._counter(
            "ember_anomalies", "Anomaly events, by whole severity.", "severity"
        )
        self._duration = self._histogram(
            "ember_process_duration_seconds",
            "Duration of a stage: decode and engine, both within step, for a slice of records; "
            "checkpoint, and the time for which it stalled the stream; recovery of state; "
            "rebalance, from the revocation to running again; rekey, of a fetch of input topics.",
            _DURATION_BUCKETS,
            "stage",
        )
        self._delay = columns(
            "ember_event_delay_seconds", "Age of samples when processed.", _DELAY_BUCKETS
        )
        self._severity = columns(
            "ember_severity",
            "Severity of scored rows, -log10 of their probability.",
            sorted({*_SEVERITY_BUCKETS, threshold}),
        )
        self._score = columns(
            "ember_score",
            "RBM free energy of scored rows; higher is more improbable. Scores may be negative, so "
            "the sum of the histogram has no meaning.",
            _SCORE_BUCKETS,
        )
        self._lag = self._gauge(
            "ember_consumer_lag_records", "Messages still to be read.", "topic", "partition"
        )
        self._last_event = self._gauge(
            "ember_last_event_timestamp_seconds", "Largest event time processed.", "topic"
        )
        self._owned: set[TP] = set()
        self._bad_channels: set[str] = set()
        self._newest: dict[str, int] = {}
        # `labels` takes a lock and builds a key; the lag is set once per fetch and partition.
        self._cached_lag = cache(lambda topic, partition: self._lag.labels(topic, partition))
        for topic in topics:
            for counter in (self._records, self._samples, self._scored, self._missing):
                counter.labels(topic)
            for reason in sorted(REFUSALS):
                self._rejected.labels(topic, reason)
            for reason in _VALUE_REASONS:
                self._bad_values.labels(topic, _OTHER_CHANNEL, reason)
            for outcome in _OUTCOMES:
                self._outcomes.labels(topic, outcome)
        for stage in _STAGES:
            self._duration.labels(stage)
        for severity in _SEVERITIES:
            self._anomalies.labels(str(severity))

    def consumed(
        self,
        topic: str,
        *,
        messages: int,
        counts: Mapping[str, int],
        time_us: NDArray[np.int64],
        now_seconds: float,
        seconds: float,
        missing: int = 0,
    ) -> None:
        """Count a fetch that went through the engine.

        Args:
            topic: Input topic.
            messages: Messages in the fetch.
            counts: Messages by outcome, or by reason where they were refused.
            time_us: `(n,)` event times of the samples.
            now_seconds: Wall time, for the delay only.
            seconds: Duration of the whole step.
            missing: Channel values imputed.
        """
        self._records.labels(topic).inc(messages)
        self._samples.labels(topic).inc(time_us.size)
        self._duration.labels("step").observe(seconds)
        self._missing.labels(topic).inc(missing)
        self._count_outcomes(topic, counts)
        if time_us.size:
            self._delay.observe(topic, now_seconds - time_us / 1e6)
            # Late samples must not move the newest time back.
            newest = max(int(time_us.max()), self._newest.get(topic, -(2**63)))
            self._newest[topic] = newest
            self._last_event.labels(topic).set(newest / 1e6)

    def _count_outcomes(self, topic: str, counts: Mapping[str, int]) -> None:
        """Count messages by outcome, or by reason where they were refused."""
        for outcome, number in counts.items():
            counter = self._rejected if outcome in REFUSALS else self._outcomes
            counter.labels(topic, outcome).inc(number)

    def bad_values(self, topic: str, counts: Mapping[tuple[str, str], int]) -> None:
        """Count values that could not be used, by channel and reason."""
        for (channel, reason), number in counts.items():
            # The first channels have a series each, so that their number is bounded.
            if channel not in self._bad_channels:
                if len(self._bad_channels) < _MOST_CHANNELS:
                    self._bad_channels.add(channel)
                else:
                    channel = _OTHER_CHANNEL
            self._bad_values.labels(topic, channel, reason).inc(number)

    def timed(self, stage: str, seconds: float) -> None:
        """Observe the duration of a stage: `decode`, `engine`, `recovery` or `rebalance`."""
        self._duration.labels(stage).observe(seconds)

    def scored(
        self,
        topic: str,
        score: NDArray[np.floating],
        severity: NDArray[np.floating],
        anomaly: NDArray[np.bool_],
    ) -> None:
        """Count scored rows: `(n,)` scores, severities, and the mask of anomalies."""
        if not severity.size:
            return
        self._scored.labels(topic).inc(severity.size)
        self._severity.observe(topic, severity)
        self._score.observe(topic, score)
        if anomaly.any():
            whole_severity = np.clip(severity[anomaly], 0, _SEVERITIES[-1]).astype(np.int64)
            for value, number in enumerate(np.bincount(whole_severity).tolist()):
                if number:
                    self._anomalies.labels(str(value)).inc(number)

    def lag(self, tp: TP, records: int) -> None:
        """Set the messages of a partition that are still to be read."""
        if tp in self._owned:
            self._cached_lag(*tp).set(max(0, records))

    def _own(self, partitions: set[TP]) -> None:
        """Show the lag of these partitions only: a lag that nobody updates would be wrong."""
        for topic, partition in self._owned - partitions:
            self._lag.remove(topic, str(partition))
        self._cached_lag.cache_clear()
        for topic, partition in partitions - self._owned:
            self._lag.labels(topic, partition)
        self._owned = partitions
