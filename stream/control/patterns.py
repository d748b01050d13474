"""Patterns of keys, topics and channels, as documents name them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase, translate

from stream.key_patterns import bracket_fault

ALL: tuple[str, ...] = ("*",)
"""Patterns that match everything."""
MOST_PATTERNS = 200
"""Patterns in one list of a document."""
MOST_PATTERN_CHARACTERS = 512


def matches(patterns: Iterable[str], name: str) -> bool:
    """Return whether a name matches one of some shell patterns."""
    return any(pattern == name or fnmatchcase(name, pattern) for pattern in patterns)


def compiled(patterns: Iterable[str]) -> re.Pattern[str]:
    """Return an expression that matches the names which `matches` does, for many of them."""
    return re.compile("|".join(f"(?:{translate(p)}|{re.escape(p)}\\Z)" for p in patterns))


def patterns_fault(field: str, patterns: Sequence[str]) -> str:
    """Return the fault of a list of shell patterns as a sentence; empty for a sound one.

    Args:
        field: Name of the list in the document.
        patterns: Patterns with `*`, `?` and `[...]`, as in a shell.
    """
    if not patterns or not all(patterns):
        return (
            f"`{field}` has no pattern. Expected at least one, such as `web-*`, and none that is "
            f"empty. Received: {list(patterns)}. Use `*` for all."
        )
    if len(patterns) > MOST_PATTERNS:
        return (
            f"`{field}` has too many patterns. Expected at most {MOST_PATTERNS}. "
            f"Received: {len(patterns)}. Make them wider, or write several documents."
        )
    longest = max(map(len, patterns))
    if longest > MOST_PATTERN_CHARACTERS:
        return (
            f"`{field}` has a pattern that is too long. Expected at most "
            f"{MOST_PATTERN_CHARACTERS} characters. Received: {longest}. Shorten it with `*`."
        )
    fault = bracket_fault(patterns)
    return fault and f"`{field}`: {fault}"
