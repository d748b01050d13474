"""Fields of a trigger that decide on incidents."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import msgspec

from stream.templates import cut, one_line

_OTHER_MARGIN = 1.0
"""Margin of a silent key, a missing channel or a limit, which have no probability."""
_MOST_DECADES = 12.0
_MOST_CHANNELS = 8
_MOST_CHARACTERS = 500
_LIMIT = "EmberLimit"


class Channel(msgspec.Struct, frozen=True):
    """A channel and its share."""

    name: str
    share: float = 0.0


class _Evidence(msgspec.Struct):
    severity: float | None = None


class _Body(msgspec.Struct):
    status: Literal["firing", "updated", "resolved"]
    labels: dict[str, str]
    startsAt: datetime  # noqa: N815  # the wire's name
    reason: str = ""
    endsAt: datetime | None = None  # noqa: N815
    severity: float | None = None
    peak: float | None = None
    threshold: float | None = None
    annotations: dict[str, str] = {}
    top_channels: list[Channel] = []  # msgspec copies defaults
    evidence: _Evidence | None = None


class TriggerView(msgspec.Struct, frozen=True):
    """A trigger as incidents see it.

    Attributes:
        status: Begin, growth or end.
        stream: Input topic.
        key: Text of the stream key.
        alert: Name of the alert, with channel and direction where it has them; a key may have
            several.
        since: Begin, in seconds since the epoch.
        until: End, in seconds since the epoch; None while it fires.
        margin: Decades by which it is rarer than the rarest that would not page.
        is_limit: True for a hard limit, which is never held back.
        channels: Channels by their share, the leading one first.
        summary: Sentence about it.
        event_id: Id of the event.
        reason: Cause of the trigger.
    """

    status: Literal["firing", "updated", "resolved"]
    stream: str
    key: str
    alert: str
    since: float
    until: float | None
    margin: float
    is_limit: bool
    channels: tuple[Channel, ...]
    summary: str = ""
    event_id: str = ""
    reason: str = ""

    @property
    def sign(self) -> str:
        """Text that triggers of one cause have alike: kind of alert and leading channel.

        Not the direction of a limit: one cause may push a channel up here and down there.
        """
        leader = self.channels[0].name if self.channels else ""
        return f"{self.alert.partition(' ')[0]} {leader}"


_decode = msgspec.json.Decoder(_Body).decode


def read_trigger(body: bytes, event_id: str = "") -> TriggerView | None:
    """Return the trigger of a record; None if it is none.

    Args:
        body: Value of the record.
        event_id: Id of the event, from its headers.
    """
    try:
        trigger = _decode(body)
    except msgspec.DecodeError:
        return None
    labels = trigger.labels
    name, channel = labels.get("alertname", ""), labels.get("channel", "")
    channels = tuple(trigger.top_channels[:_MOST_CHANNELS])
    if channel and not channels:
        channels = (Channel(channel, 1.0),)
    return TriggerView(
        status=trigger.status,
        stream=labels.get("topic", ""),
        key=labels.get("key", ""),
        alert=" ".join(filter(None, (name, channel, labels.get("direction", "")))),
        since=_seconds(trigger.startsAt),
        until=None if trigger.endsAt is None else _seconds(trigger.endsAt),
        margin=_margin(trigger, name),
        is_limit=name == _LIMIT,
        channels=channels,
        summary=cut(one_line(trigger.annotations.get("summary", "")), _MOST_CHARACTERS),
        event_id=event_id,
        reason=cut(one_line(trigger.reason), _MOST_CHARACTERS),
    )


def _margin(trigger: _Body, name: str) -> float:
    """Return the decades between a trigger and the threshold, which the budget has set."""
    if name != "EmberFiring":
        return _OTHER_MARGIN
    of_evidence = trigger.evidence.severity if trigger.evidence is not None else None
    severity = max(trigger.peak or 0.0, trigger.severity or 0.0, of_evidence or 0.0)
    return min(max(0.0, severity - (trigger.threshold or 0.0)), _MOST_DECADES)


def _seconds(time: datetime) -> float:
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
