"""`ember state show | reset | rebase`: the state of keys, and its place in the log."""

from __future__ import annotations

import json as json_
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from stream.engine import MetaRow, describe, layout_of, offset_in
from stream.engine.state.layout import NEVER
from stream.errors import UserError
from stream.keys import key_of, key_text, quoted
from stream.records import rfc3339
from stream.tools.open_alerts import resolve
from stream.tools.placement import Placement
from stream.tools.rebase import StartAt, TopicPlan, carry_out
from stream.tools.rebase import plan as plan_rebase
from stream.tools.state import StateLog

from .key_standing import standing
from .options import InputTopicArgs, InputTopicOptions
from .output import clean, message, print_fields

_SHOWN_NUMBERS = 12
"""Numbers of a field shown on a terminal."""


def open_log(source: InputTopicOptions) -> StateLog:
    """Open the changelogs that a command is about."""
    return StateLog(source.settings(), [source.topic] if source.topic else [])


def require_yes(change: str, *, yes: bool) -> None:
    """Stop before a change that the user has not confirmed.

    Args:
        change: Sentence about the change.
        yes: True if the user has confirmed it.

    Raises:
        UserError: If the user has not.
    """
    if not yes:
        raise UserError(f"{change} Nothing was changed. Say --yes to do it.", exit_code=2)


def show(
    key: str,
    /,
    *,
    json: bool = False,
    source: InputTopicArgs = InputTopicOptions(),
) -> None:
    r"""Print the state of a key, as of the last checkpoint, field by field.

    Args:
        key: Stream key; a byte that cannot be shown is written \xNN.
        json: Print one JSON object with all numbers.
        source: Input topic.
    """
    log = open_log(source)
    wanted = key_of(key)
    # Several cards: a key may have state of several topics.
    cards = [
        card(wanted, name, state.partition, row, state.meta)
        for name in log.topics
        for state in log.read(name, lambda k: k == wanted)
        for row in state.rows.values()
    ]
    if not cards:
        raise UserError(
            f"Nothing is remembered of key {quoted(wanted)}. Expected a key of "
            f"{', '.join(log.topics)} that has sent before the last checkpoint."
        )
    for entry in cards:
        if json:
            sys.stdout.write(json_.dumps(entry) + "\n")
        else:
            print_fields(_lines(entry))


def card(
    key: bytes, topic: str, partition: int, row: bytes, meta: MetaRow | None
) -> dict[str, Any]:
    """Return a row as JSON values: its source, and its fields by name (NaN as null).

    Args:
        key: Stream key.
        topic: Input topic.
        partition: Partition of the input topic.
        row: Row as stored in the changelog.
        meta: Meta row of the partition, which describes the layout of rows.

    Raises:
        UserError: If no layout fits the row.
    """
    rows = None if meta is None else layout_of(meta, row)
    layout = None if rows is None else describe(rows)
    if meta is None or rows is None or layout is None or len(row) != layout.dtype.itemsize:
        raise UserError(
            f"The row of key {quoted(key)} cannot be read: no meta row says how its {len(row)} "
            "bytes lie. It was written by another version, or is damaged."
        )
    record, names = np.frombuffer(row, dtype=layout.dtype)[0], layout.dtype.names or ()
    fields = {name: _plain(record[name]) for name in names}
    thresholds = meta.epochs[-1].version.thresholds_of(rows.model) if meta.epochs else {}
    return {
        "key": key_text(key),
        "topic": topic,
        "partition": partition,
        "offset": offset_in(row),
        "last_record": time_text(int(record["last_time"])) if "last_time" in names else None,
        "partition_clock": time_text(meta.clock_us),
        "bytes": len(row),
        "model": rows.model,
        "channels": list(layout.channels),
        "standing": standing(fields, layout.channels, thresholds),
        "fields": fields,
    }


def time_text(time_us: int) -> str | None:
    """Return an event time as text; None where there is none yet."""
    return None if time_us <= NEVER else rfc3339(time_us)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [_plain(element) for element in value]
    number = value.item()
    return None if isinstance(number, float) and not np.isfinite(number) else number


def _lines(entry: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        ("key", entry["key"]),
        ("place", f"{entry['topic']}-{entry['partition']}, offset {entry['offset']:,}"),
        ("last record", entry["last_record"] or "-"),
        ("partition's clock", entry["partition_clock"] or "-"),
        ("model", entry["model"]),
        ("standing", clean(" ".join(entry["standing"]))),
        *((name, _short(value)) for name, value in entry["fields"].items()),
    ]


