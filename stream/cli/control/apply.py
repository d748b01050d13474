"""`ember control apply | remove`: changes of the documents of operators."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.text import Text

from stream.cli.document_files import parse_file
from stream.cli.init.ask import Questions, is_terminal
from stream.cli.options import ClusterArgs, ClusterOptions
from stream.cli.output import message, print_json
from stream.cli.state import require_yes
from stream.control import ControlSet, Document
from stream.control.files import render_one, same
from stream.counts import plural
from stream.kafka.control_topic.catalogue import ControlCatalogue
from stream.kafka.control_topic.publisher import Edit, Stamp, publish
from stream.settings import Settings
from stream.users import current_user

from .topic import config_of, find, now, read

_COLOURS = {"+": "green", "-": "red"}


def apply(
    files: Sequence[Path],
    /,
    *,
    prune: bool = False,
    author: str = "",
    reason: str = "",
    yes: bool = False,
    json: bool = False,
    cluster: ClusterArgs = ClusterOptions(),
) -> None:
    """Write the documents of TOML files, with a diff first; running workers take them over.

    Documents that are there already as they are in the file stay untouched.

    Args:
        files: Files with tables such as [[rule]], each with a name.
        prune: Remove documents that came from files of the same names and are in them no more.
        author: Author of the changes. Default: the user of this process.
        reason: Reason of the changes, for documents without one of their own and the history.
        yes: Write without a question. Needed where nobody can be asked.
        json: Print one JSON object: the changes and the documents in force.
        cluster: Kafka cluster.
    """
    settings = cluster.settings()
    config_of(settings)
    stamp = Stamp(author or current_user(), reason, now())
    documents = [
        document for path in files for document in parse_file(path, stamp.author, stamp.time)
    ]
    documents_by_key = {document.key: document for document in ControlSet.of(documents).documents}
    catalogue = read(settings)
    pruned = {path.name for path in files} if prune else set[str]()
    edits = _edits(catalogue, documents_by_key, pruned, reason)
    _write(settings, edits, stamp, yes=yes, json=json)


def remove(
    keys: Sequence[str],
    /,
    *,
    author: str = "",
    reason: str = "",
    yes: bool = False,
    json: bool = False,
    cluster: ClusterArgs = ClusterOptions(),
) -> None:
    """Remove documents; running workers go on without them.

    Args:
        keys: Kind and name of each, such as rule/disk.
        author: Author of the changes. Default: the user of this process.
        reason: Reason of the changes, for the history.
        yes: Remove without a question. Needed where nobody can be asked.
        json: Print one JSON object: the changes and the documents in force.
        cluster: Kafka cluster.
    """
    settings = cluster.settings()
    catalogue = read(settings)
    broken = {unusable.key for unusable in catalogue.unusable.values()} - catalogue.by_key().keys()
    edits = [
        Edit(key, None if key in broken else find(catalogue, key), None)
        for key in dict.fromkeys(keys)
    ]
    _write(settings, edits, Stamp(author or current_user(), reason, now()), yes=yes, json=json)


def _edits(
    catalogue: ControlCatalogue,
    documents_by_key: dict[str, Document],
    pruned: set[str],
    reason: str,
) -> list[Edit]:
    """Return the changes that bring the wanted documents; those of pruned sources go.

    A document that has no reason in its file keeps the one it was last changed for.
    """
    present = catalogue.by_key()
    edits = []
    for key, document in documents_by_key.items():
        former = present.get(key)
        if former is None or not same(former, _with_reason(document, former.reason)):
            edits.append(Edit(key, former, _with_reason(document, reason).checked()))
    edits += [
        Edit(key, document, None)
        for key, document in sorted(present.items())
        if document.source in pruned and key not in documents_by_key
    ]
    return edits


def _with_reason(document: Document, reason: str) -> Document:
    """Return the document, with a reason where it has none of its own."""
    return document if document.reason else msgspec.structs.replace(document, reason=reason)


def _write(
    settings: Settings, edits: Sequence[Edit], stamp: Stamp, *, yes: bool, json: bool
) -> None:
    """Show the changes, have them confirmed, and write them."""
    if not edits and not json:
        message("Nothing to change: the documents are in force as they are.")
        return
    if edits:
        if not json:
            _print_diff(edits)
        if not yes and is_terminal():
            answer = Questions(enabled=True).text("Write these changes? yes or no", "no")
            yes = answer.lower() in ("y", "yes")
        require_yes(f"{plural(len(edits), 'document')} would change.", yes=yes)
    config = config_of(settings)
    control = asyncio.run(publish(config, edits, stamp)) if edits else read(settings).current
    if json:
        print_json(
            {
                "topic": settings.control_topic,
                "changes": [{"key": edit.key, "change": _verb(edit)} for edit in edits],
                "digest": control.digest,
                "documents": len(control.documents),
            }
        )
        return
    message(
        f"Written to {settings.control_topic}: {plural(len(edits), 'change')}. "
        f"{plural(len(control.documents), 'document')} in force."
    )


def _print_diff(edits: Sequence[Edit]) -> None:
    console = Console(soft_wrap=True, highlight=False)
    for edit in edits:
        console.print(Text(f"{edit.key}: {_verb(edit)}", "bold"))
        old_lines, new_lines = _body_lines(edit.before), _body_lines(edit.after)
        for line in list(difflib.unified_diff(old_lines, new_lines, n=100, lineterm=""))[3:]:
            console.print(Text(f"  {line}", _COLOURS.get(line[:1], "")))


def _body_lines(document: Document | None) -> list[str]:
    """Return the lines of a document without the first one, of author and time."""
    return [] if document is None else render_one(document).splitlines()[1:]


def _verb(edit: Edit) -> str:
    if edit.before is None:
        return "added" if edit.after is not None else "removed"
    return "removed" if edit.after is None else "changed"
