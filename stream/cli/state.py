"""`ember state show | reset | rebase`: what the service remembers; forget it, mend its place."""

from __future__ import annotations

import json as json_
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from stream.engine import MetaRow, describe, offset_in
from stream.errors import UserError
from stream.records import quoted
from stream.settings import Settings
from stream.tools.rebase import At, carry_out
from stream.tools.rebase import plan as plan_rebase
from stream.tools.state import StateLog

from .lines import clean
from .named import print_named

_NUMBERS = 12
"""Of a field that are shown on a terminal."""


def open_log(topic: str | None, bootstrap_servers: str | None, config: Path | None) -> StateLog:
    """The changelogs that a command is about."""
    settings = Settings.load(config, kafka={"bootstrap_servers": bootstrap_servers})
    return StateLog(settings, [topic] if topic else [])


def say(sentence: str) -> None:
    """A message; stdout is for data."""
    print(sentence, file=sys.stderr)


def confirmed(what: str, *, yes: bool) -> None:
    """Stop here unless the user has said yes.

    Raises:
        UserError: If not.
    """
    if not yes:
        raise UserError(f"{what} Nothing was changed. Say --yes to do it.", exit_code=2)


def show(
    key: str,
    /,
    *,
    json: bool = False,
    topic: str | None = None,
    bootstrap_servers: str | None = None,
    config: Path | None = None,
) -> None:
    """Print what the service remembers of a key, as of its last checkpoint, field by field.

    Args:
        key: The stream key.
        json: Print one JSON object with all numbers.
        topic: Input topic; default all of the settings.
        bootstrap_servers: Brokers, host:port with commas between.
        config: Settings file; default ember.toml where there is one.
    """
    log = open_log(topic, bootstrap_servers, config)
    wanted = key.encode()
    found = [
        card(key, name, state.partition, row, state.meta)
        for name in log.topics
        for state in log.read(name, lambda k: k == wanted)
        for row in state.rows.values()
    ]
    if not found:
        raise UserError(
            f"Nothing is remembered of key {key!r}. Expected a key of {', '.join(log.topics)} that "
            "has sent before the last checkpoint."
        )
    for entry in found:
        if json:
            sys.stdout.write(json_.dumps(entry) + "\n")
        else:
            print_named(_lines(entry))


def card(key: str, topic: str, partition: int, row: bytes, meta: MetaRow | None) -> dict[str, Any]:
    """A row as JSON values: where it is from, and its fields by name (NaN as null).

    Args:
        key: The stream key.
        topic: Input topic.
        partition: Its partition.
        row: The row as it is in the changelog.
        meta: The partition's meta row, which says how rows lie.
    """
    described = None if meta is None else describe(meta)
    if meta is None or described is None or len(row) != described.dtype.itemsize:
        raise UserError(
            f"The row of key {key!r} cannot be read: no meta row says how its {len(row)} bytes "
            "lie. It was written by another version, or is damaged."
        )
    record = np.frombuffer(row, dtype=described.dtype)[0]
    return {
        "key": key,
        "topic": topic,
        "partition": partition,
        "offset": offset_in(row),
        "bytes": len(row),
        "model": meta.model,
        "channels": list(described.channels),
        "fields": {name: _plain(record[name]) for name in described.dtype.names or ()},
    }


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [_plain(one) for one in value]
    number = value.item()
    return None if isinstance(number, float) and not np.isfinite(number) else number


def _lines(entry: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        ("key", clean(entry["key"])),
        ("place", f"{entry['topic']}-{entry['partition']}, offset {entry['offset']:,}"),
        ("model", entry["model"]),
        *((name, _short(value)) for name, value in entry["fields"].items()),
    ]


def _short(value: Any) -> str:
    if not isinstance(value, list):
        return "-" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    numbers = np.array(value, dtype=object).ravel().tolist()
    more = f" ... {len(numbers)} in all" if len(numbers) > _NUMBERS else ""
    return " ".join(_short(one) for one in numbers[:_NUMBERS]) + more


def reset(
    keys: Sequence[str],
    /,
    *,
    yes: bool = False,
    topic: str | None = None,
    bootstrap_servers: str | None = None,
    config: Path | None = None,
) -> None:
    """Forget keys: they begin anew, and warm up, with their next record.

    All workers of the group must be stopped; they would write over it.

    Args:
        keys: The stream keys.
        yes: Do it.
        topic: Input topic; default all of the settings.
        bootstrap_servers: Brokers, host:port with commas between.
        config: Settings file; default ember.toml where there is one.
    """
    log = open_log(topic, bootstrap_servers, config)
    if yes:
        log.require_idle()  # before reading: a worker that ends writes a last checkpoint
    wanted = {key.encode() for key in keys}
    places = [
        (log.changelog(name), state.partition, key)
        for name in log.topics
        for state in log.read(name, lambda k: k in wanted)
        for key in state.rows
    ]
    unknown = wanted - {key for _, _, key in places}
    if unknown:
        names = ", ".join(sorted(map(quoted, unknown)))
        raise UserError(f"Nothing is remembered of: {names}. Nothing was changed.")
    confirmed(f"{len(places)} keys would be forgotten.", yes=yes)
    log.require_idle()
    with log.writing() as writer:
        for changelog, partition, key in places:
            writer.put(changelog, partition, key, None)
    say(f"Forgotten: {len(places)} keys.")


def rebase(
    *,
    at: At = "auto",
    partitioner: Literal["murmur2", "crc32"] | None = None,
    yes: bool = False,
    topic: str | None = None,
    bootstrap_servers: str | None = None,
    config: Path | None = None,
) -> None:
    """Accept the log as it is: keys keep their memory, offsets and counts start anew.

    For when a start is refused: the topic was made again or truncated, has more partitions, or
    the group's offsets were moved by hand. And, with --partitioner, for when records are refused
    because producers give keys other partitions than before. Without --yes it only says what it
    would do. All workers of the group must be stopped.

    Args:
        at: Where to go on. auto: a topic made again from its beginning, a truncated one from its
            end, a group moved by hand from where it was moved to.
        partitioner: What producers choose partitions by now: murmur2 (Kafka's own, librdkafka's
            murmur2_random) or crc32 (librdkafka's default). Keys go where it puts them.
        yes: Do it.
        topic: Input topic; default all of the settings.
        bootstrap_servers: Brokers, host:port with commas between.
        config: Settings file; default ember.toml where there is one.
    """
    log = open_log(topic, bootstrap_servers, config)
    if yes:
        log.require_idle()  # before reading: a worker that ends writes a last checkpoint
    plans = [plan_rebase(log, name, at, partitioner or "") for name in log.topics]
    for made in plans:
        for move in made.moves:
            if move.why:
                was = "nothing" if move.was is None else f"offset {move.was:,}"
                say(
                    f"{made.topic}-{move.partition}: {move.why}; was at {was}, goes on at "
                    f"{move.position:,}."
                )
        if made.partitioner:
            say(
                f"{made.topic}: has {made.facts.partitions} partitions now; its {made.keys:,} keys "
                f"go where {made.partitioner} puts them."
            )
        if made.left:
            say(
                f"{made.topic}: {len(made.left):,} keys have several rows; of each the one with "
                "the newest event stays."
            )
    plans = [made for made in plans if not made.fits]
    if not plans:
        say("State and log fit. There is nothing to do.")
        return
    keys = sum(made.keys for made in plans)
    confirmed(f"{keys:,} keys would keep their memory, their offsets start anew.", yes=yes)
    written = sum(carry_out(log, made) for made in plans)
    say(f"Done: {written:,} records written. The next start goes on from here.")
