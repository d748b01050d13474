"""Metrics of `ember bridge`."""

from __future__ import annotations

from collections.abc import Sequence

from ._metric_set import MetricSet


class BridgeMetrics(MetricSet):
    """Metrics of a bridge.

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
            "ember_bridge_requests", "Requests to the receiver, by result.", "result"
        )
        self._firing = self._gauge("ember_bridge_firing_alerts", "Firing alerts.")
        self._unsent = self._gauge(
            "ember_bridge_unsent_alerts",
            "Alerts that should have been accepted by now, or not since they changed.",
        )
        self._waiting = self._gauge(
            "ember_bridge_waiting_alerts",
            "Alerts with news that the receiver has not accepted, also those that wait for the "
            "next message of their group or for the digest.",
        )
        self._silenced = self._gauge(
            "ember_bridge_silenced_alerts", "Firing alerts that a silence is for."
        )
        self._last_accepted = self._gauge(
            "ember_bridge_last_accepted_timestamp_seconds",
            "Time at which the receiver last accepted a request.",
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
        """Count a request to the receiver."""
        self._requests.labels(result).inc()
        if result == "accepted":
            self._last_accepted.set_to_current_time()

    def state(self, *, firing: int, unsent: int, waiting: int, lag: int, silenced: int = 0) -> None:
        """Set the numbers of alerts, and of triggers still to be read."""
        self._silenced.set(silenced)
        self._firing.set(firing)
        self._unsent.set(unsent)
        self._waiting.set(waiting)
        self._lag.set(lag)


class IncidentMetrics(BridgeMetrics):
    """Metrics of `ember incidents`: those of a bridge whose receiver is a topic, and its own.

    Args:
        outcomes: Outcomes of a trigger.
        results: Results of a write.
        process: Add CPU, memory and file descriptors of the process.
    """

    unwritten = 0
    """Messages that the broker has not acknowledged."""

    def __init__(
        self, outcomes: Sequence[str], results: Sequence[str], *, process: bool = True
    ) -> None:
        super().__init__(outcomes, results, process=process)
        self._open = self._gauge("ember_incidents_open", "Incidents that are not resolved.")
        self._messages = self._counter(
            "ember_incidents_messages", "Messages about incidents, by status.", "status"
        )
        self._pages = self._counter(
            "ember_incidents_decisions",
            "New incidents, by decision: `page`, or `digest` where alerts.pages is used up.",
            "decision",
        )
        for status in ("firing", "updated", "resolved"):
            self._messages.labels(status)
        for decision in ("page", "digest"):
            self._pages.labels(decision)

    def message(self, status: str, *, page: bool) -> None:
        """Count a message that was written."""
        self._messages.labels(status).inc()
        if status == "firing":
            self._pages.labels("page" if page else "digest").inc()

    def open(self, incidents: int) -> None:
        """Set the number of open incidents."""
        self._open.set(incidents)
