"""Episodes, as triggers tell them, and anomalies."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from stream.event_times import parse_time

MOST_EPISODES: Final = 20_000
MOST_ANOMALIES: Final = 20_000
_MOST_BODIES: Final = 40
"""Triggers of an episode that are kept: the first, and the newest."""
_MOST_BYTES: Final = 65_536
_BYTES_AN_EVENT: Final = 3_000
"""Bytes of a kept event, measured on triggers with five channels."""


@dataclass
class Episode:
    """An episode of a key, or one anomaly.

    Attributes:
        kind: `trigger` or `anomaly`.
        id: Id of its first event.
        key: Text of the stream key.
        starts_us: Begin.
        ends_us: End; None while it fires.
        bodies: Bodies of its events by id, in order.
    """

    kind: str
    id: str
    key: str
    starts_us: int
    ends_us: int | None
    bodies: dict[str, dict[str, Any]] = field(repr=False)

    @property
    def first(self) -> dict[str, Any]:
        """Body of the first event."""
        return next(iter(self.bodies.values()))

    @property
    def newest(self) -> dict[str, Any]:
        """Body of the newest event."""
        return next(reversed(self.bodies.values()))

    @property
    def alert(self) -> str:
        """Name of the alert."""
        return str((self.first.get("labels") or {}).get("alertname", ""))

    @property
    def fingerprint(self) -> str:
        """Hash of the labels."""
        return str(self.first.get("fingerprint", ""))

    @property
    def severity(self) -> float:
        """Severity of the first event."""
        return number(self.first.get("severity"))

    @property
    def peak(self) -> float:
        """Largest severity so far."""
        return max(
            number(body.get(name)) for body in self.bodies.values() for name in ("peak", "severity")
        )

    @property
    def leader(self) -> str:
        """Channel with the largest share."""
        channels = self.first.get("top_channels") or [{}]
        label = (self.first.get("labels") or {}).get("channel", "")
        return str(channels[0].get("name") or label)

    def add(self, event_id: str, body: dict[str, Any]) -> None:
        """Take a later event."""
        self.bodies[event_id] = body
        if len(self.bodies) > _MOST_BODIES:
            del self.bodies[list(self.bodies)[1]]
        if body.get("status") == "resolved":
            self.ends_us = _end_of(body) or self.starts_us


class EpisodeTable:
    """Episodes and anomalies that were read, the oldest dropped first."""

    def __init__(self) -> None:
        self._episodes: OrderedDict[tuple[str, str, str], Episode] = OrderedDict()
        self._anomalies: deque[Episode] = deque(maxlen=MOST_ANOMALIES)
        self._anomaly_ids: dict[str, Episode] = {}
        self._by_event: dict[str, Episode] = {}
        self._open: dict[tuple[str, str, str], Episode] = {}
        self._counts: dict[str, int] = {}

    @property
    def nbytes(self) -> int:
        """Bytes of all events, estimated."""
        return (len(self._by_event) + len(self._anomalies)) * _BYTES_AN_EVENT

    @property
    def firing(self) -> dict[str, int]:
        """Number of open episodes by text of the key."""
        counts: dict[str, int] = {}
        for episode in self._open.values():
            counts[episode.key] = counts.get(episode.key, 0) + 1
        return counts

    @property
    def keys(self) -> Iterable[str]:
        """Texts of the keys with episodes, open or over."""
        return self._counts

    def take(self, event_id: str, kind: str, key: str, raw: bytes) -> Episode | None:
        """Take an event; return its episode, or None for a record that is none or is known.

        Args:
            event_id: Id of the event.
            kind: `trigger` or `anomaly`.
            key: Text of the stream key.
            raw: Body of the event.
        """
        body = _body(raw)
        if body is None or event_id in self._by_event or event_id in self._anomaly_ids:
            return None
        starts_us = parse_time(body.get("startsAt"))
        if not starts_us:
            return None
        if kind == "anomaly":
            return self._take_anomaly(
                Episode(kind, event_id, key, starts_us, None, {event_id: body})
            )
        episode_key = (key, str(body.get("fingerprint", "")), str(body["startsAt"]))
        episode = self._episodes.get(episode_key)
        if episode is None:
            episode = Episode(kind, event_id, key, starts_us, None, {})
            self._episodes[episode_key] = episode
            self._counts[key] = self._counts.get(key, 0) + 1
            self._drop_oldest()
        episode.add(event_id, body)
        self._by_event[event_id] = episode
        if episode.ends_us is None:
            self._open[episode_key] = episode
        else:
            self._open.pop(episode_key, None)
        return episode

    def _take_anomaly(self, anomaly: Episode) -> Episode:
        anomaly.ends_us = _end_of(anomaly.first) or anomaly.starts_us
        if len(self._anomalies) == MOST_ANOMALIES:
            self._anomaly_ids.pop(self._anomalies[0].id, None)
        self._anomalies.append(anomaly)
        self._anomaly_ids[anomaly.id] = anomaly
        return anomaly

    def _drop_oldest(self) -> None:
        """Keep the bound: the oldest resolved episode goes, else the oldest."""
        while len(self._episodes) > MOST_EPISODES:
            episode_key = next(
                (episode_key for episode_key in self._episodes if episode_key not in self._open),
                next(iter(self._episodes)),
            )
            for event_id in self._episodes.pop(episode_key).bodies:
                self._by_event.pop(event_id, None)
            self._open.pop(episode_key, None)
            self._counts[episode_key[0]] -= 1
            if not self._counts[episode_key[0]]:
                del self._counts[episode_key[0]]

    def find(self, event_id: str) -> Episode | None:
        """Return the episode or anomaly of an event; None for an unknown one."""
        return self._by_event.get(event_id) or self._anomaly_ids.get(event_id)

    def of_key(self, key: str) -> list[Episode]:
        """Return the episodes of a key, the newest first."""
        episodes = [episode for episode in self._episodes.values() if episode.key == key]
        return sorted(episodes, key=lambda episode: -episode.starts_us)

    def episodes(self) -> Iterator[Episode]:
        """Iterate over the episodes."""
        yield from self._episodes.values()

    def anomalies(self) -> Iterator[Episode]:
        """Iterate over the anomalies."""
        yield from self._anomalies


def number(value: Any) -> float:
    """Return a number of a body; 0 for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return float(value)


def _end_of(body: dict[str, Any]) -> int:
    window = body.get("window")
    of_window = window.get("end") if isinstance(window, dict) else None
    return parse_time(body.get("endsAt")) or parse_time(of_window)


def _body(raw: bytes) -> dict[str, Any] | None:
    """Return the body of an event; None for bytes that are none."""
    if len(raw) > _MOST_BYTES:
        return None
    try:
        body = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None
    if not isinstance(body, dict) or not isinstance(body.get("labels"), dict):
        return None
    channels = body.get("top_channels") or []
    sound = isinstance(channels, list) and all(isinstance(channel, dict) for channel in channels)
    return body if sound else None
