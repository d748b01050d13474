"""Metrics of `ember bridge`."""

from __future__ import annotations

from collections.abc import Sequence

from ._metric_set import MetricSet


class BridgeMetrics(MetricSet):
    """Metrics of a bridge to Alertmanager.

    Args:
        outcomes: Outcomes of a trigger.
        results: Results of a request.
        process: Add CPU, memory and file descriptors of the process.
    """

    def __init__(
        self, outcomes: Sequence[str], results: Sequence[str], *, process: bool = True
    ) -> None:
        super().__init__(process=process)
        self._triggers = self._counter(
            "ember_bridge_triggers", "Triggers read, by outcome.", "outcome"
        )
        self._requests = self._counter(
            "ember_bridge_requests", "Requests to Alertmanager, by result.", "result"
        )
        self._firing = self._gauge("ember_bridge_firing_alerts", "Firing alerts.")
        self._unsent = self._gauge(
            "ember_bridge_unsent_alerts",
            "Alerts that no Alertmanager has accepted yet, or not since they changed.",
        )
        self._last_accepted = self._gauge(
            "ember_bridge_last_accepted_timestamp_seconds",
            "Time at which an Alertmanager last accepted alerts.",
        )
        self._lag = self._gauge("ember_bridge_lag_records", "Triggers still to be read.")
        for outcome in outcomes:
            self._triggers.labels(outcome)
        for result in results:
            self._requests.labels(result)

    def trigger(self, outcome: str) -> None:
        """Count a trigger that was read."""
        self._triggers.labels(outcome).inc()

    def posted(self, result: str) -> None:
        """Count a request to Alertmanager."""
        self._requests.labels(result).inc()

    def accepted(self) -> None:
        """Note that alerts were accepted now."""
        self._last_accepted.set_to_current_time()

    def state(self, firing: int, unsent: int, lag: int) -> None:
        """Set the number of firing alerts, of unsent ones, and of triggers still to be read."""
        self._firing.set(firing)
        self._unsent.set(unsent)
        self._lag.set(lag)
