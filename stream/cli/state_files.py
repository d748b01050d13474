"""`ember state export | import`: state of a group in a file of JSON lines."""

from __future__ import annotations

import base64
import json as json_
from pathlib import Path
from typing import Any

from stream.engine import MetaRow
from stream.errors import UserError
from stream.tools.state import StateLog

from .options import ClusterArgs, ClusterOptions, InputTopicArgs, InputTopicOptions
from .output import message
from .state import open_log, require_yes


def export(
    file: Path,
    /,
    *,
    source: InputTopicArgs = InputTopicOptions(),
) -> None:
    """Write the state of all keys to a file of JSON lines, as of the last checkpoint.

    Args:
        file: New file; it must not exist.
        source: Input topic.
    """
    if file.exists():
        raise UserError(f"The file is there already. Received: {file}. Choose another name.")
    log = open_log(source)
    keys = 0
    # Renamed when complete: a file of that name always has all of the state.
    part = file.with_name(file.name + ".part")
    with part.open("w", encoding="utf-8") as out:
        for name in log.topics:
            for state in log.read(name):
                location = {"topic": name, "partition": state.partition}
                if state.meta is not None:
                    text = state.meta.encode().decode()
                    out.write(json_.dumps({**location, "meta": json_.loads(text)}) + "\n")
                for key, row in state.rows.items():
                    line = {**location, "key": _encoded(key), "row": _encoded(row)}
                    out.write(json_.dumps(line) + "\n")
                keys += len(state.rows)
    part.rename(file)
    message(f"Written: {keys:,} keys to {file}.")


def import_(
    file: Path,
    /,
    *,
    yes: bool = False,
    cluster: ClusterArgs = ClusterOptions(),
) -> None:
    """Load state from a file of `ember state export` into a group without state.

    The rows keep their offsets. If the input topic is another one than at the export, run
    `ember state rebase` afterwards. Stop all workers of the group first.

    Args:
        file: File of `ember state export`.
        yes: Load it; without it the command only checks the file and the group.
        cluster: Kafka cluster.
    """
    lines = _read(file)
    log = StateLog(cluster.settings())
    if yes:
        log.require_idle()  # before reading: a worker that stops writes a last checkpoint
    for name in sorted({line["topic"] for line in lines}):
        if name not in log.topics:
            raise UserError(
                f"The file has state of topic {name!r}. Expected one of {', '.join(log.topics)}. "
                "Set input.topics to it."
            )
        states = log.read(name)
        keys = sum(len(state.rows) for state in states)
        if keys or any(state.meta is not None for state in states):
            raise UserError(
                f"The group has state of {name!r} already ({keys:,} keys). Expected none. Use "
                "another kafka.group."
            )
        last_partition = max(line["partition"] for line in lines if line["topic"] == name)
        if last_partition >= len(states):
            raise UserError(
                f"The file has state of partition {last_partition} of {name!r}. Expected at most "
                f"{len(states) - 1}: its changelog has {len(states)} partitions."
            )
    rows = [line for line in lines if "row" in line]
    require_yes(f"{len(rows):,} keys would be taken from {file}.", yes=yes)
    log.require_idle()
    with log.writing() as writer:
        for line in rows:
            changelog, partition = log.changelog(line["topic"]), line["partition"]
            writer.put(changelog, partition, _decoded(line["key"]), _decoded(line["row"]))
        for line in lines:
            if "meta" in line:
                # After the rows: a worker that reads a meta row has read the rows it describes.
                writer.put_meta(log.changelog(line["topic"]), line["partition"], line["meta"])
    message(f"Taken: {len(rows):,} keys.")


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
