"""Metrics of the documents of operators."""

from __future__ import annotations

from collections import Counter

from stream.control import KINDS, ControlSet
from stream.control.times import moment

from ._metric_set import MetricSet


class ControlMetrics(MetricSet):
    """Metrics of `control.enabled`."""

    def _define_control(self) -> None:
        """Create the metrics, and show known label values before anything has happened."""
        self._control_documents = self._gauge(
            "ember_control_documents", "Documents of operators in the control topic.", "kind"
        )
        self._control_changes = self._counter(
            "ember_control_changes", "Changes of the documents that this worker took over."
        )
        self._control_ignored = self._gauge(
            "ember_control_documents_ignored",
            "Documents in the control topic that cannot be used; the others are in force.",
        )
        self._calendars_until = self._gauge(
            "ember_control_calendars_until_timestamp_seconds",
            "Time until which the windows of all calendars are known; 0: for all time.",
        )
        self._planned_rows = self._counter(
            "ember_planned_rows",
            "Rows of calendars: under planned work, and in the grace after it.",
            "phase",
        )
        for kind in KINDS:
            self._control_documents.labels(kind)
        for phase in ("planned", "grace"):
            self._planned_rows.labels(phase)

    def control_followed(self, control: ControlSet, ignored: int) -> None:
        """Set the number of documents in the topic, and of those that cannot be used."""
        self._control_ignored.set(ignored)
        counts = Counter(document.kind for document in control.documents)
        for kind in KINDS:
            self._control_documents.labels(kind).set(counts[kind])
        horizons = (moment(calendar.until) for _, calendar in control.calendars if calendar.until)
        until = min((time.timestamp() for time in horizons if time is not None), default=0.0)
        self._calendars_until.set(until)

    def planned(self, planned: int, in_grace: int) -> None:
        """Count rows under planned work, and those in the grace after it."""
        self._planned_rows.labels("planned").inc(planned)
        self._planned_rows.labels("grace").inc(in_grace)

    def control_used(self) -> None:
        """Count a change of the documents that was taken over."""
        self._control_changes.inc()
