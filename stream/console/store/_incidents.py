"""Incidents, by their newest messages."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from stream.correlation.body import IncidentBody, read_incident
from stream.event_times import parse_time

MOST_INCIDENTS: Final = 5_000
_BYTES_AN_INCIDENT: Final = 6_000


class IncidentTable:
    """Incidents that were read, the oldest resolved ones dropped first."""

    def __init__(self) -> None:
        self._incidents: OrderedDict[str, IncidentBody] = OrderedDict()
        self._by_member: dict[tuple[str, int], list[str]] = {}

    @property
    def nbytes(self) -> int:
        """Bytes of all incidents, estimated."""
        return len(self._incidents) * _BYTES_AN_INCIDENT

    def take(self, raw: bytes) -> IncidentBody | None:
        """Take a message; return the incident, or None for a record that is none or is known.

        Args:
            raw: Value of the record.
        """
        incident = read_incident(raw)
        if incident is None:
            return None
        former = self._incidents.get(incident.id)
        if former is not None and former.number >= incident.number:
            return None
        self._incidents[incident.id] = incident
        for member in incident.members:
            ids = self._by_member.setdefault((member.key, parse_time(member.since)), [])
            if incident.id not in ids:
                ids.append(incident.id)
        while len(self._incidents) > MOST_INCIDENTS:
            self._drop_oldest()
        return incident

    def incident_of(self, key: str, starts_us: int) -> str | None:
        """Return the id of the incident that an episode is part of; None: of none that is known.

        Args:
            key: Text of the stream key.
            starts_us: Begin of the episode.
        """
        return next(iter(self._by_member.get((key, starts_us), ())), None)

    def newest_first(self) -> list[IncidentBody]:
        """Return the incidents, the newest first."""
        return sorted(
            self._incidents.values(), key=lambda incident: incident.starts_at, reverse=True
        )

    def _drop_oldest(self) -> None:
        resolved = (
            incident_id
            for incident_id, incident in self._incidents.items()
            if incident.status == "resolved"
        )
        dropped = self._incidents.pop(next(resolved, next(iter(self._incidents))))
        for member in dropped.members:
            member_key = (member.key, parse_time(member.since))
            ids = self._by_member.get(member_key, [])
            if dropped.id in ids:
                ids.remove(dropped.id)
            if not ids:
                self._by_member.pop(member_key, None)
