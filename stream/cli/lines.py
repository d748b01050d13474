"""Events and dead letters as JSON lines, and as lines for people."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import msgspec
from confluent_kafka import Message
from rich.text import Text

from stream.keys import key_of, key_text
from stream.tools.reading import headers_of

from .output import clean

_CONNECT = "__connect.errors."
_SHOWN_CHANNELS = 3
_SHOWN_VALUE = 120
_CLASSES = {"critical": "bold red", "warning": "red", "info": "yellow"}
_LEVELS = ((6.0, "bold red"), (4.0, "red"), (0.0, "yellow"))


def event_record(message: Message) -> dict[str, Any]:
    """Return an anomaly or trigger: its body as it was sent, with id, key, time and coordinates."""
    headers = headers_of(message)
    record: dict[str, Any] = {
        "id": headers.get("ce_id"),
        "key": _key(message),
        "time": headers.get("ce_time") or _time_text(message.timestamp()[1]),
        **_coordinates(message),
    }
    if "ember.backlog" in headers:
        record["backlog"] = True
    try:
        body = msgspec.json.decode(message.value() or b"null")
    except msgspec.DecodeError:
        body = None
    if isinstance(body, dict):
        return {**body, **record}  # coordinates win over fields of a foreign body
    value = message.value()  # a foreign producer wrote into the topic
    text = None if value is None else value.decode("utf-8", "backslashreplace")
    return {**record, "value": text}


def dead_letter_record(message: Message) -> dict[str, Any]:
    """Return a dead letter: its source, the reason of the refusal, and the record."""
    headers = headers_of(message)
    value = message.value()
    record = {
        "reason": headers.get("ember.reason")
        or headers.get(f"{_CONNECT}exception.class.name", "unknown"),
        "detail": headers.get(f"{_CONNECT}exception.message", ""),
        "key": _key(message),
        "time": _time_text(message.timestamp()[1]),
        "source": {
            "topic": headers.get(f"{_CONNECT}topic"),
            "partition": _number(headers.get(f"{_CONNECT}partition")),
            "offset": _number(headers.get(f"{_CONNECT}offset")),
        },
        **_coordinates(message),
    }
    if "ember.truncated" in headers:
        record["truncated_from_bytes"] = _number(headers["ember.truncated"])
    try:
        record["value"] = None if value is None else value.decode()
    except UnicodeDecodeError:
        record["value_base64"] = base64.b64encode(value or b"").decode()
    return record


def event_line(record: dict[str, Any]) -> Text:
    """Return a line of status, severity, key, time, and the channels with the largest shares."""
    status = str(record.get("status") or "?").upper()
    severity = record.get("severity")
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{status:<8} ", "bold green" if status == "RESOLVED" else "bold red")
    if isinstance(severity, int | float):
        # The last level is the style of all others.
        style = next(style for floor, style in _LEVELS if severity >= floor or floor == 0)
        line.append(f"{severity:4.1f} ", style)
    line.append(f" {key_text(key_of(record['key'] or '-'))} ", "bold cyan")
    line.append(f" {str(record['time']).replace('T', ' ')} ", "dim")
    reason = record.get("reason")
    if reason and reason != "evidence":
        line.append(f" {clean(reason)} ", "magenta")
    if record.get("backlog"):
        line.append(" backlog ", "magenta")
    channels = record.get("top_channels") or []
    for channel in channels[:_SHOWN_CHANNELS]:
        line.append_text(_channel(channel))
    if "value" in record and not channels:
        line.append(f" {_shortened(record['value'])}")
    return line


def incident_line(record: dict[str, Any]) -> Text:
    """Return a line of status, class, time, id, the decision of the budget, and the summary."""
    status = str(record.get("status") or "?").upper()
    severity_class = str(record.get("severity_class") or "?")
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{clean(status):<8} ", "bold green" if status == "RESOLVED" else "bold red")
    line.append(f"{clean(severity_class):<8} ", _CLASSES.get(severity_class, ""))
    line.append(f" {str(record['time']).replace('T', ' ')} ", "dim")
    line.append(f" {key_text(key_of(record['key'] or '-'))} ", "bold cyan")
    line.append(" page " if record.get("page") else " digest ", "magenta")
    notes = record.get("annotations")
    line.append(f" {clean(notes.get('summary', '') if isinstance(notes, dict) else '')}")
    return line


def dead_letter_line(record: dict[str, Any]) -> Text:
    """Return a line of reason, key, source, detail, and the beginning of the value."""
    source = record["source"]
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{clean(record['reason']):<12} ", "bold yellow")
    line.append(f" {key_text(key_of(record['key'] or '-'))} ", "bold cyan")
    line.append(f" {source['topic']}[{source['partition']}]@{source['offset']} ", "dim")
    line.append(f" {clean(record['detail'])} ")
    line.append(f" {_shortened(record.get('value', record.get('value_base64')))}", "dim")
    return line


def _channel(channel: dict[str, Any]) -> Text:
    share, value, expected = (channel.get(name) for name in ("share", "value", "expected"))
    part = Text("  ")
    part.append(clean(channel.get("name", "?")), "bold")
    if isinstance(share, int | float):
        part.append(f" {share:.0%}")
    if value is None:
        part.append(" missing")
    else:
        arrow = {"above": "\u2191", "below": "\u2193"}.get(str(channel.get("direction")), "")
        part.append(f" {value:.4g}{arrow}")
    if expected is not None:
        part.append(f" (expected {expected:.4g})", "dim")
    return part


def _coordinates(message: Message) -> dict[str, Any]:
    return {
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
    }


def _time_text(timestamp_ms: int) -> str | None:
    if timestamp_ms <= 0:  # no time, not the end of 1969
        return None
    time = datetime.fromtimestamp(timestamp_ms / 1000, UTC)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _key(message: Message) -> str | None:
    key = message.key()
    return None if key is None else key_text(key)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.lstrip("-").isdecimal() else None


def _shortened(value: Any) -> str:
    text = clean("" if value is None else value)
    return text if len(text) <= _SHOWN_VALUE else f"{text[:_SHOWN_VALUE]}\u2026"
