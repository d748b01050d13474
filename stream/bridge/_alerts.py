"""What fires now, and what Alertmanager has not been told yet. No Kafka, no network, no clock."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

import msgspec

from stream.settings import AlertmanagerSection
from stream.types import TP

Outcome = Literal["firing", "resolved", "backlog", "unknown", "withheld", "invalid"]
OUTCOMES: tuple[Outcome, ...] = (
    *("firing", "resolved", "backlog"),
    *("unknown", "withheld", "invalid"),
)
"""What becomes of a trigger; `unknown`: the end of what was never sent."""

_LIFETIMES = 4  # of what fires, in intervals of sending it again, as Prometheus does it
_SHOWN_ID = 12


class _Channel(msgspec.Struct):
    name: str
    share: float = 0.0


class _Said(msgspec.Struct):
    """What of a trigger's body goes on."""

    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    startsAt: datetime  # noqa: N815  # the wire's name
    annotations: dict[str, str] = {}  # msgspec copies defaults
    endsAt: datetime | None = None  # noqa: N815
    top_channels: list[_Channel] = []


class _Place(NamedTuple):
    """Where an alert comes from, and which it is."""

    tp: TP
    labels: tuple[tuple[str, str], ...]


class _Firing(NamedTuple):
    offset: int
    alert: dict[str, Any]
    told: bool


class Alerts:
    """Alerts of all partitions that this bridge has.

    Args:
        settings: Labels, links, how many, how long.
    """

    def __init__(self, settings: AlertmanagerSection) -> None:
        self._settings = settings
        self._decode = msgspec.json.Decoder(_Said).decode
        self._firing: dict[_Place, _Firing] = {}
        self._unsent: dict[_Place, dict[str, Any]] = {}

    @property
    def firing(self) -> int:
        """How many fire."""
        return len(self._firing)

    @property
    def unsent(self) -> int:
        """How many Alertmanager has not been told of, or not again."""
        return len(self._unsent)

    def take(
        self,
        tp: TP,
        offset: int,
        headers: Mapping[str, str],
        body: bytes,
        now: datetime,
        *,
        told: bool = False,
    ) -> Outcome:
        """Take over a trigger.

        What was backlog when it was written opens nothing. An end always counts: it wakes nobody.
        Of what ends before it was told nothing is told, so that what waits is bounded.

        Args:
            tp: Its topic and partition.
            offset: Its offset there.
            headers: Its headers.
            body: Its value.
            now: For times that would lie in the future.
            told: It is known to have been accepted, before a restart.
        """
        try:
            said = self._decode(body)
        except msgspec.DecodeError:
            return "invalid"
        place = _Place(tp, tuple(sorted(said.labels.items())))
        if said.status == "resolved":
            was = self._firing.pop(place, None)
            if was is None:
                return "unknown"
            if not was.told:
                self._unsent.pop(place, None)
                return "resolved"
            # What began in the future ends at once: an end before the beginning is refused.
            ends = max(min(_aware(said.endsAt or now), now), min(_aware(said.startsAt), now))
            self._unsent[place] = {**self._alert(said, headers, now), "endsAt": _text(ends)}
            return "resolved"
        if "ember.backlog" in headers:
            return "backlog"
        if place not in self._firing and self.firing >= self._settings.max_alerts:
            return "withheld"
        known = self._firing.get(place)
        alert = self._alert(said, headers, now)
        self._firing[place] = _Firing(offset, alert, told or (known is not None and known.told))
        self._unsent[place] = alert
        return "firing"

    def drop(self, tp: TP) -> None:
        """Forget a partition that is another bridge's now."""
        for table in (self._firing, self._unsent):
            for place in [place for place in table if place.tp == tp]:
                del table[place]

    def oldest(self) -> dict[TP, int]:
        """Offset of the first trigger that still fires, of each partition that has one."""
        found: dict[TP, int] = {}
        for place, firing in self._firing.items():
            found[place.tp] = min(firing.offset, found.get(place.tp, firing.offset))
        return found

    def remind(self) -> None:
        """Let everything that fires be told again."""
        self._unsent = {place: f.alert for place, f in self._firing.items()} | self._unsent

    def parts(self, size: int) -> Iterator[list[_Place]]:
        """What is to be told, in parts."""
        places = list(self._unsent)
        yield from (places[at : at + size] for at in range(0, len(places), size))

    def told(self, places: Sequence[_Place]) -> None:
        """Alertmanager knows of these, or will not have them."""
        for place in places:
            self._unsent.pop(place, None)
            if place in self._firing:
                self._firing[place] = self._firing[place]._replace(told=True)

    def payload(self, places: Sequence[_Place], now: datetime) -> list[dict[str, Any]]:
        """Alerts as the API takes them; what fires, fires for some time from now."""
        until = now + timedelta(seconds=_LIFETIMES * self._settings.resend_seconds)
        return [{"endsAt": _text(until), **self._unsent[place]} for place in places]

    def _alert(self, said: _Said, headers: Mapping[str, str], now: datetime) -> dict[str, Any]:
        notes = dict(said.annotations)
        if said.top_channels:
            notes["channels"] = ", ".join(f"{c.name} {c.share:.0%}" for c in said.top_channels)
        if headers.get("ce_id"):
            notes["explain"] = f"ember explain {headers['ce_id'][:_SHOWN_ID]}"
        alert: dict[str, Any] = {
            "labels": {**said.labels, **self._settings.labels},
            "annotations": notes,
            "startsAt": _text(min(_aware(said.startsAt), now)),
        }
        if self._settings.link:
            alert["generatorURL"] = self._link(said.labels)
        return alert

    def _link(self, labels: Mapping[str, str]) -> str:
        link = self._settings.link
        for name in ("key", "topic", "alertname"):
            link = link.replace(f"{{{name}}}", urllib.parse.quote(labels.get(name, ""), safe=""))
        return link


def _aware(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time


def _text(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
