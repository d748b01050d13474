"""`ember explain`: why the service spoke."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np
from rich.console import Console

from ember_core.data.sources import TimeUnit, to_microseconds
from stream.errors import UserError
from stream.settings import Settings
from stream.tools.event_lookup import EventLog, FileLog, Found, TopicLog

from .tail import parse_since
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
    topic: str | None = None,
    json: bool = False,
    bootstrap_servers: str | None = None,
    config: Path | None = None,
) -> None:
    """Explain an event: how rare it is, which channels made it so, what belongs to its episode.

    Name the event by its id (the first digits will do), or by --key and --at for the event of
    that key nearest to a time.

    Args:
        event_id: Id of the event, as `ember tail --json` shows it.
        key: Stream key.
        at: Event time: ISO 8601 (UTC where it does not say), or a number.
        time_unit: Unit of a number: s, ms, us, ns, index, or auto, by its size.
        events: Look in this file of `ember backtest --events` in place of the topics.
        since: Look only at what was written since then: 30s, 15m, 2h, 7d, or an ISO 8601 time.
        topic: Input topic in place of those of the settings.
        json: Print one JSON object.
        bootstrap_servers: Brokers, host:port with commas between.
        config: Settings file; default ember.toml where there is one.
    """
    prefix = _asked(event_id, key, at)
    at_us = None if at is None else _micros(at, time_unit)
    log: EventLog
    if events is not None:
        log = FileLog(events)
    else:
        settings = Settings.load(config, kafka={"bootstrap_servers": bootstrap_servers})
        since_ms = None if since is None else int(parse_since(since, time.time()) * 1000)
        log = TopicLog(settings, topic, since_ms)
    if prefix:
        event = _by_id(log, prefix)
        own = _distinct(log.scan(key=event.key))
    else:
        assert key is not None
        assert at_us is not None
        own = _distinct(log.scan(key=key))
        event = _nearest(log, own, key, at_us)
    card = Card(event, related(event, own))
    if json:
        sys.stdout.write(msgspec.json.encode(card.as_json()).decode() + "\n")
    else:
        Console(highlight=False, soft_wrap=True).print(drawing(card))


def _asked(event_id: str | None, key: str | None, at: str | None) -> str:
    """The id asked for, or nothing where key and time are given.

    Raises:
        UserError: If it is neither the one nor the other.
    """
    if (event_id is None) == (key is None) or (key is None) != (at is None):
        given = {"EVENT-ID": event_id, "--key": key, "--at": at}
        names = " ".join(name for name, value in given.items() if value is not None)
        raise UserError(
            "It is not clear which event is meant. Expected EVENT-ID, or --key KEY and --at TIME. "
            f"Received: {names or 'neither'}.",
            exit_code=2,
        )
    prefix = (event_id or "").strip().lower()
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


def _by_id(log: EventLog, prefix: str) -> Found:
    found: dict[str, Found] = {}
    for event in log.scan(id_prefix=prefix):
        found[event.id] = event
        if len(prefix) >= _ID_DIGITS or len(found) > 1:
            break
    if not found:
        raise UserError(
            f"No event has this id. Received: {prefix} in {log.where}. `ember tail anomalies` and "
            "`ember tail triggers` with --json show ids; topics forget after their retention."
        )
    if len(found) > 1:
        raise UserError(
            f"Several events have an id that begins so. Received: {prefix}; "
            f"{' and '.join(sorted(found))} are two of them. Give more digits.",
            exit_code=2,
        )
    return next(iter(found.values()))


def _nearest(log: EventLog, own: list[Found], key: str, at_us: int) -> Found:
    """The event of a key nearest to a time; of several at once the trigger."""
    if not own:
        raise UserError(
            f"No event is of this key. Received: --key {key} in {log.where}. "
            "The key was never improbable, or the topics have forgotten it."
        )
    return min(own, key=lambda e: (abs(e.time_us - at_us), e.kind != "trigger", e.id))


def _distinct(events: Iterable[Found]) -> list[Found]:
    """Each event once: the service may publish one again after a crash."""
    return list({event.id: event for event in events}.values())
