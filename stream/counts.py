"""Counts in words."""

from __future__ import annotations


def plural(n: int, noun: str, many: str = "") -> str:
    """Format a count with its noun: `1 episode`, `2 episodes`."""
    return f"{n:,} {noun if n == 1 else many or noun + 's'}"
