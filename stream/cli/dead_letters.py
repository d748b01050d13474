"""`ember dead-letters list | show | replay`: refused records, and their redrive."""

from __future__ import annotations

import heapq
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console

from stream.errors import UserError
from stream.records import Reason
from stream.settings import Settings
from stream.tools import clients, reading
from stream.tools.dead_letters import DeadLetterLog, Selection
from stream.tools.partitioners import PartitionerName
from stream.tools.redrive import Sender, Target, redrive

from . import lines
from .options import OutputTopicArgs, OutputTopicOptions, require_at_least, since_ms
from .output import clean, message, print_json
from .tail import output_topics


@dataclass(frozen=True)
class SelectionOptions:
    """Dead letters that a command is about.

    Attributes:
        reason: Only records refused for this reason; may be given several times.
        since: Only records since then: 30s, 15m, 2h, 7d, or an ISO 8601 time.
    """

    reason: tuple[str, ...] = ()
    since: str | None = None

    def selection(self) -> Selection:
        """Return the selection.

        Raises:
            UserError: If there is no such reason, or the time is not understood.
        """
        for name in self.reason:
            if name not in list(Reason):
                raise UserError(
                    f"There is no such reason. Expected one of {', '.join(Reason)}. Received: "
                    f"reason={name!r}.",
                    exit_code=2,
                )
        return Selection(self.reason, since_ms(self.since) or 0)


SelectionArgs = Annotated[SelectionOptions, Parameter(name="*")]


def list_(
    *,
    since: str | None = None,
    json: bool = False,
    source: OutputTopicArgs = OutputTopicOptions(),
) -> None:
    """Count dead letters by reason, the most frequent first, and those not replayed yet.

    Args:
        since: Only records since then: 30s, 15m, 2h, 7d, or an ISO 8601 time.
        json: Print one JSON object.
        source: Dead-letter topics.
    """
    selection = SelectionOptions(since=since).selection()
    reasons: dict[str, dict[str, Any]] = {}
    with _open_log(source.settings(), source.topic) as (log, _):
        for tp, progress in log.progress.items():
            for record, letter in log.read(tp):
                if selection.is_old(letter):
                    continue
                entry = lines.dead_letter_record(record)
                row = reasons.setdefault(letter.reason, {"letters": 0, "waiting": 0})
                row["letters"] += 1
                row["waiting"] += not progress.is_handled(letter.reason, record.offset() or 0)
                time = entry["time"] or ""  # none where the record has no timestamp
                if time >= row.get("newest", ""):
                    row["newest"], row["example"] = time, entry["detail"]
    ordered = dict(sorted(reasons.items(), key=lambda item: (-item[1]["letters"], item[0])))
    if json:
        total = sum(row["letters"] for row in reasons.values())
        print_json({"letters": total, "reasons": ordered})
        return
    for reason, row in ordered.items():
        sys.stdout.write(
            f"{reason:<16} {row['letters']:>9,}  {row['waiting']:>9,} not replayed  newest "
            f"{row['newest']}  {clean(row['example'])}\n"
        )
    if not ordered:
        message("There are no dead letters.")


def show(
    *,
    selected: SelectionArgs = SelectionOptions(),
    limit: int = 10,
    json: bool = False,
    source: OutputTopicArgs = OutputTopicOptions(),
) -> None:
    """Show the newest dead letters, oldest first: record, source and reason.

    Args:
        selected: Dead letters to show.
        limit: Largest number of dead letters to show.
        json: Print one JSON object.
        source: Dead-letter topics.
    """
    selection, count = selected.selection(), 0
    require_at_least("limit", limit, 0)
    newest: list[tuple[Any, dict[str, Any]]] = []
    with _open_log(source.settings(), source.topic) as (log, _):
        for tp in log.progress:
            for record, letter in log.read(tp):
                if not selection.has_reason(letter) or selection.is_old(letter):
                    continue
                count += 1
                entry = lines.dead_letter_record(record) | {"replays": letter.replays}
                # No two records have the same coordinates, so that entries are never compared.
                heapq.heappush(newest, (reading.log_order(record), entry))
                if len(newest) > limit:
                    heapq.heappop(newest)
    entries = [entry for _, entry in sorted(newest, key=lambda pair: pair[0])]
    if json:
        print_json({"letters": count, "shown": entries})
        return
    console = Console(soft_wrap=True, highlight=False)
    for entry in entries:
        console.print(lines.dead_letter_line(entry))
    if count > len(entries):
        message(f"{count - len(entries):,} older ones are not shown; --limit {count} shows all.")


