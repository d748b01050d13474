"""`ember dead-letters list | show | replay`: what was refused, and its way back."""

from __future__ import annotations

import heapq
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec
from rich.console import Console

from stream.errors import UserError
from stream.records import Reason
from stream.settings import Settings
from stream.tools import clients
from stream.tools.dead_letters import Choice, DeadLetterLog
from stream.tools.redrive import Sender, Target
from stream.tools.redrive import replay as send_once_more

from . import lines
from .tail import output_topics, parse_since


def list_(
    *,
    since: str | None = None,
    json: bool = False,
    topic: str | None = None,
    bootstrap_servers: str | None = None,
    config: Path | None = None,
) -> None:
    """Count dead letters by reason, the most frequent first, and say how many wait for a replay.

    Args:
        since: Only of records since then: 30s, 15m, 2h, 7d, or an ISO 8601 time.
        json: Print one JSON object.
        topic: Read this topic in place of those of the settings.
        bootstrap_servers: Brokers, host:port with commas between.
        config: Settings file; default ember.toml where there is one.
    """
    choice = _choice(None, since)
    found: dict[str, dict[str, Any]] = {}
    settings = Settings.load(config, kafka={"bootstrap_servers": bootstrap_servers})
    with _opened(settings, topic) as (log, _):
        for at, done in log.progress.items():
            for message, letter in log.read(at):
                if letter.timestamp_ms < choice.since_ms:
                    continue
                record = lines.dead_letter_record(message)
                seen = found.setdefault(letter.reason, {"letters": 0, "waiting": 0})
                seen["letters"] += 1
                seen["waiting"] += not done.done(letter.reason, message.offset() or 0)
                if record["time"] >= seen.get("newest", ""):
                    seen["newest"], seen["example"] = record["time"], record["detail"]
    ordered = dict(sorted(found.items(), key=lambda item: (-item[1]["letters"], item[0])))
    if json:
        _print_json(
            {"letters": sum(each["letters"] for each in found.values()), "reasons": ordered}
        )
        return
    for reason, seen in ordered.items():
        sys.stdout.write(
            f"{reason:<16} {seen['letters']:>9,}  {seen['waiting']:>9,} not replayed  newest "
            f"{seen['newest']}  {lines.clean(seen['example'])}\n"
        )
    if not ordered:
        _say("There are no dead letters.")


def show(
    *,
    reason: list[str] | None = None,
    since: str | None = None,
    limit: int = 10,
    json: bool = False,
    topic: str | None = None,
    bootstrap_servers: str | None = None,
    config: Path | None = None,
) -> None:
    """Show the newest dead letters, oldest first: what was refused, from where, and why.

    Args:
        reason: Only refused for this reason; may be given several times.
        since: Only of records since then: 30s, 15m, 2h, 7d, or an ISO 8601 time.
        limit: Show at most so many.
        json: Print one JSON object.
        topic: Read this topic in place of those of the settings.
        bootstrap_servers: Brokers, host:port with commas between.
        config: Settings file; default ember.toml where there is one.
    """
    choice, count, limit = _choice(reason, since), 0, _at_least(0, "limit", limit)
    newest: list[tuple[Any, dict[str, Any]]] = []
    settings = Settings.load(config, kafka={"bootstrap_servers": bootstrap_servers})
    with _opened(settings, topic) as (log, _):
        for at in log.progress:
            for message, letter in log.read(at):
                if not choice.of_reason(letter) or letter.timestamp_ms < choice.since_ms:
                    continue
                count += 1
                entry = lines.dead_letter_record(message) | {"replays": letter.replays}
                # coordinates differ, so that records are never compared
                heapq.heappush(newest, (clients.order(message), entry))
                if len(newest) > limit:
                    heapq.heappop(newest)
    records = [entry for _, entry in sorted(newest, key=lambda pair: pair[0])]
    if json:
        _print_json({"letters": count, "shown": records})
        return
    console = Console(soft_wrap=True, highlight=False)
    for record in records:
        console.print(lines.dead_letter_line(record))
    if count > len(records):
        _say(f"{count - len(records):,} older ones are not shown; --limit {count} shows all.")