def _short(value: Any) -> str:
    if not isinstance(value, list):
        return "-" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    numbers = np.array(value, dtype=object).ravel().tolist()
    total = f" ... {len(numbers)} in all" if len(numbers) > _SHOWN_NUMBERS else ""
    return " ".join(_short(number) for number in numbers[:_SHOWN_NUMBERS]) + total


def reset(
    keys: Sequence[str],
    /,
    *,
    yes: bool = False,
    source: InputTopicArgs = InputTopicOptions(),
) -> None:
    """Delete the state of keys: they warm up anew from their next record.

    Their open alerts are resolved, with the reason `reset`. Stop all workers of the group first;
    they would overwrite the change.

    Args:
        keys: Stream keys.
        yes: Delete; without it the command only prints the number of keys.
        source: Input topic.
    """
    log = open_log(source)
    if yes:
        log.require_idle()  # before reading: a worker that stops writes a last checkpoint
    encoded_keys = {key_of(key) for key in keys}
    stored_keys = [
        (log.changelog(name), state.partition, key)
        for name in log.topics
        for state in log.read(name, lambda k: k in encoded_keys)
        for key in state.rows
    ]
    unknown = encoded_keys - {key for _, _, key in stored_keys}
    if unknown:
        names = ", ".join(sorted(map(quoted, unknown)))
        raise UserError(f"Nothing is remembered of: {names}. Nothing was changed.")
    alerts = [
        alert for name in log.topics for alert in log.open_alerts(name) if alert.key in encoded_keys
    ]
    resolved = f"{len(alerts)} open alerts"
    require_yes(f"{len(stored_keys)} keys would be forgotten, {resolved} resolved.", yes=yes)
    log.require_idle()
    with log.writing() as writer:
        # Before the rows: where this is no transaction, an attempt that fails here is repeated.
        resolve(alerts, "reset", writer.put)
        for changelog, partition, key in stored_keys:
            writer.put(changelog, partition, key, None)
    message(f"Forgotten: {len(stored_keys)} keys. Resolved: {resolved}.")


def rebase(
    *,
    at: StartAt = "auto",
    partitioner: Placement | None = None,
    yes: bool = False,
    source: InputTopicArgs = InputTopicOptions(),
) -> None:
    """Accept the input topic as it is now: keys keep their state, offsets and counts start anew.

    Use it when a start is refused: the topic was recreated or truncated, has more partitions, or
    the group's offsets were moved by hand. With --partitioner, use it when records are refused
    because producers send keys to other partitions than before. Without --yes the command only
    prints its plan. Stop all workers of the group first.

    Args:
        at: Position to continue at. auto: a recreated topic from its beginning, a truncated one
            from its end, a group moved by hand from its new offset.
        partitioner: Placement of the keys now: murmur2 (Kafka's own), crc32 (librdkafka's default),
            fnv1a (Telegraf and most Go clients), or librdkafka's names for them. newest: wherever
            the newest record of each key is, by reading the topic from its end.
        yes: Carry out the plan.
        source: Input topic.
    """
    log = open_log(source)
    if yes:
        log.require_idle()  # before reading: a worker that stops writes a last checkpoint
    plans = [plan_rebase(log, name, at, partitioner) for name in log.topics]
    for plan in plans:
        _print_plan(plan)
    plans = [plan for plan in plans if not plan.fits]
    if not plans:
        message("State and log fit. There is nothing to do.")
        return
    keys = sum(plan.keys for plan in plans)
    require_yes(f"{keys:,} keys would keep their memory, their offsets start anew.", yes=yes)
    written = sum(carry_out(log, plan) for plan in plans)
    message(f"Done: {written:,} records written. The next start goes on from here.")


def _print_plan(plan: TopicPlan) -> None:
    for part in plan.partitions:
        if part.mismatch:
            old = "nothing" if part.old_position is None else f"offset {part.old_position:,}"
            message(
                f"{plan.topic}-{part.partition}: {part.mismatch}; was at {old}, goes on at "
                f"{part.position:,}."
            )
    if plan.placement:
        places = f"{plan.placement} puts them"
        if plan.placement == "newest":
            places = "their newest records are; those without a record stay"
        message(
            f"{plan.topic}: has {plan.status.partitions} partitions now; its {plan.keys:,} keys "
            f"go where {places}."
        )
    if plan.alerts:
        message(
            f"{plan.topic}: {len(plan.alerts):,} open alerts are resolved: no key holds them open."
        )
    if plan.outdated:
        message(
            f"{plan.topic}: {len(plan.outdated):,} keys have several rows; of each the one with "
            "the newest event stays."
        )
