"""Trial of rules: the pages of a replay without them and with them, side by side."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

import msgspec

from ember_core.data.sources import Remark

from .control import Calendar, ControlSet, Feedback
from .control.rules import Rule
from .event_times import parse_time
from .records import Event


@dataclass
class Page:
    """An alert from its first trigger to the one that resolves it.

    Attributes:
        key: Text of the key.
        topic: Name of the stream.
        name: Name of the alert.
        fingerprint: Fingerprint of its labels.
        start: Begin, as the event has it.
        start_us: Begin, microseconds.
        end_us: End; infinite while it is open.
        channels: Channels that led its triggers, without repeats.
        rules: Rules that its triggers name.
        peak: Largest severity.
    """

    key: str
    topic: str
    name: str
    fingerprint: str
    start: str
    start_us: int
    end_us: float = inf
    channels: list[str] = field(default_factory=list)
    rules: list[str] = field(default_factory=list)
    peak: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Return the fields that people read."""
        return {
            "alertname": self.name,
            "key": self.key,
            "topic": self.topic,
            "startsAt": self.start,
            "channels": self.channels,
            "rules": self.rules,
            "peak": self.peak,
        }

    def overlaps(self, other: Page) -> bool:
        """Return whether two pages are of one alert and were open at the same time."""
        return (
            (self.topic, self.key, self.fingerprint) == (other.topic, other.key, other.fingerprint)
            and self.start_us <= other.end_us
            and other.start_us <= self.end_us
        )


@dataclass
class RuleChanges:
    """Changes that rules make.

    Attributes:
        before: Pages without them.
        after: Pages with them.
        gone: Pages that are there without them only.
        new: Pages that are there with them only.
        acted: Pages that are gone, new, or kept while the rule acted on them, by rule.
    """

    before: list[Page]
    after: list[Page]
    gone: list[Page]
    new: list[Page]
    acted: dict[str, dict[str, int]]

    def as_json(self) -> dict[str, Any]:
        """Return the changes as JSON values."""
        return {
            "pages_before": len(self.before),
            "pages_after": len(self.after),
            "gone": [page.as_json() for page in self.gone],
            "new": [page.as_json() for page in self.new],
            "rules": self.acted,
        }


def pages(bodies: Iterable[dict[str, Any]]) -> list[Page]:
    """Return the pages of triggers, in order of their first one.

    Args:
        bodies: Bodies of events, in order; anomalies are passed over.
    """
    by_alert: dict[tuple[str, str, str], Page] = {}
    out: list[Page] = []
    for body in bodies:
        labels = body.get("labels") or {}
        name = str(labels.get("alertname", ""))
        if not name or name == "EmberAnomaly":
            continue
        topic, key = str(labels.get("topic", "")), str(labels.get("key", ""))
        alert = (topic, key, str(body.get("fingerprint", "")))
        start = str(body.get("startsAt", ""))
        page = by_alert.get(alert)
        if page is None:
            page = Page(key, topic, name, alert[2], start, parse_time(start))
            by_alert[alert] = page
            out.append(page)
        page.peak = max(page.peak, float(body.get("peak") or 0.0))
        page.rules += [rule for rule in body.get("rules") or [] if rule not in page.rules]
        if body.get("status") == "resolved":
            page.end_us = parse_time(body.get("endsAt"))
            del by_alert[alert]
        elif (channel := leading_channel(body)) not in ("", *page.channels):
            page.channels.append(channel)
    return out


def pages_of(events: Iterable[Event]) -> list[Page]:
    """Return the pages among the events of a replay."""
    return pages(msgspec.json.decode(e.body) for e in events if e.kind == "trigger")


def leading_channel(body: dict[str, Any]) -> str:
    """Return the channel that a trigger rests on; empty where it names none."""
    labelled = (body.get("labels") or {}).get("channel")
    top = body.get("top_channels") or []
    return str(labelled or (top[0].get("name", "") if top else ""))


