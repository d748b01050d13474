"""Card of `ember explain`: one event, its rarity, its channels and its episode."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from stream.event_times import parse_time
from stream.keys import key_of, key_text
from stream.report import odds
from stream.thresholds import once_in
from stream.tools.event_lookup import PublishedEvent

from .output import clean

_BAR = 24  # cells
_EIGHTHS = " ▏▎▍▌▋▊▉"
_MOST_RELATED = 10
_FIRING = "EmberFiring"
_UNSCORED = ("EmberKeyStale", "EmberChannelMissing", "EmberLimit")


@dataclass(frozen=True)
class Card:
    """An event, with the other events of its episode in order of time."""

    event: PublishedEvent
    related: list[PublishedEvent]

    @property
    def rarity(self) -> str:
        """Rarity of the row in words; empty for an event without a scored row."""
        severity = self.event.body.get("severity")
        if self.event.name in _UNSCORED or not isinstance(severity, int | float):
            return ""
        if is_in_days(self.event.body):
            return f"{once_in(float(severity))} of a key"
        text = odds(float(severity))
        return f"about {text} for this key" if text.startswith("one") else f"{text} for this key"

    @property
    def rarity_text(self) -> str:
        """Sentences on the rarity and the evidence; empty for an event without a scored row."""
        return _rarity_text(self) if self.rarity else ""

    def as_json(self) -> dict[str, Any]:
        """Return the event as published, its rarity in words, and the related events in short."""
        event = self.event
        head = {"id": event.id, "kind": event.kind, "key": event.key}
        return {
            **head,
            **event.body,
            "rarity": self.rarity or None,
            "related": [
                {
                    "id": e.id,
                    "kind": e.kind,
                    "status": e.body.get("status"),
                    "time": (e.body.get("window") or {}).get("start"),
                    "severity": e.body.get("severity"),
                }
                for e in self.related
            ],
        }


def related(event: PublishedEvent, events: list[PublishedEvent]) -> list[PublishedEvent]:
    """Return the other events of an event's episode.

    Args:
        event: Event to explain.
        events: All events of its key.

    Returns:
        Both triggers of the episode (or of the idle time) and the anomalies between them, in order
        of time, without the event itself; empty if it belongs to no episode.
    """
    span = _span(event, events)
    if span is None:
        return []
    name, start, end = span
    members = [
        e
        for e in events
        if e.id != event.id
        and (
            (e.kind == "trigger" and e.name == name and _start(e) == start)
            or (e.kind == "anomaly" and name == _FIRING and start <= e.time_us <= end)
        )
    ]
    return sorted(members, key=lambda e: (e.time_us, e.kind, e.id))


def _span(event: PublishedEvent, events: list[PublishedEvent]) -> tuple[str, int, float] | None:
    """Return alert name, start and end of the episode that an event belongs to."""
    ends = {(e.name, _start(e)): _end(e) for e in events if e.kind == "trigger"}
    for e in events:  # only the resolved trigger has the end
        if e.kind == "trigger" and e.body.get("status") == "resolved":
            ends[e.name, _start(e)] = _end(e)
    if event.kind == "trigger":
        episode = (event.name, _start(event))
        return (*episode, ends.get(episode, float("inf")))
    for (name, start), end in ends.items():
        if name == _FIRING and start <= event.time_us <= end:
            return name, start, end
    return None


def _start(event: PublishedEvent) -> int:
    return parse_time(event.body.get("startsAt"))


def _end(event: PublishedEvent) -> float:
    end = event.body.get("endsAt")
    return float(parse_time(end)) if end else float("inf")


def drawing(card: Card) -> RenderableType:
    """Return the card for a terminal."""
    event, body = card.event, card.event.body
    status = str(body.get("status", "?")).upper()
    head = Text()
    head.append(
        f"{event.kind.upper()} {status}", "bold green" if status == "RESOLVED" else "bold red"
    )
    head.append(f"  {key_text(key_of(event.key))}", "bold cyan")
    head.append(f"  {_time(event)}", "dim")
    summary = str((body.get("annotations") or {}).get("summary", ""))
    parts: list[RenderableType] = [head, Text(clean(summary)), Text()]
    if card.rarity:
        parts += [Text(card.rarity_text), Text()]
    confidence = body.get("confidence")
    if isinstance(confidence, int | float):
        text = f"The key is new to the model: {100 * confidence:.0f} % of its severity counts."
        parts += [Text(text), Text()]
    channels = body.get("top_channels") or []
    if channels:
        parts += [_channels(channels), Text()]
    if card.related:
        parts += [_episode(card), Text()]
    elif event.kind == "anomaly":
        parts += [Text("It belongs to no episode: one row is not yet evidence.", "dim"), Text()]
    model = body.get("model") or {}
    digest = str(model.get("sha256"))[:12]
    source = f"model {model.get('name')}, version {model.get('version')}, {digest}"
    parts.append(Text(clean(f"{source}; event {event.id}"), "dim"))
    return Group(*parts)


def _rarity_text(card: Card) -> str:
    event, body = card.event, card.event.body
    unit = "" if is_in_days(body) else " of 12"
    text = f"{card.rarity[0].upper()}{card.rarity[1:]} (severity {body['severity']:.1f}{unit}"
    if event.kind == "anomaly":
        return f"{text}, an anomaly from {body.get('threshold'):g})."
    text += ")."
    if body.get("status") == "resolved" and isinstance(body.get("peak"), int | float):
        peak = float(body["peak"])
        rarest = once_in(peak) if is_in_days(body) else odds(peak)
        text += f" At the peak {rarest}; {body.get('rows'):,} rows in all."
    verb = "fell below" if body.get("status") == "resolved" else "reached"
    if body.get("reason") == "stale":
        return f"{text} It ended because the key fell silent."
    if body.get("reason") == "returned":
        return f"{text} It goes on after the key was silent."
    if is_in_days(body):
        return text + _spoken(body.get("evidence") or {})
    return f"{text} The evidence {verb} {body.get('threshold'):.2f}."


def is_in_days(body: dict[str, Any]) -> bool:
    """Test whether a severity says how rare a key shows the like, not how improbable a row is."""
    severity, probability = body.get("severity"), body.get("probability")
    if not isinstance(severity, int | float) or not isinstance(probability, int | float):
        return False
    return not math.isclose(10.0**-severity, probability, rel_tol=1e-3, abs_tol=1e-15)


def _spoken(evidence: dict[str, Any]) -> str:
    """Return a sentence on the evidence that spoke; empty without one."""
    if not evidence:
        return ""
    channel = evidence.get("channel")
    subject = f"{clean(str(channel))}: " if channel else ""
    return f" {subject}{clean(str(evidence.get('statistic')))}, since {evidence.get('since')}."


def _channels(channels: list[dict[str, Any]]) -> Table:
    table = Table.grid(padding=(0, 2))
    for style in ("bold", "red", "", "", "dim"):
        table.add_column(style=style, no_wrap=True)
    for c in channels:
        share = float(c.get("share") or 0.0)
        value, expected = c.get("value"), c.get("expected")
        arrow = {"above": "↑", "below": "↓"}.get(str(c.get("direction")), "")
        observed = "missing" if value is None else f"{value:.4g} {arrow}"
        table.add_row(
            clean(str(c.get("name"))),
            _bar(share),
            f"{100 * share:.0f} %",
            observed,
            _usual(c) or ("" if expected is None else f"expected {expected:.4g}"),
        )
    return table


def _usual(channel: dict[str, Any]) -> str:
    """Return the usual range of a channel; empty where the model has none."""
    low, high = channel.get("usual_low"), channel.get("usual_high")
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return ""
    return f"usually {low:.4g} to {high:.4g}"


def _bar(share: float) -> str:
    # Unicode has blocks of an eighth, so that small shares differ too.
    eighths = round(max(0.0, min(share, 1.0)) * _BAR * 8)
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).strip().ljust(_BAR)


def _episode(card: Card) -> Table:
    """Return a table of the episode: its triggers and the strongest anomalies."""
    events = sorted([card.event, *card.related], key=lambda e: (e.time_us, e.kind, e.id))
    # Triggers first, then anomalies by severity.
    strongest = sorted(events, key=lambda e: (e.kind == "anomaly", -_severity(e)))
    shown_ids = {id(e) for e in strongest[:_MOST_RELATED]} | {id(card.event)}
    hidden = len(events) - len(shown_ids)
    note = f", {hidden:,} weaker anomalies not shown" if hidden else ""
    title = Text(f"Its episode: {len(events):,} events{note}", "bold")
    table = Table.grid(padding=(0, 2))
    table.title, table.title_justify = title, "left"
    for e in events:
        if id(e) not in shown_ids:
            continue
        status = "anomaly" if e.kind == "anomaly" else str(e.body.get("status"))
        marker = Text("← this one", "bold") if e is card.event else Text("")
        table.add_row(_time(e), status, f"{_severity(e):.1f}", Text(e.id[:12], "dim"), marker)
    return table


def _severity(event: PublishedEvent) -> float:
    value = event.body.get("severity")
    return float(value) if isinstance(value, int | float) else 0.0


def _time(event: PublishedEvent) -> str:
    text = str((event.body.get("window") or {}).get("start") or event.body.get("startsAt"))
    return clean(text.replace("T", " "))
