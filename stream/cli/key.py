"""`ember key`: standing of one key, or a page of its channels with bands, score and reasons."""

from __future__ import annotations

import time
from pathlib import Path

from ember_core.pipeline import COVERAGE
from stream.control import documents_for_key
from stream.counts import plural
from stream.errors import UserError
from stream.keys import key_of, key_text
from stream.report import render_key

from .data_options import DataArgs, DataOptions
from .destinations import require_file
from .key_replay import KeyReplay, KeyRequest, input_topic, replay_key
from .key_summary import summary_lines, summary_of
from .options import InputTopicArgs, InputTopicOptions, parse_seconds, since_ms
from .output import message, print_fields, print_json

_LISTED = 20


def key(
    key: str,
    data: tuple[str, ...] = (),
    /,
    *,
    html: Path | None = None,
    since: str | None = None,
    until: str | None = None,
    lead: str = "1d",
    model: Path | None = None,
    options: DataArgs = DataOptions(),
    json: bool = False,
    source: InputTopicArgs = InputTopicOptions(),
) -> None:
    r"""Show how a key stands, or write a page with every channel, its band, score and reasons.

    The page is made by replaying the records of the key through the engine of the service; it needs
    no script and loads nothing. Events on it have the ids that the service gives them.

    Args:
        key: Stream key; a byte that cannot be shown is written \xNN.
        data: Records of the key for the page: files, kafka:TOPIC or kcat:FILE. Default: the input
            topic.
        html: File to write the page to, .html.
        since: Begin of the time on the page: 30m, 6h, 7d, or an ISO 8601 time. Default: a day
            before the newest row of the key; all of a file.
        until: End of the time on the page. Default: the newest row.
        lead: Time before that which is replayed and not shown, so that averages settle.
        model: Folder of the bundle. Default: that of the settings.
        options: Columns of the files.
        json: Print the standing as one JSON object.
        source: Input topic of the key.
    """
    stream_key = key_of(key)
    if html is None:
        received = [
            *data,
            *(f"--since {since}",) * bool(since),
            *(f"--until {until}",) * bool(until),
        ]
        if received:
            raise UserError(
                "Records are replayed for a page only. Expected --html FILE with data, --since or "
                f"--until. Received: {' '.join(received)} without it.",
                exit_code=2,
            )
        summary = summary_of(stream_key, source, model)
        if json:
            print_json(summary)
        else:
            print_fields(summary_lines(summary))
        return
    require_page(html)
    settings = source.settings()
    topic = "" if data else input_topic(settings, source.topic)
    request = KeyRequest(
        stream_key,
        tuple(data) or (f"kafka:{topic}",),
        since_ms(since),
        since_ms(until, "until"),
        round(1000 * parse_seconds("lead", lead)),
    )
    replay = replay_key(request, settings, model=model, options=options, now_ms=wall_ms)
    page = render_key(
        replay.result,
        replay.model,
        replay.rows,
        begin_us=replay.begin_us,
        end_us=replay.end_us,
        coverage=COVERAGE,
        notes=notes_of(replay, stream_key),
    )
    write_page(html, page, replay)


def require_page(html: Path) -> None:
    """Refuse a name of a page that does not end in .html, or cannot be written.

    Args:
        html: The file.

    Raises:
        UserError: If it is no such name.
    """
    require_file("--html", html)
    if html.suffix not in (".html", ".htm"):
        raise UserError(
            f"The page is HTML. Expected a name ending in .html. Received: --html {html}.",
            exit_code=2,
        )


def notes_of(replay: KeyReplay, key: bytes) -> list[tuple[str, str]]:
    """Return the facts about the source and the documents that the page names.

    Args:
        replay: Replay of the key.
        key: The key.
    """
    event_ids = {event.id for event in replay.result.events}
    documents = documents_for_key(replay.control, replay.topic, key_text(key), event_ids)
    descriptions = [
        f"{document.key} of {document.author}" + (f": {document.reason}" if document.reason else "")
        for document in documents
    ]
    suffix = f", and {len(descriptions) - _LISTED:,} more" if len(descriptions) > _LISTED else ""
    return [
        ("Records", replay.source),
        (
            "Documents about it",
            "; ".join(descriptions[:_LISTED]) + suffix if descriptions else "none",
        ),
    ]


def write_page(html: Path, page: str, replay: KeyReplay) -> None:
    """Write a page, and name its contents.

    Args:
        html: The file.
        page: The page.
        replay: Replay that it shows.
    """
    html.write_bytes(page.encode("utf-8", "backslashreplace"))
    fired = int((replay.rows.trigger > 0).sum())
    message(
        f"{plural(len(replay.rows), 'row')} of {plural(len(replay.rows.channels), 'channel')}, "
        f"fired {plural(fired, 'time')}: {html}"
    )


def wall_ms() -> int:
    """Return the wall clock, milliseconds since the epoch."""
    return round(time.time() * 1000)
