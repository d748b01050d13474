"""`ember tail`: follow the output topics of the service."""

from __future__ import annotations

import fnmatch
import os
import sys
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, Any, Literal

from confluent_kafka import Consumer, Message, TopicPartition
from confluent_kafka.admin._metadata import ClusterMetadata
from cyclopts import Parameter
from rich.console import Console

from stream.errors import UserError
from stream.keys import key_of, key_text
from stream.scores import require_arrow
from stream.settings import Settings
from stream.tools import clients, reading
from stream.types import TP

from . import lines
from .options import OutputTopicArgs, OutputTopicOptions, require_at_least, since_ms
from .output import print_json
from .score_lines import newest_records, score_line, score_records

_DEFAULT_LINES = 10

Kind = Literal["anomalies", "triggers", "incidents", "dead-letters", "scores"]
Matcher = Callable[[bytes | None], bool]
Record = dict[str, Any]
Records = Callable[[Message], Iterable[Record]]


@dataclass(frozen=True)
class _Window:
    """Part of the topics to show.

    Attributes:
        lines: Number of newest lines; None for all.
        since_ms: Oldest Kafka timestamp, milliseconds since the epoch; None for any.
        matches: Predicate of the messages that have a line to show; None for all.
    """

    lines: int | None
    since_ms: int | None
    matches: Callable[[Message], bool] | None


def tail(
    kind: Kind,
    /,
    *,
    lines: Annotated[int | None, Parameter(name=["--lines", "-n"])] = None,
    since: str | None = None,
    key: str | None = None,
    follow: Annotated[
        bool | None, Parameter(name=["--follow", "-f"], negative="--no-follow")
    ] = None,
    json: bool = False,
    source: OutputTopicArgs = OutputTopicOptions(),
) -> None:
    """Show anomalies, triggers, incidents, dead letters or scores: the last ten, then new ones.

    With --lines or --since the command ends when it has shown them, unless --follow is given. On a
    terminal lines are for people, elsewhere one JSON object each. A message of scores has the rows
    of a step: all of them as JSON, and for people the newest of each key.

    Args:
        kind: Output to show.
        lines: Show the last N; of scores the last N rows.
        since: Show those written since then: 30s, 15m, 2h, 7d, or an ISO 8601 time.
        key: Only these stream keys; * and ? stand for any characters.
        follow: Wait for new ones. Default without --lines and --since.
        json: Print JSON lines on a terminal too.
        source: Topics to read.
    """
    settings = source.settings()
    if lines is not None:
        require_at_least("lines", lines, 0)
    is_bounded = lines is not None or since is not None
    if kind == "scores":
        require_arrow()
    metadata = clients.fetch_metadata(settings.kafka)
    partitions = output_topics(metadata, settings, kind, source.topic)
    console = Console(soft_wrap=True, highlight=False)
    for_people = console.is_terminal and not json
    show = _printer(kind, console if for_people else None)
    matcher = _matcher(key)
    records = _records(kind, matcher, newest=for_people)
    window = _Window(
        lines if is_bounded else _DEFAULT_LINES,
        since_ms(since),
        None if matcher is None else lambda message: any(True for _ in records(message)),
    )
    consumer = clients.open_consumer(settings.kafka)
    searchable = not clients.is_embedded(metadata)
    try:
        offsets = reading.offset_ranges(consumer, partitions)
        present = _present(consumer, partitions, offsets, window, searchable=searchable)
        present_records = chain.from_iterable(map(records, present))
        show(present_records if window.lines is None else deque(present_records, window.lines))
        if not is_bounded if follow is None else follow:
            for message in _new(consumer, offsets):
                show(records(message))
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:
        # `| head` has closed the pipe; Python would report it again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    finally:
        consumer.close()


