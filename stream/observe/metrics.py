"""Every metric of the service, in one place.

Base units; `_total` for counters; no label has the stream key or anything else without a bound.
Known label values are shown as zeros from the start, so that `rate()` sees the first increase.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache

import msgspec
import numpy as np
from numpy.typing import NDArray
from prometheus_client import (
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import CollectorRegistry

from stream.records import Event, Reason

from ._batch_histogram import BatchHistogram

TP = tuple[str, int]

# A bucket edge on every objective: an event loop held for 0.05 s, 15 % of a 2 s checkpoint
# interval, a recovery of a million keys within 8 s, at most 30 s.
_DURATION_BUCKETS = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 8.0),
    *(15.0, 30.0),
)
_DELAY_BUCKETS = (0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 3_600.0)  # 0.05 aim, 0.2 must
_SEVERITY_BUCKETS = (0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 9.0, 12.0)  # and the threshold of the settings
_SCORE_BUCKETS = (
    *(-300.0, -100.0, -50.0, -30.0, -20.0, -10.0, -5.0, 0.0),
    *(5.0, 10.0, 20.0, 30.0, 50.0, 100.0, 300.0, 1_000.0, 10_000.0),
)
_EPISODE_BUCKETS = (10.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0)
_SEVERITIES = range(13)  # -log10 of a probability, 0 to 12
_STAGES = ("decode", "engine", "step", "checkpoint", "checkpoint_stall", "recovery", "rebalance")
_MOST_CHANNELS = 50
_OTHER_CHANNEL = "other"
_TRIGGERS = (
    *(("firing", "evidence"), ("resolved", "evidence")),
    *(("firing", "stale"), ("resolved", "stale")),
    *(("firing", "returned"), ("resolved", "returned")),
)
_DEAD_LETTER_OUTCOMES = ("written", "cut", "coordinates", "dropped", "failed")
_REASONS = frozenset(reason.value for reason in Reason)
_EVICTIONS = ("memory", "disk", "ttl")
_RESTORED = ("accepted", "stale", "damaged")
_RELOADS = ("applied", "unchanged", "refused")
_RECORD_OUTCOMES = ("scored", "warming", "windowed", "late", "repeated", "absent")
PHASES = ("waiting", "unfit", "joining", "recovering", "running", "stopping", "failed")
WORKER_UP = (
    "ember_worker_up",
    "1 for a worker of this host that answered, else 0; on the page of all workers only.",
    "worker",
)

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, which nobody asks for


class _Blamed(msgspec.Struct):
    """One of the channels an event names; the first has the largest share."""

    name: str = ""


class _Said(msgspec.Struct):
    """What of an event's body is counted."""

    status: str = ""
    reason: str = ""
    startsAt: datetime | None = None  # noqa: N815  # the wire's name
    endsAt: datetime | None = None  # noqa: N815
    top_channels: list[_Blamed] = []  # msgspec copies defaults


_body_decoder = msgspec.json.Decoder(_Said)


