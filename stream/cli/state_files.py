"""`ember state export | import`: the state of a group as a file of JSON lines."""

from __future__ import annotations

import base64
import json as json_
from pathlib import Path
from typing import Any

from stream.engine import MetaRow
from stream.errors import UserError

from .state import confirmed, open_log, say


def export(
    file: Path,
    /,
    *,
    topic: str | None = None,
    bootstrap_servers: str | None = None,
    config: Path | None = None,
) -> None:
    """Write all state to a file of JSON lines, as of the last checkpoint.

    Args:
        file: Where to; must not be there yet.
        topic: Input topic; default all of the settings.
        bootstrap_servers: Brokers, host:port with commas between.
        config: Settings file; default ember.toml where there is one.
    """
    if file.exists():
        raise UserError(f"The file is there already. Received: {file}. Choose another name.")
    log = open_log(topic, bootstrap_servers, config)
    keys = 0
    part = file.with_name(file.name + ".part")
    with part.open("w", encoding="utf-8") as out:
        for name in log.topics:
            for state in log.read(name):
                place = {"topic": name, "partition": state.partition}
                if state.meta is not None:
                    text = state.meta.encode().decode()
                    out.write(json_.dumps({**place, "meta": json_.loads(text)}) + "\n")
                for key, row in state.rows.items():
                    line = {**place, "key": _encoded(key), "row": _encoded(row)}
                    out.write(json_.dumps(line) + "\n")
                keys += len(state.rows)
    part.rename(file)
    say(f"Written: {keys:,} keys to {file}.")


def import_(
    file: Path,
    /,
    *,
    yes: bool = False,
    bootstrap_servers: str | None = None,
    config: Path | None = None,
) -> None:
    """Take state from a file that `ember state export` wrote into a group that has none.

    The rows keep their place in the log. Where the input topic is another one than theirs, run
    `ember state rebase` afterwards. All workers of the group must be stopped.

    Args:
        file: The file.
        yes: Do it.
        bootstrap_servers: Brokers, host:port with commas between.
        config: Settings file; default ember.toml where there is one.
    """
    lines = _read(file)
    log = open_log(None, bootstrap_servers, config)
    if yes:
        log.require_idle()  # before reading: a worker that ends writes a last checkpoint
    for name in sorted({line["topic"] for line in lines}):
        if name not in log.topics:
            raise UserError(
                f"The file has state of topic {name!r}. Expected one of {', '.join(log.topics)}. "
                "Set input.topics to it."
            )
        states = log.read(name)
        held = sum(len(state.rows) for state in states)
        if held or any(state.meta is not None for state in states):
            raise UserError(
                f"The group has state of {name!r} already ({held:,} keys). Expected none. Use "
                "another kafka.group."
            )
        most = max(line["partition"] for line in lines if line["topic"] == name)
        if most >= len(states):
            raise UserError(
                f"The file has state of partition {most} of {name!r}. Expected at most "
                f"{len(states) - 1}: its changelog has {len(states)} partitions."
            )
    rows = [line for line in lines if "row" in line]
    confirmed(f"{len(rows):,} keys would be taken from {file}.", yes=yes)
    log.require_idle()
    with log.writing() as writer:
        for line in rows:
            changelog, place = log.changelog(line["topic"]), line["partition"]
            writer.put(changelog, place, _decoded(line["key"]), _decoded(line["row"]))
        for line in lines:
            if "meta" in line:
                writer.put_meta(log.changelog(line["topic"]), line["partition"], line["meta"])
    say(f"Taken: {len(rows):,} keys.")


def _read(file: Path) -> list[dict[str, Any]]:
    lines = []
    number = 0
    try:
        with file.open(encoding="utf-8") as text:
            for number, line in enumerate(text, start=1):  # noqa: B007  # named in the error
                entry = json_.loads(line)
                if "meta" in entry:
                    entry["meta"] = MetaRow.decode(json_.dumps(entry["meta"]).encode())
                elif not isinstance(_decoded(entry["row"]), bytes) or "key" not in entry:
                    raise KeyError("key")
                int(entry["partition"]), str(entry["topic"])
                lines.append(entry)
    except FileNotFoundError:
        raise UserError(f"There is no such file. Received: {file}.") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"The file is none of `ember state export`. Received: {file}, line {number}: {error!r}."
        ) from None
    return lines


def _encoded(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _decoded(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
