"""Message of an incident, in Alertmanager's vocabulary as triggers are."""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from stream.records import SCHEMA_VERSION

from .trigger import Channel

ALERT_NAME = "EmberIncident"

SeverityClass = Literal["info", "warning", "critical"]

_CLASSES: tuple[tuple[float, SeverityClass], ...] = (
    (2.0, "critical"),
    (1.0, "warning"),
    (0.0, "info"),
)
"""Least improbability of each class, in decades beyond the threshold."""


class MemberBody(msgspec.Struct, frozen=True):
    """A key of an incident."""

    key: str
    alert: str
    since: str
    margin: float


class IncidentBody(msgspec.Struct, frozen=True, kw_only=True):
    """Message about an incident. The order of the fields is that of the JSON.

    Attributes:
        status: `firing` once, `updated` when it has grown, `resolved` when no key fires any more.
        labels: Name of the alert, id of the incident, and input topic: the same for all messages.
        annotations: Summary and description for people, and the first cause as `first`.
        starts_at: Begin of the first key.
        ends_at: End of the last key.
        fingerprint: Hash of the labels.
        severity: Improbability: decades by which the incident is rarer than the rarest trigger
            that would not page.
        severity_class: `info`, `warning` (from 1) or `critical` (from 2, or beyond a hard limit).
        page: False if the budget of pages leaves it to the digest.
        reason: Cause of this message; at begin and end that of the first and the last trigger.
        member_count: Number of its keys so far.
        firing_count: Number of its keys that fire now.
        members: First keys, by begin and severity.
        top_channels: Channels with the largest shares over all keys.
        common_labels: Labels that the pattern of keys gives to all of them.
        latest: Begin of the latest key.
        is_storm: So many keys began together that time alone decides.
        number: Number of this message.
        schema_version: Version of the bodies; changes are additive only.
    """

    status: Literal["firing", "updated", "resolved"]
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: str = msgspec.field(name="startsAt")
    ends_at: str | None = msgspec.field(name="endsAt", default=None)
    fingerprint: str
    severity: float
    severity_class: SeverityClass
    page: bool
    is_limit: bool = False
    reason: str
    member_count: int
    firing_count: int
    members: list[MemberBody]
    top_channels: list[Channel]
    common_labels: dict[str, str]
    latest: str
    is_storm: bool
    number: int
    schema_version: int = SCHEMA_VERSION

    @property
    def id(self) -> str:
        """Id of the incident."""
        return self.labels["incident"]


_decode = msgspec.json.Decoder(IncidentBody).decode


def read_incident(body: bytes) -> IncidentBody | None:
    """Return the incident of a record; None if it is none."""
    try:
        incident = _decode(body)
    except msgspec.DecodeError:
        return None
    return incident if "incident" in incident.labels else None


def class_of(severity: float, *, is_limit: bool) -> SeverityClass:
    """Return the class of an incident by its improbability."""
    if is_limit:
        return "critical"
    return next((name for least, name in _CLASSES if severity >= least), "info")


def incident_id(stream: str, key: str, alert: str, since: float) -> str:
    """Return the id of the incident that a trigger opens: the same after every restart."""
    text = "\0".join((stream, key, alert, repr(since)))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
