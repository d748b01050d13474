"""Files with documents of operators, tried without a control topic."""

from __future__ import annotations

from pathlib import Path

from stream.control import ControlSet
from stream.control.files import parse
from stream.errors import UserError
from stream.users import current_user

_WRITTEN = "1970-01-01T00:00:00Z"
"""Time of documents that nobody has written yet."""


def read_documents(path: Path) -> ControlSet:
    """Read a TOML file of documents.

    Args:
        path: The file.

    Raises:
        UserError: If it cannot be read, or a document has a fault.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        cause = getattr(error, "strerror", None) or error
        raise UserError(
            f"The rules cannot be read: {cause}. Expected a TOML file with tables such as "
            f"[[rule]]. Received: {path}.",
            exit_code=2,
        ) from None
    return ControlSet.of(parse(text, path.name, current_user(), _WRITTEN))
