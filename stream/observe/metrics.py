"""Every metric of the service, in one place.

Base units; `_total` for counters; no label has the stream key or anything else without a bound.
Known label values are shown as zeros from the start, so that `rate()` sees the first increase.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from prometheus_client import Counter, Gauge, Histogram, Info, ProcessCollector, generate_latest
from prometheus_client.registry import CollectorRegistry

from stream.records import Event, Reason

from ._batch_histogram import BatchHistogram

TP = tuple[str, int]

# A bucket edge on every objective: 0.2 s a record, 15 % of a 2 s checkpoint interval.
_DURATION_BUCKETS = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0),
)
_DELAY_BUCKETS = (0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 3_600.0)
_SEVERITIES = range(13)  # -log10 of a probability, 0 to 12
_STAGES = ("step", "checkpoint", "checkpoint_stall")
_TRIGGERS = (
    *(("firing", "evidence"), ("resolved", "evidence")),
    *(("firing", "stale"), ("resolved", "stale")),
    *(("firing", "returned"), ("resolved", "returned")),
)
_OUTCOMES = ("written", "cut", "coordinates", "dropped", "failed")
_REASONS = frozenset(reason.value for reason in Reason)
_EVICTIONS = ("memory", "disk", "ttl")
_RESTORED = ("accepted", "stale", "damaged")
_FATES = ("scored", "warming", "windowed", "late", "repeated", "absent")
PHASES = ("waiting", "unfit", "joining", "recovering", "running", "stopping", "failed")


class _Said(msgspec.Struct):
    """What of a trigger's body is counted."""

    status: str = ""
    reason: str = ""


_trigger_decoder = msgspec.json.Decoder(_Said)


