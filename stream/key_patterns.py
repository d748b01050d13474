"""Patterns of stream keys: the first one that fits a key decides.

Which one it is depends on nothing but the key, so that a replay decides the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import translate
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .keys import key_text

_SET = re.compile(r"\[!?+\]?+[^\]]*\]")
"""Letters in brackets, as `fnmatch` reads them: a `]` in the first place is one of them."""
_REMEMBERED = 1 << 16
"""Keys whose pattern is remembered: to find it costs about as much as to decode a field."""


def bracket_fault(patterns: Iterable[str]) -> str:
    """Return the fault of a pattern whose `[` has no `]`, as sentences; empty for sound ones.

    Such a pattern would fit its own letters only.

    Examples:
        >>> bracket_fault(["web-[0-9]", "a[]]", "a[[]0"])
        ''

    Args:
        patterns: The patterns.
    """
    for pattern in patterns:
        if "[" in _SET.sub("", pattern):
            return (
                "A pattern has a `[` without its `]`. Expected letters such as `[abc]` or `[0-9]`. "
                f"Received: {pattern!r}. Close it, or write `[[]` for the bracket itself."
            )
    return ""


class KeyPatterns:
    """Patterns of keys, tried in their order against the whole text of a key, letter by letter.

    `*` stands for any text, `?` for a letter, `[abc]` for one of these.

    Examples:
        >>> KeyPatterns(["db-*", "*-1"]).find([b"db-1", b"web-1", b"web-2"]).tolist()
        [0, 1, -1]

    Args:
        patterns: The patterns.
        other: Number of a key that none of them fits.
    """

    def __init__(self, patterns: Sequence[str], other: int = -1) -> None:
        self._matches = [re.compile(translate(pattern)).match for pattern in patterns]
        self._other = other
        self._number_of = lru_cache(_REMEMBERED)(self._first_match)

    def _first_match(self, key: bytes) -> int:
        text = key_text(key)
        for number, matches in enumerate(self._matches):
            if matches(text):
                return number
        return self._other

    def find(self, keys: Sequence[bytes]) -> NDArray[np.int64]:
        """Return the number of the first pattern that fits each key, `(n,)`."""
        return np.fromiter(map(self._number_of, keys), dtype=np.int64, count=len(keys))
