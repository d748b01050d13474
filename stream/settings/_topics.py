"""Legal names of Kafka topics."""

from __future__ import annotations

import re

_LEGAL = re.compile(r"[A-Za-z0-9._-]+")
_PATTERN = re.compile(r"[*^$?|()\[\]+\\]")
_MOST_CHARACTERS = 249


def name_fault(name: str) -> str:
    """Return the fault of a topic name as a sentence without its full stop; empty for a legal one.

    Args:
        name: Name of a topic.
    """
    if _PATTERN.search(name):
        return (
            f"{name!r} looks like a pattern, and topics are not chosen by patterns; expected the "
            "name of each topic"
        )
    if not _LEGAL.fullmatch(name) or name in (".", ".."):
        return (
            f"{name!r} is no name of a Kafka topic; expected letters, digits, `.`, `_` and `-` only"
        )
    if len(name) > _MOST_CHARACTERS:
        return (
            f"{name[:40]}... has {len(name)} characters; expected at most {_MOST_CHARACTERS} in "
            "the name of a Kafka topic"
        )
    return ""