def replay(
    *,
    to: str | None = None,
    partitioner: PartitionerName | None = None,
    selected: SelectionArgs = SelectionOptions(),
    limit: int | None = None,
    max_replays: int = 3,
    from_beginning: bool = False,
    dry_run: bool = False,
    json: bool = False,
    source: OutputTopicArgs = OutputTopicOptions(),
) -> int:
    """Send dead letters to the topic they came from, unchanged.

    Key, value, headers and timestamp are those of the record; the header ember.replays counts the
    replays. Progress is committed, so that nothing is sent twice. With --since, older dead letters
    count as handled without being sent. Dead letters without the whole record are refused, and so
    are those replayed too often; then the exit code is 1.

    Args:
        to: Send them to this topic instead.
        partitioner: Choose the partition by the key, as producers do: murmur2 (Kafka's own), crc32
            (librdkafka's default) or fnv1a (Telegraf, most Go clients). Default: the one they came
            from; with --to, murmur2.
        selected: Dead letters to send.
        limit: Largest number of dead letters to send.
        max_replays: Refuse records that have been replayed this often.
        from_beginning: Include dead letters that were sent, refused or skipped before.
        dry_run: Only print the counts; send and commit nothing.
        json: Print one JSON object.
        source: Dead-letter topics.
    """
    selection = selected.selection()
    if limit is not None:
        require_at_least("limit", limit, 1)
    require_at_least("max-replays", max_replays, 1)
    settings = source.settings()
    with _open_log(settings, source.topic) as (log, counts):
        if to is not None and to not in counts:
            raise UserError(
                f"There is no topic {to!r} to send to. Expected a topic of "
                f"{settings.kafka.bootstrap_servers}. Received: to={to!r}. Create it first."
            )
        # Only input topics are targets: the headers that name one may come from anybody who can
        # write to the dead-letter topic.
        names = {*settings.input.topics, *settings.engine_topics} if to is None else {to}
        partitions = {name: counts[name] for name in names if name in counts}
        target = Target(partitions, to or "", partitioner, max_replays)
        sender = None if dry_run else Sender(settings.kafka, target)
        summary = redrive(log, sender, target, selection, limit=limit, again=from_beginning)
    message(f"{'Would send' if dry_run else 'Sent'}: {_count_text(summary.sent)}.")
    if summary.left_behind:
        message(f"Older than --since, and left behind: {summary.left_behind:,}.")
    if summary.refused:
        causes = _count_text(summary.refused)
        message(f"Refused: {causes}. `ember dead-letters show` has them.")
    if json:
        print_json(
            {
                "dry_run": dry_run,
                "sent": summary.sent.total(),
                "reasons": dict(summary.sent),
                "refused": dict(summary.refused),
                "left_behind": summary.left_behind,
            }
        )
    return 1 if summary.refused else 0


@contextmanager
def _open_log(
    settings: Settings, topic: str | None
) -> Iterator[tuple[DeadLetterLog, Mapping[str, int]]]:
    """Open the dead-letter topics; yields also the number of partitions of every topic."""
    metadata = clients.fetch_metadata(settings.kafka)
    topics = output_topics(metadata, settings, "dead-letters", topic)
    with closing(DeadLetterLog(settings.kafka, topics)) as log:
        yield log, clients.partition_counts(metadata)


def _count_text(counts: Mapping[str, int]) -> str:
    parts = ", ".join(f"{name} {n:,}" for name, n in sorted(counts.items()))
    total = sum(counts.values())
    return f"{total:,} ({parts})" if parts else "0"
