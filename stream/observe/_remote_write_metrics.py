"""Metrics of `ember remote-write`."""

from __future__ import annotations

from collections.abc import Sequence

from ._metric_set import MetricSet


class RemoteWriteMetrics(MetricSet):
    """Metrics of the process that writes scores to a store of series.

    Args:
        read: Outcomes of a record that was read.
        outcomes: Outcomes of a sample.
        results: Results of a request.
        process: Add CPU, memory and file descriptors of the process.
    """

    def __init__(
        self,
        read: Sequence[str],
        outcomes: Sequence[str],
        results: Sequence[str],
        *,
        process: bool = True,
    ) -> None:
        super().__init__(process=process)
        self._records = self._counter(
            "ember_remote_write_records",
            "Records read, by outcome: scores, or what a trigger says of its key.",
            "outcome",
        )
        self._samples = self._counter(
            "ember_remote_write_samples",
            "Samples, by outcome. Refused: by the store, for good. Left out: no room among "
            "remote_write.max_series.",
            "outcome",
        )
        self._requests = self._counter(
            "ember_remote_write_requests", "Requests to the store, by result.", "result"
        )
        self._evicted = self._counter(
            "ember_remote_write_evicted_rows",
            "Rows before an alert that left memory before their time (remote_write.memory_mib).",
        )
        self._keys = self._gauge("ember_remote_write_keys", "Keys that are written.")
        self._firing = self._gauge(
            "ember_remote_write_firing_keys", "Keys with an alert that fires."
        )
        self._series = self._gauge("ember_remote_write_series", "Series that are written.")
        self._history = self._gauge(
            "ember_remote_write_history_bytes", "Memory of the rows that are not written."
        )
        self._waiting = self._gauge(
            "ember_remote_write_waiting_samples", "Samples that the store has not accepted yet."
        )
        self._lag = self._gauge("ember_remote_write_lag_records", "Records still to be read.")
        self._last_accepted = self._gauge(
            "ember_remote_write_last_accepted_timestamp_seconds",
            "Time at which the store last accepted a request.",
        )
        self._evicted_before = 0
        for outcome in read:
            self._records.labels(outcome)
        for outcome in outcomes:
            self._samples.labels(outcome)
        for result in results:
            self._requests.labels(result)

    def record(self, outcome: str) -> None:
        """Count a record that was read."""
        self._records.labels(outcome).inc()

    def samples(self, outcome: str, count: int) -> None:
        """Count samples."""
        self._samples.labels(outcome).inc(count)

    def posted(self, result: str) -> None:
        """Count a request to the store."""
        self._requests.labels(result).inc()
        if result == "accepted":
            self._last_accepted.set_to_current_time()

    def state(
        self,
        *,
        keys: int,
        firing: int,
        series: int,
        history_bytes: int,
        evicted: int,
        waiting: int,
        lag: int,
    ) -> None:
        """Set the gauges.

        Args:
            keys: Keys that are written.
            firing: Keys with an alert that fires.
            series: Series that are written.
            history_bytes: Memory of the rows that are not written.
            evicted: Rows that have left memory before their time, since the start.
            waiting: Samples that wait.
            lag: Records still to be read.
        """
        self._keys.set(keys)
        self._firing.set(firing)
        self._series.set(series)
        self._history.set(history_bytes)
        self._evicted.inc(evicted - self._evicted_before)
        self._evicted_before = evicted
        self._waiting.set(waiting)
        self._lag.set(lag)
