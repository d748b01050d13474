"""`ember tail`: what the service says, as it says it."""

from __future__ import annotations

import fnmatch
import os
import re
import sys
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from confluent_kafka import Consumer, Message, TopicPartition
from cyclopts import Parameter
from rich.console import Console

from stream.errors import UserError
from stream.records import text_of
from stream.settings import Settings
from stream.tools import clients

from . import lines

_DEFAULT_LINES = 10
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}

Kind = Literal["anomalies", "triggers", "dead-letters"]


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
    topic: str | None = None,
    bootstrap_servers: str | None = None,
    config: Path | None = None,
) -> None:
    """Show anomalies, triggers or dead letters: the last ten, and then what comes.

    With --lines or --since it ends when it has shown them, unless --follow is given. On a
    terminal lines are for people, elsewhere one JSON object each.

    Args:
        kind: What to show.
        lines: Show the last N.
        since: Show what was written since then: 30s, 15m, 2h, 7d, or an ISO 8601 time.
        key: Only these stream keys; * and ? stand for any characters.
        follow: Go on showing what comes. Default without --lines and --since.
        json: JSON lines on a terminal too.
        topic: Read this topic in place of those of the settings.
        bootstrap_servers: Brokers, host:port with commas between.
        config: Settings file; default ember.toml where there is one.
    """
    started = time.time()
    settings = Settings.load(config, kafka={"bootstrap_servers": bootstrap_servers})
    if lines is not None and lines < 0:
        raise UserError(
            f"Lines cannot be shown. Expected --lines >= 0. Received: lines={lines}.", exit_code=2
        )
    since_ms = None if since is None else int(parse_since(since, started) * 1000)
    if follow is None:
        follow = lines is None and since is None
    if lines is None and since is None:
        lines = _DEFAULT_LINES
    metadata = clients.fetch_metadata(settings.kafka)
    partitions = output_topics(metadata, settings, kind, topic)
    show = _printer(kind, json=json)
    consumer = clients.open_consumer(settings.kafka)
    try:
        found = _messages(
            consumer,
            partitions,
            lines=lines,
            since_ms=since_ms,
            follow=follow,
            matches=_matcher(key),
            searchable=not clients.is_embedded(metadata),
        )
        for message in found:
            show(message)
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:
        # `| head` has seen enough; Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    finally:
        consumer.close()


def parse_since(text: str, now: float) -> float:
    """Seconds since the epoch of `2h`, or of an ISO 8601 time (without zone: local time).

    Raises:
        UserError: If it is neither.

    Examples:
        >>> parse_since("90s", 1000.0)
        910.0
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text.strip())
    if match:
        return now - float(match[1]) * _UNITS[match[2]]
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except ValueError:
        raise UserError(
            "The time is not understood. Expected --since like 30s, 15m, 2h, 7d or "
            f"2026-01-31T12:00:00Z. Received: since={text!r}.",
            exit_code=2,
        ) from None


def output_topics(
    metadata: Any, settings: Settings, kind: Kind, topic: str | None
) -> dict[str, int]:
    """Topics of a kind that are there, with the number of partitions.

    Raises:
        UserError: If none is.
    """
    counts = clients.partition_counts(metadata)
    field: Any = kind.replace("-", "_")
    wanted = [topic] if topic else [settings.output.topic(field, t) for t in settings.input.topics]
    there = {name: counts[name] for name in wanted if name in counts}
    if not there:
        names = ", ".join(repr(name) for name in wanted)
        raise UserError(
            f"There is no topic of {kind} here. Expected {names} at "
            f"{settings.kafka.bootstrap_servers}. Start the service (`ember run`), or name the "
            "input with EMBER_INPUT__TOPICS or the topic itself with --topic."
        )
    return there


def _messages(
    consumer: Consumer,
    partitions: dict[str, int],
    *,
    lines: int | None,
    since_ms: int | None,
    follow: bool,
    matches: Callable[[bytes | None], bool] | None,
    searchable: bool,
) -> Iterator[Message]:
    """What is there already, oldest first, and then, to `follow`, what comes."""
    spans = _spans(consumer, partitions)
    if lines != 0:
        ranges = dict(spans)
        if since_ms is not None:
            firsts = clients.starts_since(consumer, partitions, since_ms, searchable=searchable)
            ranges = {at: (firsts[at], end) for at, (_, end) in spans.items()}
        elif lines is not None and matches is None:
            ranges = {at: (max(low, end - lines), end) for at, (low, end) in spans.items()}
        # Partitions arrive in any mixture: the last N of all are among the last N of each.
        kept: dict[tuple[str, int], deque[Message]] = defaultdict(lambda: deque(maxlen=lines))
        for message in clients.read_range(consumer, ranges):
            recent = since_ms is None or message.timestamp()[1] >= since_ms
            if recent and (matches is None or matches(message.key())):
                kept[clients.place(message)].append(message)
        found = sorted(chain.from_iterable(kept.values()), key=clients.order)
        yield from found[-lines:] if lines else found
    if not follow:
        return
    consumer.assign([TopicPartition(*at, end) for at, (_, end) in spans.items()])
    while True:
        for message in consumer.consume(500, timeout=0.2):
            if message.error() is not None:
                clients.raise_unless_passing(message)
            elif matches is None or matches(message.key()):
                yield message


def _spans(
    consumer: Consumer, partitions: dict[str, int]
) -> dict[tuple[str, int], tuple[int, int]]:
    return {
        (topic, at): span
        for topic, number in partitions.items()
        for at, span in enumerate(clients.watermarks(consumer, topic, number))
    }


def _matcher(pattern: str | None) -> Callable[[bytes | None], bool] | None:
    if pattern is None:
        return None
    wanted = pattern

    def matches(key: bytes | None) -> bool:
        text = text_of(key or b"")
        return text == wanted or fnmatch.fnmatchcase(text, wanted)

    return matches


def _printer(kind: Kind, *, json: bool) -> Callable[[Message], None]:
    dead = kind == "dead-letters"
    record = lines.dead_letter_record if dead else lines.event_record
    line = lines.dead_letter_line if dead else lines.event_line
    console = Console(soft_wrap=True, highlight=False)

    def show_line(message: Message) -> None:
        console.print(line(record(message)))

    def show_json(message: Message) -> None:
        sys.stdout.write(msgspec.json.encode(record(message)).decode() + "\n")
        sys.stdout.flush()

    return show_line if console.is_terminal and not json else show_json
