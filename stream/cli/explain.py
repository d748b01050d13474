"""`ember explain`: the reasons for one event."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from rich.console import Console

from ember_core.data.sources import TimeUnit, to_microseconds
from stream.errors import UserError
from stream.keys import key_of, key_text
from stream.tools.event_lookup import EventLog, FileLog, PublishedEvent, TopicLog

from .event_page import write_event_page
from .key import require_page
from .options import InputTopicArgs, InputTopicOptions, parse_seconds, since_ms
from .output import print_json
from .why_card import Card, drawing, related

_ID_DIGITS = 32
_LEAST_DIGITS = 6


def explain(
    event_id: str | None = None,
    /,
    *,
    key: str | None = None,
    at: str | None = None,
    time_unit: TimeUnit = "auto",
    events: Path | None = None,
    since: str | None = None,
    html: Path | None = None,
    around: str = "6h",
    data: tuple[str, ...] = (),
    model: Path | None = None,
    json: bool = False,
    source: InputTopicArgs = InputTopicOptions(),
) -> None:
    """Explain an event: its rarity, the channels that caused it, and the events of its episode.

    Name the event by its id (the first digits are enough), or by --key and --at for the event of
    a key nearest to a time.

    Args:
        event_id: Id of the event, as `ember tail --json` shows it.
        key: Stream key.
        at: Event time: ISO 8601 (UTC without a zone), or a number.
        time_unit: Unit of a number: s, ms, us, ns, index, or auto, by its size.
        events: File of `ember backtest --events` to search instead of the topics.
        since: Search only events written since then: 30s, 15m, 2h, 7d, or an ISO 8601 time.
        html: File to write a page to, .html: all channels of the key around the event.
        around: Time before and after the episode on the page.
        data: Records of the key for the page: files, kafka:TOPIC or kcat:FILE. Default: the input
            topic.
        model: Folder of the bundle for the page. Default: that of the settings.
        json: Print one JSON object.
        source: Input topic of the event.
    """
    if html is not None:
        require_page(html)
    around_seconds = parse_seconds("around", around)
    prefix = _checked_prefix(event_id, key, at)
    at_us = None if at is None else _micros(at, time_unit)
    log: EventLog
    if events is not None:
        log = FileLog(events)
    else:
        log = TopicLog(source.settings(), source.topic, since_ms(since))
    if prefix:
        event = _by_id(log, prefix)
        key_events = _distinct(log.scan(key=event.key))
    else:
        assert key is not None
        assert at_us is not None
        key = key_text(key_of(key))  # of several forms, the one that events have
        key_events = _distinct(log.scan(key=key))
        event = _nearest(log, key_events, key, at_us)
    card = Card(event, related(event, key_events))
    if html is not None:
        write_event_page(html, card, source, data, model, around_seconds)
    if json:
        print_json(card.as_json())
    else:
        Console(highlight=False, soft_wrap=True).print(drawing(card))


def _checked_prefix(event_id: str | None, key: str | None, at: str | None) -> str:
    """Return the first digits of the id, or an empty string if key and time name the event.

    Raises:
        UserError: If the options name no event, or more than one.
    """
    if (event_id is None) == (key is None) or (key is None) != (at is None):
        options = {"EVENT-ID": event_id, "--key": key, "--at": at}
        names = " ".join(name for name, value in options.items() if value is not None)
        raise UserError(
            "It is not clear which event is meant. Expected EVENT-ID, or --key KEY and --at TIME. "
            f"Received: {names or 'neither'}.",
            exit_code=2,
        )
    prefix = (event_id or "").strip().lower()  # ids are hexadecimal in lower case
    if event_id is not None and len(prefix) < _LEAST_DIGITS:
        raise UserError(
            f"The id is too short to be told from others. Expected at least {_LEAST_DIGITS} of its "
            f"{_ID_DIGITS} digits. Received: {event_id!r}.",
            exit_code=2,
        )
    return prefix


def _micros(text: str, unit: TimeUnit) -> int:
    try:
        return int(to_microseconds(np.array([text], dtype=object), unit)[0])
    except ValueError:
        raise UserError(
            "The time is not understood. Expected ISO 8601 such as 2026-01-31T12:00:00Z, or a "
            f"number in --time-unit. Received: --at {text}.",
            exit_code=2,
        ) from None


def _by_id(log: EventLog, prefix: str) -> PublishedEvent:
    events: dict[str, PublishedEvent] = {}
    for event in log.scan(id_prefix=prefix):
        events[event.id] = event
        # A whole id names one event, and two show that a part of one does not.
        if len(prefix) >= _ID_DIGITS or len(events) > 1:
            break
    if not events:
        raise UserError(
            f"No event has this id. Received: {prefix} in {log.name}. `ember tail anomalies` and "
            "`ember tail triggers` with --json show ids; topics forget after their retention."
        )
    if len(events) > 1:
        raise UserError(
            f"Several events have an id that begins so. Received: {prefix}; "
            f"{' and '.join(sorted(events))} are two of them. Give more digits.",
            exit_code=2,
        )
    return next(iter(events.values()))


def _nearest(log: EventLog, events: list[PublishedEvent], key: str, at_us: int) -> PublishedEvent:
    """Return the event of a key nearest to a time; of several at that time the trigger."""
    if not events:
        raise UserError(
            f"No event is of this key. Received: --key {key} in {log.name}. "
            "The key was never improbable, warms up or is quiet (`ember state show` says so), or "
            "the topics have forgotten it."
        )
    return min(events, key=lambda e: (abs(e.time_us - at_us), e.kind != "trigger", e.id))


def _distinct(events: Iterable[PublishedEvent]) -> list[PublishedEvent]:
    """Return each event once: the service may publish one again after a crash."""
    return list({event.id: event for event in events}.values())
