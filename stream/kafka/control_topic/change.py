"""Record of the control topic that says who changed a document, when and why."""

from __future__ import annotations

import re
from typing import Final, Self

import msgspec

from stream.control import Document

_KEY: Final = re.compile(rb"history/([0-9]{12})")


class Change(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Change of one document.

    Both versions are kept: a worker goes back from the documents of today to those that were in
    force when a partition was last written.
    """

    key: str
    """Key of the document, such as `rule/disk`."""
    author: str
    reason: str = ""
    time: str
    """Time of the change, RFC 3339."""
    before: Document | None = None
    """Document before the change; None where there was none."""
    after: Document | None = None
    """Document after it; None where it was removed."""

    def encode(self) -> bytes:
        """Return the value of the record."""
        return msgspec.json.encode(self, order="deterministic")

    @classmethod
    def decode(cls, value: bytes) -> Self | None:
        """Read a record; None where it cannot be read, being of another version."""
        try:
            return msgspec.json.decode(value, type=cls)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return None


def change_key(number: int) -> bytes:
    """Return the key of the record of a change.

    Args:
        number: Number of the change; the first is 0.
    """
    return b"history/%012d" % number


def number_of(key: bytes) -> int | None:
    """Return the number of a change; None where the key is that of another record."""
    match = _KEY.fullmatch(key)
    return None if match is None else int(match[1])
