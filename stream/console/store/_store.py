"""Everything that the console knows, behind one lock: no Kafka, no HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from stream.control import NO_CONTROL, ControlSet
from stream.correlation.body import IncidentBody
from stream.kafka.control_topic.change import Change
from stream.keys import key_of
from stream.scores import ScoreBatch

from ._documents import Documents
from ._episodes import Episode, EpisodeTable
from ._incidents import IncidentTable
from ._keys import KeyTable
from ._scores import ScoreStore

ChangeKind = Literal["trigger", "incident", "control"]
Listener = Callable[[ChangeKind, Episode | IncidentBody | None], None]


class Store:
    """Recent hours of a service: scores, episodes, incidents and documents.

    Reading threads take the lock for one batch, requests for one answer.

    Args:
        max_bytes: Bound of the memory of scores and keys.
        hours: Hours to keep, by event time.

    Attributes:
        table: Keys.
        scores: Scored rows.
        episodes: Episodes and anomalies.
        incidents: Incidents.
        documents: Documents in force.
        changes: Changes of documents, the newest first.
    """

    def __init__(self, max_bytes: int, hours: float) -> None:
        self.hours = hours
        self.max_bytes = max_bytes
        self.table = KeyTable()
        self.scores = ScoreStore(self.table, max_bytes, hours)
        self.episodes = EpisodeTable()
        self.incidents = IncidentTable()
        self.documents = Documents(NO_CONTROL)
        self.changes: list[Change] = []
        self._lock = threading.RLock()
        self._listeners: list[Listener] = []

    @contextmanager
    def locked(self) -> Iterator[Store]:
        """Hold the store still, for one answer."""
        with self._lock:
            yield self

    def listen(self, listener: Listener) -> None:
        """Tell a function of each trigger, incident and change of documents, in their thread."""
        self._listeners.append(listener)

    @property
    def nbytes(self) -> int:
        """Bytes of all that is kept."""
        return self.scores.nbytes + self.episodes.nbytes + self.incidents.nbytes

    @property
    def last_us(self) -> int:
        """Newest event time."""
        newest = self.table.last_us[: len(self.table)]
        return int(newest.max()) if len(newest) else 0

    def take_scores(self, batch: ScoreBatch) -> None:
        """Take scored rows."""
        with self._lock:
            self.scores.add(batch)

    def take_event(self, event_id: str, kind: str, key: str, partition: int, raw: bytes) -> None:
        """Take a trigger or an anomaly.

        Args:
            event_id: Id of the event.
            kind: `trigger` or `anomaly`.
            key: Text of the stream key.
            partition: Partition of the output topic.
            raw: Body of the event.
        """
        with self._lock:
            episode = self.episodes.take(event_id, kind, key, raw)
            if episode is None:
                return
            number = self.table.number_of(key_of(key))
            newest_us = episode.ends_us or episode.starts_us
            self.table.last_us[number] = max(self.table.last_us[number], newest_us)
            if self.table.partition[number] < 0:
                self.table.partition[number] = partition
        if kind == "trigger":
            self._notify("trigger", episode)

    def take_incident(self, raw: bytes) -> None:
        """Take a message of an incident."""
        with self._lock:
            incident = self.incidents.take(raw)
        if incident is not None:
            self._notify("incident", incident)

    def take_control(self, control: ControlSet, changes: list[Change]) -> None:
        """Take the documents in force.

        Args:
            control: Documents in force.
            changes: Changes, the newest first.
        """
        with self._lock:
            self.documents, self.changes = Documents(control), changes
        self._notify("control", None)

    def _notify(self, kind: ChangeKind, subject: Episode | IncidentBody | None) -> None:
        for listener in self._listeners:
            listener(kind, subject)