class Metrics:
    """The catalogue. All updates are per fetch or rarer.

    Args:
        topics: Input topics.
        version: Of the distribution.
        backend: numpy, torch or mlx.
        model: Name and version of the model.
        channels: The model's channels; what exceeds the first 50 is counted as `other`.
        threshold: Severity of an anomaly; an edge of the severity's histogram.
        process: Whether to add the process's own CPU, memory and file descriptors.
    """

    def __init__(
        self,
        topics: Sequence[str],
        *,
        version: str = "",
        backend: str = "numpy",
        model: str = "",
        channels: Sequence[str] = (),
        threshold: float = 3.0,
        process: bool = True,
    ) -> None:
        self.registry = registry = CollectorRegistry()
        if process:
            ProcessCollector(registry=registry)
        self._build = Info(
            "ember_build", "Version, backend and model of this worker.", registry=registry
        )
        self._about = {"version": version, "backend": backend}
        self.model(model)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(name, text, labels, registry=registry)

        def columns(name: str, text: str, buckets: Sequence[float]) -> BatchHistogram:
            return BatchHistogram(name, text, buckets=buckets, topics=topics, registry=registry)

        self._records = counter("ember_records", "Messages consumed.", "topic")
        self._samples = counter("ember_samples", "Samples the messages held.", "topic")
        self._outcomes = counter(
            "ember_record_outcomes", "Messages by what became of them.", "topic", "outcome"
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
        self._blamed = counter(
            "ember_top_channels",
            "Anomalies and firing triggers, by the channel with the largest share.",
            "kind",
            "channel",
        )
        self._episodes = Histogram(
            "ember_episode_duration_seconds",
            "Event time from firing to resolved.",
            buckets=_EPISODE_BUCKETS,
            registry=registry,
        )
        self._duration = Histogram(
            "ember_process_duration_seconds",
            "Time of a stage: decode and engine within step, for a slice; checkpoint, and how long "
            "it held the stream up; recovery of state; rebalance, from giving partitions back to "
            "running again.",
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
            sorted({*_SEVERITY_BUCKETS, threshold}),
        )
        self._score = columns(
            "ember_score",
            "RBM free energy of scored rows, higher is more improbable; negative too, so that "
            "there are buckets and no sum.",
            _SCORE_BUCKETS,
        )
        self._lag = gauge("ember_consumer_lag_records", "Messages left.", "topic", "partition")
        self._last_event = gauge(
            "ember_last_event_timestamp_seconds", "Largest event time seen.", "topic"
        )
        self._partitions = gauge("ember_partitions", "Partitions held, by role.", "role")
        self._phase = gauge("ember_phase", "1 for what the worker is doing, else 0.", "phase")
        self._keys = gauge("ember_active_keys", "Stream keys in memory.")
        self._alarmed = gauge(
            "ember_alarmed_keys", "Keys in memory that fire now, or are silent.", "reason"
        )
        self._state_bytes = gauge("ember_state_bytes", "Bytes of the keys' state in memory.")
        self._disk_bytes = gauge(
            "ember_state_disk_bytes", "Bytes of rows on disk, within state.max_disk_bytes."
        )
        self._max_keys = gauge("ember_state_max_keys", "Keys that may be held: state.max_keys.")
        self._in_flight = gauge("ember_events_in_flight", "Events not yet acknowledged.")
        self._evictions = counter(
            "ember_state_evictions",
            "Keys moved out: of memory, to the disk; of the disk, forgotten; forgotten by ttl.",
            "reason",
        )
        self._returned = counter("ember_state_returned_keys", "Keys read back from the disk.")
        self._restored = counter("ember_restored_rows", "Changelog rows, by result.", "result")
        self._commits = counter(
            "ember_commits", "Checkpoints made durable; one that fails ends the process."
        )
        self._checkpoint_rows = counter("ember_checkpoint_rows", "Rows written by checkpoints.")
        self._reloads = counter(
            "ember_reloads", "Times settings and model were read again, by result.", "result"
        )
        self._rebalances = counter("ember_rebalances", "Assignments received from the group.")
        self._channels = frozenset(channels[:_MOST_CHANNELS])
        self._ask_moved: Callable[[], tuple[int, int, int, int]] | None = None
        self._moved = (0, 0, 0, 0)
        self._held: set[TP] = set()
        self._newest: dict[str, int] = {}
        self._cached_lag = cache(lambda topic, partition: self._lag.labels(topic, partition))
        self._zeros(topics)

    def _zeros(self, topics: Sequence[str]) -> None:
        """Show known label values before anything has happened."""
        for topic in topics:
            for plain in (self._records, self._samples, self._scored, self._missing):
                plain.labels(topic)
            for reason in Reason:
                self._rejected.labels(topic, reason.value)
            for outcome in _RECORD_OUTCOMES:
                self._outcomes.labels(topic, outcome)
        known: list[tuple[Counter | Gauge | Histogram, Sequence[str]]] = [
            (self._anomalies, [str(severity) for severity in _SEVERITIES]),
            (self._dead_letters, _DEAD_LETTER_OUTCOMES),
            (self._duration, _STAGES),
            (self._partitions, ("active", "standby")),
            (self._phase, PHASES),
            (self._evictions, _EVICTIONS),
            (self._restored, _RESTORED),
            (self._reloads, _RELOADS),
            (self._alarmed, ("evidence", "stale")),
        ]
        for metric, values in known:
            for value in values:
                metric.labels(value)
        for status, reason_text in _TRIGGERS:
            self._triggers.labels(status, reason_text)
        for kind in ("anomaly", "trigger"):
            for channel in (*sorted(self._channels), _OTHER_CHANNEL):
                self._blamed.labels(kind, channel)

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
            counts: Messages by outcome, or by reason where they were refused.
            time_us: `(n,)` event times of the samples.
            now_seconds: Wall time, for the delay only.
            seconds: How long all of it took.
            missing: Channel values imputed.
        """
        self._records.labels(topic).inc(messages)
        self._samples.labels(topic).inc(time_us.size)
        self._duration.labels("step").observe(seconds)
        self._missing.labels(topic).inc(missing)
        for outcome, number in counts.items():
            named = self._rejected if outcome in _REASONS else self._outcomes
            named.labels(topic, outcome).inc(number)
        if time_us.size:
            self._delay.observe(topic, now_seconds - time_us / 1e6)
            newest = max(int(time_us.max()), self._newest.get(topic, -(2**63)))
            self._newest[topic] = newest
            self._last_event.labels(topic).set(newest / 1e6)

    def timed(self, stage: str, seconds: float) -> None:
        """A stage was gone through: `decode`, `engine`, `recovery` or `rebalance`."""
        self._duration.labels(stage).observe(seconds)

    def scored(
        self,
        topic: str,
        score: NDArray[np.floating],
        severity: NDArray[np.floating],
        anomaly: NDArray[np.bool_],
    ) -> None:
        """Rows were scored: `(n,)` scores, severities, and which of them are anomalies."""
        if not severity.size:
            return
        self._scored.labels(topic).inc(severity.size)
        self._severity.observe(topic, severity)
        self._score.observe(topic, score)
        if anomaly.any():
            whole = np.clip(severity[anomaly], 0, _SEVERITIES[-1]).astype(np.int64)
            for value, number in enumerate(np.bincount(whole).tolist()):
                if number:
                    self._anomalies.labels(str(value)).inc(number)

    def emitted(self, events: Sequence[Event]) -> None:
        """Events were sent; how many anomalies, is counted by `scored`."""
        for event in events:
            said = _body_decoder.decode(event.body)
            if event.kind == "trigger":
                self._triggers.labels(said.status, said.reason).inc()
            if said.status == "firing" and said.top_channels:
                channel = said.top_channels[0].name
                known = channel if channel in self._channels else _OTHER_CHANNEL
                self._blamed.labels(event.kind, known).inc()
            elif said.status == "resolved" and said.startsAt and said.endsAt:
                self._episodes.observe((said.endsAt - said.startsAt).total_seconds())

    def model(self, name: str) -> None:
        """Another model judges: its name and version."""
        self._build.info({**self._about, "model": name})

    def reloaded(self, result: str) -> None:
        """Settings and model were read again: `applied`, `unchanged` or `refused`."""
        self._reloads.labels(result).inc()

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
        self._commits.inc()
        self._duration.labels("checkpoint").observe(seconds)
        self._duration.labels("checkpoint_stall").observe(stalled)
        self._checkpoint_rows.inc(rows)

    def dead_letters(self, outcome: str, count: int) -> None:
        """Dead letters written, cut, reduced to coordinates, dropped or failed."""
        self._dead_letters.labels(outcome).inc(count)

    def restored(self, accepted: int, stale: int, damaged: int) -> None:
        """Changelog rows were read back."""
        for result, number in zip(_RESTORED, (accepted, stale, damaged), strict=True):
            self._restored.labels(result).inc(number)

    def watch(
        self,
        *,
        keys: Callable[[], float],
        firing: Callable[[], float],
        stale: Callable[[], float],
        state_bytes: Callable[[], float],
        disk_bytes: Callable[[], float],
        in_flight: Callable[[], float],
        moved: Callable[[], tuple[int, int, int, int]],
        max_keys: int,
    ) -> None:
        """Functions to ask at every scrape, and the bound of the first.

        `moved` gives keys evicted to the disk, returned from it, forgotten for want of it, and
        forgotten because they were silent, so far.
        """
        self._ask_moved = moved
        self._keys.set_function(keys)
        self._alarmed.labels("evidence").set_function(firing)
        self._alarmed.labels("stale").set_function(stale)
        self._state_bytes.set_function(state_bytes)
        self._disk_bytes.set_function(disk_bytes)
        self._in_flight.set_function(in_flight)
        self._max_keys.set(max_keys)

    def describe(self) -> list[tuple[str, str, tuple[str, ...], str]]:
        """Name as exposed, type, labels and meaning of every metric, by name."""
        return _described(self)

    def render(self) -> bytes:
        """Prometheus' text format."""
        if self._ask_moved is not None:
            before, self._moved = self._moved, self._ask_moved()
            evicted, returned, forgotten, expired = np.subtract(self._moved, before).tolist()
            self._evictions.labels("memory").inc(evicted)
            self._evictions.labels("disk").inc(forgotten)
            self._evictions.labels("ttl").inc(expired)
            self._returned.inc(returned)
        return generate_latest(self.registry)


class BridgeMetrics:
    """What `ember bridge` shows of itself.

    Args:
        outcomes: What may become of a trigger.
        results: What may become of a request.
        process: Whether to add the process's own CPU, memory and file descriptors.
    """

    def __init__(
        self, outcomes: Sequence[str], results: Sequence[str], *, process: bool = True
    ) -> None:
        self.registry = registry = CollectorRegistry()
        if process:
            ProcessCollector(registry=registry)
        self._triggers = Counter(
            "ember_bridge_triggers", "Triggers read, by outcome.", ["outcome"], registry=registry
        )
        self._requests = Counter(
            "ember_bridge_requests",
            "Requests to Alertmanager, by result.",
            ["result"],
            registry=registry,
        )
        self._firing = Gauge("ember_bridge_firing_alerts", "Alerts that fire.", registry=registry)
        self._unsent = Gauge(
            "ember_bridge_unsent_alerts",
            "Alerts that no Alertmanager has accepted yet, or not again.",
            registry=registry,
        )
        self._told = Gauge(
            "ember_bridge_last_accepted_timestamp_seconds",
            "When an Alertmanager last accepted alerts.",
            registry=registry,
        )
        self._lag = Gauge(
            "ember_bridge_lag_records", "Triggers still to be read.", registry=registry
        )
        for outcome in outcomes:
            self._triggers.labels(outcome)
        for result in results:
            self._requests.labels(result)

    def trigger(self, outcome: str) -> None:
        """A trigger was read."""
        self._triggers.labels(outcome).inc()

    def posted(self, result: str) -> None:
        """A request was made."""
        self._requests.labels(result).inc()

    def accepted(self) -> None:
        """Alerts were accepted."""
        self._told.set_to_current_time()

    def state(self, firing: int, unsent: int, lag: int) -> None:
        """What is held, what is not told yet, and what is not read yet."""
        self._firing.set(firing)
        self._unsent.set(unsent)
        self._lag.set(lag)

    def describe(self) -> list[tuple[str, str, tuple[str, ...], str]]:
        """Name as exposed, type, labels and meaning of every metric, by name."""
        return _described(self)

    def render(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self.registry)


def _described(metrics: Metrics | BridgeMetrics) -> list[tuple[str, str, tuple[str, ...], str]]:
    known: dict[str, tuple[str, ...]] = {}
    for collector in vars(metrics).values():
        if isinstance(collector, MetricWrapperBase):
            known[collector._name] = collector._labelnames  # noqa: SLF001  # no public way
    found = []
    for family in metrics.registry.collect():
        if not family.name.startswith("ember_"):
            continue
        ending = {"counter": "_total", "info": "_info"}.get(family.type, "")
        labels = known.get(family.name) or tuple(
            sorted({name for s in family.samples for name in s.labels} - {"le"})
        )
        found.append((f"{family.name}{ending}", family.type, labels, str(family.documentation)))
    return sorted(found)
