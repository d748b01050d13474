"""Lengths of time in words."""

from __future__ import annotations

from typing import Final

_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def length_text(seconds: float) -> str:
    """Return a length in its largest unit of which there are two or more, or one that is whole.

    Examples:
        >>> length_text(18_000), length_text(86_400), length_text(95), length_text(0)
        ('5 h', '1 d', '95 s', '0 s')
    """
    for unit, name in _UNITS:
        number, remainder = divmod(round(seconds), unit)
        if number >= 2 or (number == 1 and not remainder):
            return f"{number} {name}"
    return "0 s" if round(seconds) <= 0 else f"{round(seconds)} s"
