"""Changes of documents, shown and confirmed before they are written."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from ember_core.data.sources import Remark
from stream.cli.init.ask import Questions, is_terminal
from stream.cli.output import clean, message, print_json, print_remarks
from stream.cli.state import require_yes
from stream.control import Document
from stream.control.files import render_one
from stream.counts import plural
from stream.kafka.control_topic.publisher import Edit, Stamp, publish
from stream.settings import Settings

from .topic import config_of, read

_COLOURS = {"+": "green", "-": "red"}


def write(
    settings: Settings,
    edits: Sequence[Edit],
    stamp: Stamp,
    remarks: Sequence[Remark] = (),
    *,
    yes: bool,
    json: bool,
) -> None:
    """Show changes, have them confirmed, write them, and print those in force.

    Args:
        settings: Settings of the service.
        edits: Changes, one for each document.
        stamp: Author, reason and time of the changes.
        remarks: Remarks on the documents.
        yes: True if the user has confirmed them.
        json: True if the output is one JSON object.
    """
    if not json:
        print_remarks(remarks)
    if not edits and not json:
        message("Nothing to change: the documents are in force as they are.")
        return
    if edits:
        confirm(edits, yes=yes, json=json)
    config = config_of(settings)
    control = asyncio.run(publish(config, edits, stamp)) if edits else read(settings).current
    if json:
        print_json(
            {
                "topic": settings.control_topic,
                "changes": [{"key": edit.key, "change": _verb(edit)} for edit in edits],
                "remarks": [remark.as_json() for remark in remarks],
                "digest": control.digest,
                "documents": len(control.documents),
            }
        )
        return
    message(
        f"Written to {settings.control_topic}: {plural(len(edits), 'change')}. "
        f"{plural(len(control.documents), 'document')} in force."
    )


def confirm(edits: Sequence[Edit], *, yes: bool, json: bool) -> None:
    """Show changes, and have them confirmed.

    Args:
        edits: Changes, one for each document.
        yes: True if the user has confirmed them.
        json: True if nothing but JSON may be printed.

    Raises:
        UserError: If the user has not.
    """
    if not json:
        _print_diff(edits)
    if not yes and is_terminal():
        answer = Questions(enabled=True).text("Write these changes? yes or no", "no")
        yes = answer.lower() in ("y", "yes")
    require_yes(f"{plural(len(edits), 'document')} would change.", yes=yes)


def _print_diff(edits: Sequence[Edit]) -> None:
    console = Console(soft_wrap=True, highlight=False)
    for edit in edits:
        former = edit.before
        written = "" if former is None else f" (written by {former.author}, {former.time})"
        console.print(Text(f"{edit.key}: {_verb(edit)}{clean(written)}", "bold"))
        old_lines, new_lines = _body_lines(edit.before), _body_lines(edit.after)
        for line in list(difflib.unified_diff(old_lines, new_lines, n=100, lineterm=""))[3:]:
            console.print(Text(f"  {line}", _COLOURS.get(line[:1], "")))


def _body_lines(document: Document | None) -> list[str]:
    """Return the lines of a document: its file in the place of the line of author and time."""
    if document is None:
        return []
    file = [f"# of {clean(document.source)}"] if document.source else []
    return [*file, *render_one(document).splitlines()[1:]]


def _verb(edit: Edit) -> str:
    if edit.before is None:
        return "added" if edit.after is not None else "removed"
    return "removed" if edit.after is None else "changed"
