"""Files with documents of operators."""

from __future__ import annotations

from pathlib import Path

from stream.control import ControlSet, Document
from stream.control.files import parse
from stream.errors import UserError
from stream.users import current_user

_UNWRITTEN = "1970-01-01T00:00:00Z"
"""Time of documents that nobody has written to the control topic."""


def read_documents(path: Path) -> ControlSet:
    """Read a TOML file of documents that are tried without a control topic.

    Args:
        path: The file.

    Raises:
        UserError: If it cannot be read, or a document has a fault.
    """
    return ControlSet.of(parse_file(path, current_user(), _UNWRITTEN))


def parse_file(path: Path, author: str, written: str) -> list[Document]:
    """Read a TOML file of documents, and the calendar files beside it.

    Args:
        path: The file.
        author: Author of the documents.
        written: Time of writing, RFC 3339.

    Raises:
        UserError: If it cannot be read, or a document has a fault.
    """

    def include(name: str) -> str:
        return _text(path.parent / name, "an iCalendar file")

    text = _text(path, "a TOML file with tables such as [[rule]]")
    return parse(text, path.name, author, written, include)


def _text(path: Path, expected: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        cause = getattr(error, "strerror", None) or error
        raise UserError(
            f"The file cannot be read: {cause}. Expected {expected}. Received: {str(path)!r}. "
            "`ember control export` prints the documents in force.",
            exit_code=2,
        ) from None
