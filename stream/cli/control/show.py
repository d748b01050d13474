"""`ember control list | show | history | export`: the documents of operators and their past."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from rich.console import Console
from rich.text import Text

from stream.cli.options import ClusterArgs, ClusterOptions
from stream.cli.output import clean, message, print_json, print_remarks
from stream.control import Calendar, Document
from stream.control.calendars import PlannedWindow, windows_of
from stream.control.files import render, render_one
from stream.control.times import zone_fault
from stream.errors import UserError
from stream.kafka.control_topic.change import Change
from stream.settings import Settings
from stream.tools import clients

from .remarks import remarks_of
from .topic import find, now, read


def list_(*, json: bool = False, cluster: ClusterArgs = ClusterOptions()) -> None:
    """Show the documents in force, and those that cannot be used.

    Args:
        json: Print one JSON object.
        cluster: Kafka cluster.
    """
    settings = cluster.settings()
    catalogue = read(settings)
    control = catalogue.current
    unusable = sorted(catalogue.unusable.values())
    remarks = remarks_of(control.documents, now())
    if json:
        print_json(
            {
                "topic": settings.control_topic,
                "digest": control.digest,
                "documents": [_plain(document) for document in control.documents],
                "unusable": [document._asdict() for document in unusable],
                "remarks": [remark.as_json() for remark in remarks],
            }
        )
        return
    console = Console(soft_wrap=True, highlight=False)
    for document in control.documents:
        console.print(_line(document))
    for document_fault in unusable:
        message(clean(document_fault.reason))
    print_remarks(remarks)
    if not control.documents:
        message(_no_documents(settings))


def _no_documents(settings: Settings) -> str:
    topic = settings.control_topic
    if topic in clients.partition_counts(clients.fetch_metadata(settings.kafka)):
        return f"Topic {topic!r} has no documents."
    return (
        f"Topic {topic!r} is not there yet, so that no documents are in force. The next start of a "
        "worker makes it, or `ember topics create`."
    )


def show(
    key: str,
    /,
    *,
    days: int = 0,
    zone: str = "",
    json: bool = False,
    cluster: ClusterArgs = ClusterOptions(),
) -> None:
    """Print one document, and the windows of a calendar.

    Args:
        key: Kind and name, such as rule/disk.
        days: Print the windows of a calendar in so many days from now on.
        zone: Time zone of the windows, such as Europe/Berlin. Default: UTC.
        json: Print one JSON object.
        cluster: Kafka cluster.
    """
    if fault := zone_fault("--zone", zone):
        raise UserError(fault, exit_code=2)
    document = find(read(cluster.settings()), key)
    windows = list[PlannedWindow]()
    if days and isinstance(document.body, Calendar):
        begin = datetime.now(UTC)
        windows = windows_of(document.body, begin, begin + timedelta(days=days))
    local = [window_text(window, ZoneInfo(zone or "UTC")) for window in windows]
    if json:
        print_json({**_plain(document), **({"next": local} if days else {})})
        return
    sys.stdout.write(render_one(document))
    for text in local:
        print(f"# {clean(text['begin'])}  to  {clean(text['end'])}  {clean(text['name'])}")


def window_text(window: PlannedWindow, zone: ZoneInfo) -> dict[str, str]:
    """Return begin and end of a window in local time, and its name.

    Args:
        window: The window.
        zone: Time zone of the reader.
    """
    begin, end = (each.astimezone(zone).isoformat() for each in window[:2])
    return {"begin": begin, "end": end, "name": window.name}


def history(
    key: str = "", /, *, json: bool = False, cluster: ClusterArgs = ClusterOptions()
) -> None:
    """Show the last 1,000 changes, the newest first: time, author, document and reason.

    Args:
        key: Kind and name of one document, such as rule/disk. Default: all of them.
        json: Print one JSON object, with both versions of each document.
        cluster: Kafka cluster.
    """
    settings = cluster.settings()
    changes = [change for change in read(settings).changes() if key in ("", change.key)]
    if json:
        entries = [{"change": _verb(change), **msgspec.to_builtins(change)} for change in changes]
        print_json({"topic": settings.control_topic, "changes": entries})
        return
    console = Console(soft_wrap=True, highlight=False)
    for change in changes:
        console.print(_change_line(change))
    if not changes:
        message("Nothing was changed yet.")


def export(*, cluster: ClusterArgs = ClusterOptions()) -> None:
    """Print the documents in force as a TOML file, which `ember control apply` reads.

    Args:
        cluster: Kafka cluster.
    """
    sys.stdout.write(render(read(cluster.settings()).current.documents))


def _plain(document: Document) -> dict[str, Any]:
    return {"key": document.key, **msgspec.to_builtins(document)}


def _line(document: Document) -> Text:
    line = Text(f"{document.key:<32} ", "bold")
    line.append(f"{clean(document.author):<16} {clean(document.time)}  ", "dim")
    fields = msgspec.to_builtins(document.body)
    for name in ("kind", "times"):  # a calendar has hundreds of these
        fields.pop(name, None)
    words = [f"{name}={_short(value)}" for name, value in fields.items()]
    line.append(" ".join(words))
    if document.reason:
        line.append(f"  ({clean(document.reason)})", "dim")
    return line


def _short(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(_short, value))
    text = clean(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


def _change_line(change: Change) -> Text:
    line = Text(f"{clean(change.time)}  {clean(change.author):<16} ", "dim")
    line.append(f"{_verb(change):<8} ", "green" if change.before is None else "yellow")
    line.append(clean(change.key), "bold")
    if change.reason:
        line.append(f"  {clean(change.reason)}")
    return line


def _verb(change: Change) -> str:
    if change.before is None:
        return "added"
    return "removed" if change.after is None else "changed"