def output_topics(
    metadata: ClusterMetadata, settings: Settings, kind: Kind, topic: str | None
) -> dict[str, int]:
    """Return the existing output topics of a kind, with their numbers of partitions.

    Args:
        metadata: Topics of the cluster.
        settings: Sections `input` and `output`.
        kind: Kind of output.
        topic: Topic to use instead of those of the settings.

    Raises:
        UserError: If there is none.
    """
    counts = clients.partition_counts(metadata)
    field: Any = kind.replace("-", "_")
    if kind == "scores" and not settings.output.scored_keys and topic is None:
        raise UserError(
            "No scores are written here. Expected output.scores to be `all`, or patterns of keys. "
            "Received: output.scores='off'. Set it for the workers and for this command, or name "
            "the topic with --topic."
        )
    names = [topic] if topic else settings.output_topics(field)
    existing = {name: counts[name] for name in names if name in counts}
    if not existing:
        expected = ", ".join(repr(name) for name in names)
        raise UserError(
            f"There is no topic of {kind} here. Expected {expected} at "
            f"{settings.kafka.bootstrap_servers}. Start the service (`ember run`), or name the "
            "input with EMBER_INPUT__TOPICS or the topic itself with --topic."
        )
    return existing


def _present(
    consumer: Consumer,
    partitions: dict[str, int],
    offsets: dict[TP, tuple[int, int]],
    window: _Window,
    *,
    searchable: bool,
) -> list[Message]:
    """Return existing messages, oldest first, that hold the lines to show, and perhaps more."""
    lines, oldest_ms, matches = window.lines, window.since_ms, window.matches
    if lines == 0:
        return []
    ranges = dict(offsets)
    if oldest_ms is not None:
        starts = reading.starts_since(consumer, partitions, oldest_ms, searchable=searchable)
        ranges = {tp: (starts[tp], end) for tp, (_, end) in offsets.items()}
    elif lines is not None and matches is None:
        # A message has one line at least.
        ranges = {tp: (max(low, end - lines), end) for tp, (low, end) in offsets.items()}
    # Partitions arrive in any mixture: the last N of all are among the last N of each.
    newest: dict[TP, deque[Message]] = defaultdict(lambda: deque(maxlen=lines))
    for message in reading.read_range(consumer, ranges):
        is_recent = oldest_ms is None or message.timestamp()[1] >= oldest_ms
        if is_recent and (matches is None or matches(message)):
            newest[reading.partition_of(message)].append(message)
    messages = sorted(chain.from_iterable(newest.values()), key=reading.log_order)
    return messages[-lines:] if lines else messages


def _new(consumer: Consumer, offsets: dict[TP, tuple[int, int]]) -> Iterator[Message]:
    """Yield messages as they come, without an end."""
    consumer.assign([TopicPartition(*tp, end) for tp, (_, end) in offsets.items()])
    while True:
        for message in consumer.consume(500, timeout=0.2):
            if message.error() is not None:
                reading.raise_if_fatal(message)
            else:
                yield message


def _matcher(pattern: str | None) -> Matcher | None:
    if pattern is None:
        return None
    name = key_text(key_of(pattern))

    def matches(key: bytes | None) -> bool:
        text = key_text(key or b"")
        # A key may contain `[` or `*` itself: its own name always matches.
        return text == name or fnmatch.fnmatchcase(text, name)

    return matches


def _printer(kind: Kind, console: Console | None) -> Callable[[Iterable[Record]], None]:
    """Return the function that shows records: on a console for people, else as JSON lines."""
    line = {
        "dead-letters": lines.dead_letter_line,
        "incidents": lines.incident_line,
        "scores": score_line,
    }.get(kind, lines.event_line)

    def show_lines(records: Iterable[Record]) -> None:
        assert console is not None
        for record in records:
            console.print(line(record))

    def show_json(records: Iterable[Record]) -> None:
        for record in records:
            print_json(record)
        sys.stdout.flush()

    return show_json if console is None else show_lines


def _records(kind: Kind, matches: Matcher | None, *, newest: bool) -> Records:
    """Return the function that makes records of a message; one of scores has many keys."""
    if kind != "scores":
        record = lines.dead_letter_record if kind == "dead-letters" else lines.event_record
        return lambda message: (
            [record(message)] if matches is None or matches(message.key()) else []
        )
    rows = newest_records if newest else score_records
    if matches is None:
        return rows
    return lambda message: (r for r in rows(message) if matches(key_of(r["key"])))
