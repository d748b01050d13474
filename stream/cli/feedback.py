"""`ember feedback`: the judgement of a person about an event."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Literal

from stream.control import Document
from stream.control.files import render_one, same
from stream.feedback import NAME_DIGITS, feedback_of
from stream.kafka.control_topic.publisher import Edit, Stamp, publish
from stream.tools.event_lookup import EventLog, FileLog, TopicLog
from stream.users import current_user

from .control.topic import config_of, now, read
from .control.write import confirm
from .event_choice import event_of, with_episode_of
from .options import InputTopicArgs, InputTopicOptions, since_ms
from .output import message, print_json


def feedback(
    event_id: str,
    verdict: Literal["false-alarm", "real", "normal-now"],
    /,
    *,
    note: str = "",
    author: str = "",
    events: Path | None = None,
    since: str | None = None,
    toml: bool = False,
    yes: bool = False,
    json: bool = False,
    source: InputTopicArgs = InputTopicOptions(),
) -> None:
    """Say that an event was nothing, real, or is usual now; running workers take it over.

    After false-alarm the key needs more of the same, in these channels and directions, before it
    fires again. That fades with a half-life of 30 days. `ember control remove` takes it back. With
    normal-now the key takes its present level and spread as usual at once, and its episode ends.

    Args:
        event_id: Id of the event, or its first digits, as `ember tail --json` shows it.
        verdict: false-alarm, normal-now, or real: a label for backtests and training only.
        note: Note for others.
        author: Author. Default: the user of this process.
        events: File of `ember backtest --events` to search instead of the topics.
        since: Search only events written since then: 30s, 15m, 2h, 7d, or an ISO 8601 time.
        toml: Print the document for a file, and write nothing.
        yes: Replace a verdict on the same event without a question. Needed where nobody can be
            asked.
        json: Print one JSON object: the document's key, and the digest in force.
        source: Input topic of the event.
    """
    settings = source.settings()
    log: EventLog
    if events is None:
        log = TopicLog(settings, source.topic, since_ms(since))
    else:
        log = FileLog(events)
    event = event_of(event_id, log)
    bodies = with_episode_of(event, log)
    stamp = Stamp(author or current_user(), note, now())
    document = Document(
        name=event.id[:NAME_DIGITS],
        author=stamp.author,
        time=stamp.time,
        body=feedback_of(event.id, bodies, verdict, note),
    ).checked()
    if toml:
        print(render_one(document), end="")
        return
    config = config_of(settings)
    catalogue = read(settings)
    former = catalogue.by_key().get(document.key)
    edits = [] if former and same(former, document) else [Edit(document.key, former, document)]
    if former is not None and edits:  # an event has one verdict: nobody loses theirs unawares
        confirm(edits, yes=yes, json=json)
    control = asyncio.run(publish(config, edits, stamp)) if edits else catalogue.current
    if json:
        print_json({"key": document.key, "digest": control.digest})
    elif edits:
        message(f"Written to {settings.control_topic}: {document.key} ({verdict}).")
    else:
        message(f"Nothing to change: {document.key} says so already.")
