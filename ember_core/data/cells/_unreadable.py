"""The one error of a cell that cannot be read."""

from __future__ import annotations

from typing import Any

_MOST_CHARACTERS = 40


class Unreadable(ValueError):  # noqa: N818  # reads as a statement, like a refusal
    """A cell that is neither readable nor missing.

    Args:
        expected: Description of readable values, for a sentence "Expected ..., got ...".
        received: The cell.
    """

    def __init__(self, expected: str, received: Any) -> None:
        self.expected = expected
        self.received = shown(received)
        super().__init__(f"Expected {expected}, got {self.received}")


def shown(cell: Any) -> str:
    """Return a cell for a sentence, cut where it is long."""
    if isinstance(cell, int) and not isinstance(cell, bool) and abs(cell) >= 10**30:
        return "a huge integer"  # whose digits may be more than Python converts
    if isinstance(cell, str):
        return repr(cell if len(cell) <= _MOST_CHARACTERS else cell[:_MOST_CHARACTERS] + "...")
    if isinstance(cell, (dict, list, bytes)):
        return {dict: "an object", list: "an array"}.get(type(cell), type(cell).__name__)
    return repr(cell)
