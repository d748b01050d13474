"""Alerts of a backtest, a line each, as the service would have sent them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import itemgetter

import msgspec

from stream.backtest import Backtest
from stream.configure import incident_rules
from stream.correlation import replay, summarise
from stream.keys import key_text
from stream.records import Event
from stream.settings import Settings

from .output import clean

_MOST = 20
_SILENT = ("EmberKeyStale", "EmberChannelMissing", "EmberLimit")


class _Channel(msgspec.Struct):
    name: str


class _Trigger(msgspec.Struct):
    status: str
    labels: dict[str, str]
    startsAt: str  # noqa: N815 - Alertmanager's name
    endsAt: str | None = None  # noqa: N815
    fingerprint: str = ""
    peak: float | None = None
    top_channels: list[_Channel] = []


_trigger = msgspec.json.Decoder(_Trigger)


def alert_lines(events: Iterable[Event]) -> list[str]:
    """Return the episodes in order of their beginning; of many, those with the highest peaks."""
    episodes: dict[tuple[bytes, str, str], _Trigger] = {}
    for event in events:
        if event.kind == "trigger":
            body = _trigger.decode(event.body)
            first = episodes.setdefault((event.key, body.fingerprint, body.startsAt), body)
            first.endsAt = body.endsAt
            first.peak = body.peak if body.peak is not None else first.peak
    worst = sorted(episodes.items(), key=lambda item: -(item[1].peak or 0.0))[:_MOST]
    worst.sort(key=lambda item: item[1].startsAt)
    names = [clean(key_text(key)) for (key, _, _), _ in worst]
    width = max(map(len, names), default=0)
    lines = [
        f"  {name:<{width}}  {body.startsAt} to {body.endsAt or 'the end':<20}  {_cause(body)}"
        for name, (_, body) in zip(names, worst, strict=True)
    ]
    if len(episodes) > _MOST:
        lines.append(
            f"  The {_MOST} with the highest peaks of {len(episodes):,} alerts; --report FILE and "
            "--events FILE have all."
        )
    return lines


def page_figures(result: Backtest, settings: Settings) -> dict[str, float]:
    """Return incidents and pages of the fleet under the budget `alerts.pages`.

    Args:
        result: Result of the backtest.
        settings: Sections `alerts` and `incidents`.
    """
    triggers = [(event.time_us / 1e6, event.body) for event in result.events if _is_trigger(event)]
    times = [s.time_us for s in result.scores if len(s.time_us)]
    first = min((t.min() for t in times), default=0) / 1e6
    last = max((t.max() for t in times), default=0) / 1e6
    # Events are in order of their keys' records; incidents are of all keys.
    triggers.sort(key=itemgetter(0))
    messages = replay(triggers, incident_rules(settings), settings.alerts.pages_per_week)
    summary = summarise(messages, first, last)
    return {
        "incidents": summary.incidents,
        "pages": summary.pages,
        "digest": summary.incidents - summary.pages,
        "pages_per_day": round(summary.pages_per_day, 3),
    }


def page_line(figures: Mapping[str, float], budget: str) -> str:
    """Return the figures of the pages in a sentence."""
    return (
        f"{figures['incidents']:,} incidents: {figures['pages']:,} pages "
        f"({figures['pages_per_day']:.2g} a day, alerts.pages is {budget}), "
        f"{figures['digest']:,} in the digest only"
    )


def _is_trigger(event: Event) -> bool:
    return event.kind == "trigger"


def _cause(body: _Trigger) -> str:
    """Return peak and first channel of an episode, or the name of an alert without a score."""
    name = body.labels.get("alertname", "")
    if name in _SILENT or body.peak is None:
        return name
    channel = clean(body.top_channels[0].name) if body.top_channels else ""
    return f"severity {body.peak:5.2f}  {channel}".rstrip()
