"""Documents in TOML files: one table each, such as `[[rule]]`, with the fields of its body."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time
from typing import Any, Final, get_args, get_type_hints

import msgspec

from .calendar_body import KNOWN_FIELDS, Calendar
from .calendars import slim
from .choices import with_choices
from .documents import KINDS, ControlError, ControlSet, Document
from .known_times import has_same_times, with_times_at, without_times

_ENVELOPE: Final = ("name", "reason")
_BODIES: Final[Mapping[str, Any]] = {
    body.__struct_config__.tag: body for body in get_args(get_type_hints(Document)["body"])
}


def parse(
    text: str,
    source: str,
    author: str,
    written: str,
    include: Callable[[str], str] | None = None,
) -> list[Document]:
    """Read the documents of a file, in its order.

    Args:
        text: Text of the file.
        source: Name of the file, kept with each document.
        author: Author of the documents.
        written: Time of writing, RFC 3339.
        include: Function that reads a calendar file beside it (`file = "work.ics"`); None: there
            are none.

    Raises:
        ControlError: If the file is no TOML, or a document has a fault.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ControlError(f"{source} is not valid TOML: {error}.") from None
    documents = list[Document]()
    for kind, entries in tables.items():
        if kind not in KINDS or not isinstance(entries, list):
            raise ControlError(
                f"{source} has something that is no document. Expected tables such as [[rule]], of "
                f"the kinds {', '.join(KINDS)}. Received: {kind!r}. Take it out, or write it as "
                "[[rule]] with a name."
            )
        documents += [_document(kind, entry, source, author, written, include) for entry in entries]
    ControlSet.of(documents)  # no name twice, none too large
    return documents


def _document(
    kind: str,
    entry: Any,
    source: str,
    author: str,
    written: str,
    include: Callable[[str], str] | None,
) -> Document:
    name = entry.get("name") if isinstance(entry, dict) else None
    label = f"[[{kind}]] {name!r} of {source}"
    if not isinstance(name, str):
        raise ControlError(
            f'A table [[{kind}]] of {source} has no name. Expected name = "...", by which it is '
            f"changed and removed later. Received: {name!r}. Give it one."
        )
    fields = {key: _plain(value) for key, value in entry.items()}
    reason = fields.pop("reason", "")
    if not isinstance(reason, str):
        raise ControlError(
            f'The reason of {label} is no text. Expected reason = "...". Received: {reason!r}. '
            "Write it in quotes, or leave it out."
        )
    del fields["name"]
    if kind == "calendar" and "file" in fields:
        fields["ical"] = _calendar_text(fields, label, include)
    try:
        body = msgspec.convert(_without_known(kind, fields), _BODIES[kind])
    except msgspec.ValidationError as error:
        raise ControlError(
            f"{label} cannot be read. Expected the fields of a {kind}: {', '.join(_names(kind))}. "
            f"Received: {with_choices(error, _BODIES[kind])}. Correct it."
        ) from None
    document = Document(
        name=name, author=author, reason=reason, time=written, source=source, body=body
    ).checked()
    if not isinstance(body, Calendar):
        return document
    try:
        return msgspec.structs.replace(document, body=with_times_at(body, written)).checked()
    except ControlError as error:
        raise ControlError(f"{label}: {error.message}") from None


def _without_known(kind: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a table, with those refused that no file has."""
    known = [name for name in KNOWN_FIELDS if kind == "calendar" and name in fields]
    return fields | {f"{name} of a file": fields[name] for name in known}


def _names(kind: str) -> list[str]:
    """Return the fields of a kind, as a file has them: `file` is the usual way to `ical`."""
    names = _BODIES[kind].__struct_encode_fields__
    hidden = KNOWN_FIELDS if kind == "calendar" else ()
    return ["file" if name == "ical" else name for name in names if name not in hidden]


def _calendar_text(fields: dict[str, Any], label: str, include: Callable[[str], str] | None) -> str:
    """Return the text of the calendar file that a table names."""
    name = fields.pop("file")
    if not isinstance(name, str) or "ical" in fields:
        received = "`ical` beside it" if "ical" in fields else repr(name)
        raise ControlError(
            f'{label} names no file. Expected file = "work.ics", an iCalendar file beside this '
            f"one, and no `ical`. Received: {received}. Correct it."
        )
    if include is None:
        raise ControlError(
            f"{label} names a calendar file, which is not read here. Expected `windows` with "
            f"`begin` and `end`. Received: file={name!r}. Leave the calendar out."
        )
    try:
        return slim(include(name))
    except ControlError as error:
        raise ControlError(f"`file` {name!r} of {label}: {error.message}") from None


def render(documents: Iterable[Document]) -> str:
    """Return documents as the text of a file that `parse` reads.

    Args:
        documents: The documents.
    """
    return "\n".join(render_one(document) for document in documents)


def render_one(document: Document) -> str:
    """Return one document as a table of TOML; author and time stand in a comment."""
    lines = [f"[[{document.kind}]]  # {_comment(document.author)}, {_comment(document.time)}"]
    fields = {name: getattr(document, name) for name in _ENVELOPE if getattr(document, name)}
    written = document.body
    body = msgspec.to_builtins(without_times(written) if isinstance(written, Calendar) else written)
    del body["kind"]
    lines += [f"{name} = {_value(value)}" for name, value in (fields | body).items()]
    return "\n".join(lines) + "\n"


def same(first: Document, second: Document) -> bool:
    """Return whether two documents say the same; author, time and file may differ.

    Args:
        first: Document that is there.
        second: Document that would be written.
    """
    bodies = first.body, second.body
    if isinstance(first.body, Calendar) and isinstance(second.body, Calendar):
        if not has_same_times(first, second):
            return False
        bodies = without_times(first.body), without_times(second.body)
    return (first.key, bodies[0], first.reason) == (second.key, bodies[1], second.reason)


def _plain(value: Any) -> Any:
    """Return a value of TOML with its dates as text, which documents have them as."""
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{name} = {_value(item)}" for name, item in value.items()) + " }"
    if isinstance(value, str):
        # A quoted text of JSON is one of TOML, but for this character.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Sequence):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value)


def _comment(text: str) -> str:
    return "".join(char if char.isprintable() else "\ufffd" for char in text)