class Metrics:
    """The catalogue. All updates are per fetch or rarer.

    Args:
        topics: Input topics.
        version: Of the distribution.
        backend: numpy, torch or mlx.
        model: Name and version of the model.
        process: Whether to add the process's own CPU, memory and file descriptors.
    """

    def __init__(
        self,
        topics: Sequence[str],
        *,
        version: str = "",
        backend: str = "numpy",
        model: str = "",
        process: bool = True,
    ) -> None:
        self.registry = registry = CollectorRegistry()
        if process:
            ProcessCollector(registry=registry)
        info = Info("ember_build", "Version, backend and model of this worker.", registry=registry)
        info.info({"version": version, "backend": backend, "model": model})

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(name, text, labels, registry=registry)

        def columns(name: str, text: str, buckets: Sequence[float]) -> BatchHistogram:
            return BatchHistogram(name, text, buckets=buckets, topics=topics, registry=registry)

        self._records = counter("ember_records", "Messages consumed.", "topic")
        self._fates = counter(
            "ember_record_fates", "Messages by what became of them.", "topic", "fate"
        )
        self._rejected = counter(
            "ember_records_rejected", "Messages refused, by reason.", "topic", "reason"
        )
        self._missing = counter(
            "ember_missing_values", "Channel values carried forward or imputed.", "topic"
        )
        self._scored = counter("ember_windows_scored", "Rows scored.", "topic")
        self._anomalies = counter(
            "ember_anomalies", "Anomaly events, by whole severity.", "severity"
        )
        self._triggers = counter("ember_triggers", "Trigger events.", "status", "reason")
        self._dead_letters = counter("ember_dead_letters", "Dead letters, by outcome.", "outcome")
        self._duration = Histogram(
            "ember_process_duration_seconds",
            "Time a stage took for one fetch or checkpoint.",
            ["stage"],
            buckets=_DURATION_BUCKETS,
            registry=registry,
        )
        self._delay = columns(
            "ember_event_delay_seconds", "Age of samples when processed.", _DELAY_BUCKETS
        )
        self._severity = columns(
            "ember_severity",
            "Severity of scored rows, -log10 of their probability.",
            (0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 9.0, 12.0),
        )
        self._lag = gauge("ember_consumer_lag_records", "Messages left.", "topic", "partition")
        self._last_event = gauge(
            "ember_last_event_timestamp_seconds", "Largest event time seen.", "topic"
        )
        self._partitions = gauge("ember_partitions", "Partitions held, by role.", "role")
        self._phase = gauge("ember_phase", "1 for what the worker is doing, else 0.", "phase")
        self._keys = gauge("ember_active_keys", "Stream keys in memory.")
        self._state_bytes = gauge("ember_state_bytes", "Bytes of the keys' state in memory.")
        self._evictions = counter("ember_state_evictions", "Keys moved out, by reason.", "reason")
        self._restored = counter("ember_restored_rows", "Changelog rows, by result.", "result")
        self._commits = counter("ember_commits", "Checkpoints, by result.", "result")
        self._checkpoint_rows = counter("ember_checkpoint_rows", "Rows written by checkpoints.")
        self._rebalances = counter("ember_rebalances", "Assignments received from the group.")
        self._held: set[TP] = set()
        self._newest: dict[str, int] = {}
        self._cached_lag = cache(lambda topic, partition: self._lag.labels(topic, partition))
        self._zeros(topics)

    def _zeros(self, topics: Sequence[str]) -> None:
        """Show known label values before anything has happened."""
        for topic in topics:
            for plain in (self._records, self._scored, self._missing):
                plain.labels(topic)
            for reason in Reason:
                self._rejected.labels(topic, reason.value)
            for fate in _FATES:
                self._fates.labels(topic, fate)
        known: list[tuple[Counter | Gauge | Histogram, Sequence[str]]] = [
            (self._anomalies, [str(severity) for severity in _SEVERITIES]),
            (self._dead_letters, _OUTCOMES),
            (self._duration, _STAGES),
            (self._partitions, ("active", "standby")),
            (self._phase, PHASES),
            (self._evictions, _EVICTIONS),
            (self._restored, _RESTORED),
            (self._commits, ("success", "failure")),
        ]
        for metric, values in known:
            for value in values:
                metric.labels(value)
        for status, reason_text in _TRIGGERS:
            self._triggers.labels(status, reason_text)

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
        """A fetch went through the engine.

        Args:
            topic: Input topic.
            messages: Messages in the fetch.
            counts: Messages by fate, or by reason where they were refused.
            time_us: `(n,)` event times of the samples.
            now_seconds: Wall time, for the delay only.
            seconds: How long the engine took.
            missing: Channel values imputed.
        """
        self._records.labels(topic).inc(messages)
        self._duration.labels("step").observe(seconds)
        self._missing.labels(topic).inc(missing)
        for fate, number in counts.items():
            named = self._rejected if fate in _REASONS else self._fates
            named.labels(topic, fate).inc(number)
        if time_us.size:
            self._delay.observe(topic, now_seconds - time_us / 1e6)
            newest = max(int(time_us.max()), self._newest.get(topic, -(2**63)))
            self._newest[topic] = newest
            self._last_event.labels(topic).set(newest / 1e6)

    def scored(
        self, topic: str, severity: NDArray[np.floating], anomaly: NDArray[np.bool_]
    ) -> None:
        """Rows were scored: `(n,)` severities, and which of them are anomalies."""
        if not severity.size:
            return
        self._scored.labels(topic).inc(severity.size)
        self._severity.observe(topic, severity)
        if anomaly.any():
            whole = np.clip(severity[anomaly], 0, _SEVERITIES[-1]).astype(np.int64)
            for value, number in enumerate(np.bincount(whole).tolist()):
                if number:
                    self._anomalies.labels(str(value)).inc(number)

    def emitted(self, events: Sequence[Event]) -> None:
        """Events were sent; anomalies are counted by `scored`."""
        for event in events:
            if event.kind == "trigger":
                said = _trigger_decoder.decode(event.body)
                self._triggers.labels(said.status, said.reason).inc()

    def lag(self, tp: TP, records: int) -> None:
        """Messages of a partition that are still to be read."""
        if tp in self._held:
            self._cached_lag(*tp).set(max(0, records))

    def assigned(self, active: Sequence[TP], standby: Sequence[TP]) -> None:
        """The group gave this worker its partitions; lags of others disappear."""
        self._rebalances.inc()
        self._partitions.labels("active").set(len(active))
        self._partitions.labels("standby").set(len(standby))
        held = {(topic, partition) for topic, partition in active}
        for topic, partition in self._held - held:
            self._lag.remove(topic, str(partition))
        self._cached_lag.cache_clear()
        for topic, partition in held - self._held:
            self._lag.labels(topic, partition)
        self._held = held

    def phase(self, phase: str) -> None:
        """What the worker is doing: one of `PHASES`."""
        for name in PHASES:
            self._phase.labels(name).set(name == phase)

    def checkpointed(self, seconds: float, stalled: float, rows: int) -> None:
        """A checkpoint is durable: its whole duration, how long the stream waited, its rows."""
        self._commits.labels("success").inc()
        self._duration.labels("checkpoint").observe(seconds)
        self._duration.labels("checkpoint_stall").observe(stalled)
        self._checkpoint_rows.inc(rows)

    def checkpoint_failed(self) -> None:
        """A checkpoint did not become durable."""
        self._commits.labels("failure").inc()

    def dead_letters(self, outcome: str, count: int) -> None:
        """Dead letters written, cut, reduced to coordinates, dropped or failed."""
        self._dead_letters.labels(outcome).inc(count)

    def restored(self, accepted: int, stale: int, damaged: int) -> None:
        """Changelog rows were read back."""
        for result, number in zip(_RESTORED, (accepted, stale, damaged), strict=True):
            self._restored.labels(result).inc(number)

    def evicted(self, reason: Literal["memory", "disk", "ttl"], keys: int) -> None:
        """Keys left memory for the disk, were forgotten, or expired."""
        self._evictions.labels(reason).inc(keys)

    def watch(self, *, keys: Callable[[], float], state_bytes: Callable[[], float]) -> None:
        """Functions to ask at every scrape."""
        self._keys.set_function(keys)
        self._state_bytes.set_function(state_bytes)

    def render(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self.registry)
