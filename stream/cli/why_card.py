"""The why-card: one event, how rare it is, which channels made it so, and its episode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from stream.report import odds
from stream.tools.event_lookup import Found, moment

from .lines import clean

_BAR = 24  # cells
_EIGHTHS = " ▏▎▍▌▋▊▉"
_MOST_RELATED = 10
_FIRING = "EmberFiring"
_SILENT = "EmberKeyStale"


@dataclass(frozen=True)
class Card:
    """An event with the others of its episode, in order of time."""

    event: Found
    related: list[Found]

    @property
    def rarity(self) -> str:
        """How improbable its row is, in words; empty where no row was judged."""
        severity = self.event.body.get("severity")
        if self.event.name == _SILENT or not isinstance(severity, int | float):
            return ""
        text = odds(float(severity))
        return f"about {text} for this key" if text.startswith("one") else f"{text} for this key"

    def as_json(self) -> dict[str, Any]:
        """The event as published, its rarity in words, and the related events in short."""
        event = self.event
        head = {"id": event.id, "kind": event.kind, "key": event.key}
        return {
            **head,
            **event.body,
            "rarity": self.rarity or None,
            "related": [
                {
                    "id": other.id,
                    "kind": other.kind,
                    "status": other.body.get("status"),
                    "time": (other.body.get("window") or {}).get("start"),
                    "severity": other.body.get("severity"),
                }
                for other in self.related
            ],
        }


def related(event: Found, events: list[Found]) -> list[Found]:
    """The others of an event's episode.

    Args:
        event: The event.
        events: All events of its key.

    Returns:
        The two triggers of the episode (or of the silence) and the anomalies between them, in
        order of time, without the event itself; empty if it belongs to no episode.
    """
    span = _span(event, events)
    if span is None:
        return []
    name, start, end = span
    found = [
        other
        for other in events
        if other.id != event.id
        and (
            (other.kind == "trigger" and other.name == name and _begun(other) == start)
            or (other.kind == "anomaly" and name == _FIRING and start <= other.time_us <= end)
        )
    ]
    return sorted(found, key=lambda e: (e.time_us, e.kind, e.id))


def _span(event: Found, events: list[Found]) -> tuple[str, int, float] | None:
    """Alert name, begin and end of the episode an event belongs to."""
    ends = {(e.name, _begun(e)): _ended(e) for e in events if e.kind == "trigger"}
    for other in events:  # the resolved trigger knows the end
        if other.kind == "trigger" and other.body.get("status") == "resolved":
            ends[other.name, _begun(other)] = _ended(other)
    if event.kind == "trigger":
        at = (event.name, _begun(event))
        return (*at, ends.get(at, float("inf")))
    for (name, start), end in ends.items():
        if name == _FIRING and start <= event.time_us <= end:
            return name, start, end
    return None


def _begun(event: Found) -> int:
    return moment(event.body.get("startsAt"))


def _ended(event: Found) -> float:
    end = event.body.get("endsAt")
    return float(moment(end)) if end else float("inf")


def drawing(card: Card) -> RenderableType:
    """The card for a terminal."""
    event, body = card.event, card.event.body
    status = str(body.get("status", "?")).upper()
    head = Text()
    head.append(
        f"{event.kind.upper()} {status}", "bold green" if status == "RESOLVED" else "bold red"
    )
    head.append(f"  {clean(event.key)}", "bold cyan")
    head.append(f"  {_time(event)}", "dim")
    summary = str((body.get("annotations") or {}).get("summary", ""))
    parts: list[RenderableType] = [head, Text(clean(summary)), Text()]
    if card.rarity:
        parts += [Text(_how_rare(card)), Text()]
    channels = body.get("top_channels") or []
    if channels:
        parts += [_channels(channels), Text()]
    if card.related:
        parts += [_episode(card), Text()]
    elif event.kind == "anomaly":
        parts += [Text("It belongs to no episode: one row is not yet evidence.", "dim"), Text()]
    model = body.get("model") or {}
    digest = str(model.get("sha256"))[:12]
    said = f"model {model.get('name')}, version {model.get('version')}, {digest}"
    parts.append(Text(clean(f"{said}; event {event.id}"), "dim"))
    return Group(*parts)


def _how_rare(card: Card) -> str:
    event, body = card.event, card.event.body
    text = f"{card.rarity[0].upper()}{card.rarity[1:]} (severity {body['severity']:.1f} of 12"
    if event.kind == "anomaly":
        return f"{text}, an anomaly from {body.get('threshold'):g})."
    text += ")."
    if body.get("status") == "resolved" and isinstance(body.get("peak"), int | float):
        text += f" At the peak {odds(float(body['peak']))}; {body.get('rows'):,} rows in all."
    verb = "fell below" if body.get("status") == "resolved" else "reached"
    if body.get("reason") == "stale":
        return f"{text} It ended because the key fell silent."
    if body.get("reason") == "returned":
        return f"{text} It goes on after the key was silent."
    return f"{text} The evidence {verb} {body.get('threshold'):.2f}."


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
            "" if expected is None else f"expected {expected:.4g}",
        )
    return table


def _bar(share: float) -> str:
    eighths = round(max(0.0, min(share, 1.0)) * _BAR * 8)
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).strip().ljust(_BAR)


def _episode(card: Card) -> Table:
    """Events of the episode: its triggers, and the strongest anomalies."""
    everything = sorted([card.event, *card.related], key=lambda e: (e.time_us, e.kind, e.id))
    strongest = sorted(everything, key=lambda e: (e.kind == "anomaly", -_severity(e)))
    shown = {id(e) for e in strongest[:_MOST_RELATED]} | {id(card.event)}
    left = len(everything) - len(shown)
    note = f", {left:,} weaker anomalies not shown" if left else ""
    title = Text(f"Its episode: {len(everything):,} events{note}", "bold")
    table = Table.grid(padding=(0, 2))
    table.title, table.title_justify = title, "left"
    for e in everything:
        if id(e) not in shown:
            continue
        status = "anomaly" if e.kind == "anomaly" else str(e.body.get("status"))
        here = Text("← this one", "bold") if e is card.event else Text("")
        table.add_row(_time(e), status, f"{_severity(e):.1f}", Text(e.id[:12], "dim"), here)
    return table


def _severity(event: Found) -> float:
    value = event.body.get("severity")
    return float(value) if isinstance(value, int | float) else 0.0


def _time(event: Found) -> str:
    text = str((event.body.get("window") or {}).get("start") or event.body.get("startsAt"))
    return clean(text.replace("T", " "))
