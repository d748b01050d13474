"""Queries of the reading endpoints, and bodies of the writing ones, with their bounds."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Pattern = Annotated[str, Meta(max_length=512)]
Time = Annotated[int, Meta(ge=0, le=10_000_000_000_000_000)]
EventId = Annotated[str, Meta(min_length=1, max_length=1_024)]
Note = Annotated[str, Meta(max_length=2_000)]
Patterns = Annotated[list[Pattern], Meta(min_length=1, max_length=200)]
LATEST = 10_000_000_000_000_000
"""A time later than any event's: up to the newest."""


class NoQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Query of an endpoint without parameters."""


class KeysQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Filter, order and page of keys."""

    pattern: Pattern = "*"
    key: Annotated[str, Meta(max_length=8_192)] = ""
    """Text of one key; empty: all keys."""
    channel: Pattern = ""
    firing: Literal["", "0", "1"] = ""
    sort: Literal["severity", "key", "evidence", "last"] = "severity"
    offset: Annotated[int, Meta(ge=0, le=100_000_000)] = 0
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 100


class FleetQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Span, filter and order of the heat map."""

    minutes: Annotated[float, Meta(gt=0, le=44_640)] = 60.0
    columns: Annotated[int, Meta(ge=1, le=2_000)] = 240
    pattern: Pattern = "*"
    channel: Pattern = ""
    sort: Literal["severity", "key"] = "severity"
    offset: Annotated[int, Meta(ge=0, le=100_000_000)] = 0
    limit: Annotated[int, Meta(ge=1, le=20_000)] = 10_000


class SeriesQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Span and channels of a series. Default: the last hour before the key's newest row."""

    begin_us: Time | None = None
    end_us: Time | None = None
    points: Annotated[int, Meta(ge=1, le=20_000)] = 600
    channels: Annotated[str, Meta(max_length=4_096)] = ""
    """Names with commas between them; empty: all."""


class EventsQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Filter and page of events."""

    kind: Annotated[str, Meta(max_length=64)] = "trigger"
    """`trigger`, `incident`, `anomaly`, or several with commas between them."""
    key: Annotated[str, Meta(max_length=8_192)] = ""
    status: Literal["", "firing", "resolved"] = ""
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 50
    before_us: Time = LATEST


class IncidentsQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Filter of incidents."""

    status: Literal["", "firing", "resolved"] = ""
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 100


class DocumentBody(msgspec.Struct, forbid_unknown_fields=True):
    """Document to write."""

    kind: Literal["acknowledgement", "calendar", "feedback", "rule", "silence"]
    body: dict[str, Any]
    name: Annotated[str, Meta(max_length=128)] = ""
    """Empty: a new one is made."""
    reason: Note = ""


class FeedbackBody(msgspec.Struct, forbid_unknown_fields=True):
    """Judgement about an event."""

    event: EventId
    verdict: Literal["false-alarm", "real", "normal-now"]
    note: Note = ""


class AcknowledgeBody(msgspec.Struct, forbid_unknown_fields=True):
    """Word that an event is in work."""

    event: EventId
    note: Note = ""


class SilenceBody(msgspec.Struct, forbid_unknown_fields=True):
    """Keys and channels that alert nobody until a time."""

    until_us: Time
    keys: Patterns = msgspec.field(default_factory=lambda: ["*"])
    channels: Patterns = msgspec.field(default_factory=lambda: ["*"])
    reason: Note = ""


class ActivationsQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Time of the activations. Default: the newest row."""

    time_us: Time = LATEST


class WhatIfBody(msgspec.Struct, forbid_unknown_fields=True):
    """Change to try, and the keys to try it on."""

    keys: Annotated[list[Annotated[str, Meta(max_length=8_192)]], Meta(max_length=200)] = []
    pattern: Pattern = "*"
    """Keys to choose from where none is named."""
    sample: Annotated[int, Meta(ge=1, le=1_000)] = 50
    """Most keys that are chosen by `pattern`."""
    hours: Annotated[float, Meta(gt=0, le=168)] = 24.0
    budget: Annotated[str, Meta(max_length=64)] | None = None
    """Pages accepted per key, such as `2/week`; null: as in service."""
    evidence: Annotated[float, Meta(gt=0, le=1_000_000)] | None = None
    """`alerts.evidence_rows`; null: as in service."""
    rules: Annotated[list[dict[str, Any]], Meta(max_length=200)] = []
    """Bodies of rules, each with a `name` where it replaces one in force."""
    without: Annotated[list[EventId], Meta(max_length=200)] = []
    """Keys of documents to leave out, such as `rule/disk`."""