def compare(before: Iterable[Event], after: Iterable[Event], control: ControlSet) -> RuleChanges:
    """Return the pages that come and go with rules, and which rules act on them.

    Args:
        before: Events of a replay without them.
        after: Events of the same replay with them.
        control: The rules.
    """
    first, second = pages_of(before), pages_of(after)
    gone = [page for page in first if not any(map(page.overlaps, second))]
    new = [page for page in second if not any(map(page.overlaps, first))]
    acted = {}
    for document in control.documents:
        body = document.body
        if not isinstance(body, Rule | Feedback | Calendar):
            continue
        name = document.name if isinstance(body, Rule) else document.key
        named = [page for page in second if name in page.rules]
        added = sum(page in new for page in named)
        acted[name] = {
            "gone": sum(_is_for(body, page) for page in gone),
            "new": added,
            "kept": len(named) - added,
        }
    return RuleChanges(first, second, gone, new, acted)


def unmatched_rules(
    control: ControlSet,
    topic: str,
    keys: Collection[str],
    channels: Sequence[str],
    span_us: tuple[int, int],
) -> list[Remark]:
    """Return a remark for each rule or calendar that is for nothing of some telemetry.

    Args:
        control: The rules.
        topic: Name of the stream in events.
        keys: Keys of the telemetry, as text.
        channels: Channels of the model.
        span_us: First and last time of the telemetry, microseconds.
    """
    remarks = []
    for name, rule in control.rules:
        if not rule.channel_indices(channels):
            fault = f"no channel. Expected some of: {', '.join(channels[:8])}"
            patterns = rule.channels
        elif not any(rule.is_for_key(topic, key) for key in keys):
            some = ", ".join(sorted(keys)[:8])
            fault = f"no key. Expected some of these keys of topic {topic}: {some}"
            patterns = (*rule.keys, *rule.topics)
        else:
            continue
        text = f"rule {name} is for {fault}. Received: {', '.join(patterns)}"
        remarks.append(Remark("unmatched_rule", text))
    for name, calendar in control.calendars:
        if not any(calendar.is_for_key(topic, key) for key in keys):
            some, patterns = ", ".join(sorted(keys)[:8]), (*calendar.keys, *calendar.topics)
            text = (
                f"calendar {name} is for no key. Expected some of these keys of topic {topic}: "
                f"{some}. Received: {', '.join(patterns)}"
            )
            remarks.append(Remark("unmatched_rule", text))
        elif not _meets(calendar, span_us):
            text = f"calendar {name} has no window within the time of the telemetry"
            remarks.append(Remark("unmatched_rule", text))
    return remarks


def _meets(calendar: Calendar, span_us: tuple[int, int]) -> bool:
    first, last = (us / 1e6 for us in span_us)
    return any(begin <= last and end > first for begin, end in calendar.times)


def change_lines(changes: RuleChanges, most: int = 20) -> Sequence[str]:
    """Return what rules change, as lines for people.

    Args:
        changes: The changes.
        most: Pages named of each kind.
    """
    counts = f"{len(changes.gone):,} gone, {len(changes.new):,} new"
    without = f"{len(changes.before):,} pages without them, {len(changes.after):,} with them"
    lines = [f"Rules: {without}; {counts}"]
    for mark, some in (("-", changes.gone), ("+", changes.new)):
        lines += [f"  {mark} {_page_text(page)}" for page in some[:most]]
        if len(some) > most:
            lines.append(f"  {mark} and {len(some) - most:,} more; --json has all")
    for name, acted in changes.acted.items():
        text = ", ".join(f"{number:,} {word}" for word, number in acted.items())
        lines.append(f"  rule {name}: pages {text}")
    return lines


def _page_text(page: Page) -> str:
    channels = ", ".join(page.channels)
    return " ".join(filter(None, (page.start, page.key, page.name, channels)))


def _is_for(body: Rule | Feedback | Calendar, page: Page) -> bool:
    """Return whether a rule, a mark of a false alarm or a calendar may have taken a page away."""
    if isinstance(body, Calendar):
        quiet = ((begin * 1e6, end * 1e6 + body.grace_us) for begin, end in body.times)
        is_quiet = any(begin <= page.start_us < end for begin, end in quiet)
        return is_quiet and body.is_for_key(page.topic, page.key)
    if isinstance(body, Feedback):
        marked = {*body.above, *body.below} & {*page.channels}
        return (body.topic, body.key) == (page.topic, page.key) and bool(marked)
    if not body.judges or not body.is_for_key(page.topic, page.key):
        return False
    return not page.channels or bool(body.channel_indices(page.channels))