def replay(
    *,
    to: str | None = None,
    partitioner: Literal["murmur2", "crc32"] | None = None,
    reason: list[str] | None = None,
    since: str | None = None,
    limit: int | None = None,
    max_replays: int = 3,
    from_beginning: bool = False,
    dry_run: bool = False,
    json: bool = False,
    topic: str | None = None,
    bootstrap_servers: str | None = None,
    config: Path | None = None,
) -> int:
    """Send dead letters to the topic they came from once more, as they were.

    Key, value, headers and timestamp are the record's own; the header ember.replays counts. What
    has been sent is remembered, and not sent again. Letters without the whole record are refused,
    and so are those that came back too often; then the exit code is 1.

    Args:
        to: Send them to this topic.
        partitioner: Choose the partition by the key, as producers do: murmur2 (Kafka's own) or
            crc32 (librdkafka's default). Default: the one they came from; with --to, murmur2.
        reason: Only refused for this reason; may be given several times.
        since: Only of records since then (30s, 15m, 2h, 7d, or an ISO 8601 time); older ones are
            left behind for good.
        limit: Send at most so many.
        max_replays: Refuse letters that have been sent so often.
        from_beginning: Those too that have been sent, refused or left behind before.
        dry_run: Only say what would be sent.
        json: Print one JSON object.
        topic: Read this topic in place of those of the settings.
        bootstrap_servers: Brokers, host:port with commas between.
        config: Settings file; default ember.toml where there is one.
    """
    choice = _choice(reason, since)
    if limit is not None:
        _at_least(1, "limit", limit)
    _at_least(1, "max-replays", max_replays)
    settings = Settings.load(config, kafka={"bootstrap_servers": bootstrap_servers})
    with _opened(settings, topic) as (log, counts):
        if to is not None and to not in counts:
            raise UserError(
                f"There is no topic {to!r} to send to. Expected a topic of "
                f"{settings.kafka.bootstrap_servers}. Received: to={to!r}. Create it first."
            )
        # only inputs: whoever writes into the dead letters shall not choose the topic
        names = settings.input.topics if to is None else [to]
        goals = {name: counts[name] for name in names if name in counts}
        target = Target(goals, to or "", partitioner or "", max_replays)
        sender = None if dry_run else Sender(settings.kafka, target)
        done = send_once_more(log, sender, target, choice, limit=limit, again=from_beginning)
    _say(f"{'Would send' if dry_run else 'Sent'}: {_counted(done.sent)}.")
    if done.left_behind:
        _say(f"Older than --since, and left behind: {done.left_behind:,}.")
    if done.refused:
        _say(f"Refused: {_counted(done.refused)}. `ember dead-letters show` has them.")
    if json:
        _print_json(
            {
                "dry_run": dry_run,
                "sent": done.sent.total(),
                "reasons": dict(done.sent),
                "refused": dict(done.refused),
                "left_behind": done.left_behind,
            }
        )
    return 1 if done.refused else 0


@contextmanager
def _opened(
    settings: Settings, topic: str | None
) -> Iterator[tuple[DeadLetterLog, Mapping[str, int]]]:
    """The letters, and how many partitions every topic has."""
    metadata = clients.fetch_metadata(settings.kafka)
    topics = output_topics(metadata, settings, "dead-letters", topic)
    with closing(DeadLetterLog(settings.kafka, topics)) as log:
        yield log, clients.partition_counts(metadata)


def _choice(reasons: list[str] | None, since: str | None) -> Choice:
    for name in reasons or ():
        if name not in list(Reason):
            raise UserError(
                f"There is no such reason. Expected one of {', '.join(Reason)}. Received: "
                f"reason={name!r}.",
                exit_code=2,
            )
    since_ms = 0 if since is None else int(parse_since(since, time.time()) * 1000)
    return Choice(tuple(reasons or ()), since_ms)


def _at_least(least: int, name: str, value: int) -> int:
    if value < least:
        raise UserError(
            f"That is too few. Expected --{name} >= {least}. Received: {name}={value}.",
            exit_code=2,
        )
    return value


def _counted(counts: Mapping[str, int]) -> str:
    each = ", ".join(f"{name} {n:,}" for name, n in sorted(counts.items()))
    total = sum(counts.values())
    return f"{total:,} ({each})" if each else "0"


def _print_json(found: dict[str, Any]) -> None:
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n")


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)
