"""`ember control apply | remove`: changes of the documents of operators."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from stream.cli.document_files import parse_file
from stream.cli.options import ClusterArgs, ClusterOptions
from stream.control import ControlSet, Document
from stream.control.files import same
from stream.kafka.control_topic.catalogue import ControlCatalogue
from stream.kafka.control_topic.publisher import Edit, Stamp
from stream.users import current_user

from .remarks import remarks_of
from .topic import config_of, find, now, read
from .write import write


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

    Documents that are there already as they are in the file stay untouched. With --prune they
    belong to the file from now on.

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
    write(settings, edits, stamp, remarks_of(documents, stamp.time), yes=yes, json=json)


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
    write(settings, edits, Stamp(author or current_user(), reason, now()), yes=yes, json=json)


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
        is_known = former is not None and same(former, _with_reason(document, former.reason))
        # With --prune the file is the one that answers for its documents from now on.
        is_taken_over = former is not None and bool(pruned) and former.source != document.source
        if not is_known or is_taken_over:
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
