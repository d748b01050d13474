"""Page of `ember explain --html`: the event, and every channel of its key around it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from ember_core.pipeline import COVERAGE
from stream.event_times import parse_time
from stream.keys import key_of
from stream.records import TopChannel
from stream.report import EventCard, render_key
from stream.tools.event_lookup import PublishedEvent

from .key import notes_of, wall_ms, write_page
from .key_replay import KeyRequest, input_topic, replay_key
from .options import InputTopicOptions
from .why_card import Card

_LEAD_MS = 86_400_000


def write_event_page(
    html: Path,
    card: Card,
    source: InputTopicOptions,
    data: tuple[str, ...],
    model: Path | None,
    around_seconds: float,
) -> None:
    """Replay the key of an event around its episode, and write the page.

    Args:
        html: File of the page.
        card: The event, with those of its episode.
        source: Input topic of the event.
        data: Files, topics and dumps that hold its records; empty: the input topic.
        model: Folder of the bundle; None: that of the settings.
        around_seconds: Time before and after the episode on the page.

    Raises:
        UserError: If there is no model, or the records are not there any more.
    """
    settings, key = source.settings(), key_of(card.event.key)
    begin_us, end_us = _span(card)
    around_ms = round(1000 * around_seconds)
    # The label of a re-keyed stream is its name, and no topic that somebody writes to.
    label = None if settings.input.rekey else _topic(card.event)
    topic = "" if data else input_topic(settings, source.topic or label)
    request = KeyRequest(
        key,
        data or (f"kafka:{topic}",),
        begin_us // 1000 - around_ms,
        -(-end_us // 1000) + around_ms,
        _LEAD_MS,
        read_all=True,
    )
    replay = replay_key(request, settings, model=model, now_ms=wall_ms)
    page = render_key(
        replay.result,
        replay.model,
        replay.rows,
        begin_us=replay.begin_us,
        end_us=replay.end_us,
        coverage=COVERAGE,
        notes=notes_of(replay, key),
        event=event_card(card),
        command="ember explain --html",
    )
    write_page(html, page, replay)


def event_card(card: Card) -> EventCard:
    """Return the event as the page explains it.

    Args:
        card: The event, with those of its episode.
    """
    event, body = card.event, card.event.body
    status = str(body.get("status", "?"))
    moment = str((body.get("window") or {}).get("start") or body.get("startsAt"))
    summary = str((body.get("annotations") or {}).get("summary", ""))
    channels = msgspec.convert(body.get("top_channels") or [], list[TopChannel])
    return EventCard(
        id=event.id,
        title=f"{event.kind.capitalize()} {status}, {moment}",
        sentences=(summary, card.rarity_text),
        channels=channels,
        time_us=event.time_us,
    )


def _span(card: Card) -> tuple[int, int]:
    """Return begin and end of the episode, in event time."""
    times = [event.time_us for event in (card.event, *card.related)]
    begins = [parse_time(event.body.get("startsAt")) for event in (card.event, *card.related)]
    return min([*times, *(begin for begin in begins if begin > 0)]), max(times)


def _topic(event: PublishedEvent) -> str | None:
    """Return the input topic that the labels of an event name."""
    topic = (event.body.get("labels") or {}).get("topic")
    return str(topic) if topic else None
