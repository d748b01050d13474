"""Triggers that are read again after a restart: which incident each of them was in.

The messages of an incident list only its first keys. So the others are told by what they have to
have in common with it, once all triggers are read: of two partitions either may come first. An
alert that ended while it was gathered may count with them, though no message had counted it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from .incident import AlertId, Incident
from .trigger import TriggerView


@dataclass(eq=False)
class Episode:
    """An alert of a key from before a restart.

    Attributes:
        alert_id: Identity of the alert.
        offset: Offset of its firing trigger.
        trigger: That trigger.
        grown: Its later triggers.
        end: Its resolved trigger; None while it fires.
    """

    alert_id: AlertId
    offset: int
    trigger: TriggerView
    grown: list[TriggerView] = field(default_factory=list)
    end: TriggerView | None = None

    @property
    def until(self) -> float:
        """End; infinite while it fires."""
        if self.end is None:
            return float("inf")
        return self.end.until or self.end.since


class Rereading:
    """Episodes that wait until all triggers are read."""

    def __init__(self) -> None:
        self._episodes: list[Episode] = []
        self._firing: dict[AlertId, Episode] = {}

    def __len__(self) -> int:
        return len(self._episodes)

    def begin(self, alert_id: AlertId, offset: int, trigger: TriggerView) -> None:
        """Note a firing trigger that a message has said."""
        episode = Episode(alert_id, offset, trigger)
        self._episodes.append(episode)
        self._firing[alert_id] = episode

    def grow(self, alert_id: AlertId, trigger: TriggerView) -> bool:
        """Note a later trigger; return False if its alert is not among them."""
        episode = self._firing.get(alert_id)
        if episode is not None:
            episode.grown.append(trigger)
        return episode is not None

    def end(self, alert_id: AlertId, trigger: TriggerView) -> bool:
        """Note an end; return False if its alert is not among them."""
        episode = self._firing.pop(alert_id, None)
        if episode is not None:
            episode.end = trigger
        return episode is not None

    def settle(
        self,
        incidents: Sequence[Incident],
        is_related: Callable[[Incident, TriggerView], bool],
    ) -> Iterator[tuple[Episode, Incident]]:
        """Yield each episode of an open incident, which has to join it before the next one.

        First those that messages list, then the others that fire, then those that have ended: the
        keys that a message has counted are then more likely those that were in it.

        Args:
            incidents: Restored incidents, the first opened first.
            is_related: Function that says whether a trigger belongs to an incident by its kind.
        """
        waiting = sorted(
            self._episodes,
            key=lambda e: (e.end is not None, e.trigger.since, -e.trigger.margin, e.alert_id),
        )
        self._episodes, self._firing = [], {}
        listed = {
            (member.key, member.alert, member.since): incident
            for incident in incidents
            for member in incident.listed
        }
        others = []
        for episode in waiting:
            trigger = episode.trigger
            incident = listed.get((trigger.key, trigger.alert, round(trigger.since, 6)))
            if incident is None:
                others.append(episode)
            else:
                yield episode, incident
        is_found = True
        while others and is_found:  # one that joins may relate others to the incident
            waiting, others, is_found = others, [], False
            for episode in waiting:
                found = next(
                    (i for i in incidents if _may(i, episode) and is_related(i, episode.trigger)),
                    None,
                )
                if found is None:
                    others.append(episode)
                else:
                    is_found = True
                    yield episode, found


def _may(incident: Incident, episode: Episode) -> bool:
    """Return False for an alert that had ended before the incident began, or is none too many."""
    if episode.end is None:
        return True
    since, key = episode.trigger.since, episode.trigger.key
    if episode.until < incident.since:
        return False
    if key in incident.keys or since > incident.counted_to:
        return True
    return since >= incident.since and incident.unlisted > 0
