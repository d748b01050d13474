"""Durations as people write them: `90s`, `15m`, `24h`, `7d`."""

from __future__ import annotations

import re

_LENGTH = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_UNIT_SECONDS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


def seconds_of(text: str) -> float | None:
    """Convert a duration to seconds; None when the text is not a duration.

    Examples:
        >>> seconds_of("1.5h"), seconds_of("soon")
        (5400.0, None)
    """
    match = _LENGTH.fullmatch(text.strip().lower())
    return None if match is None else float(match[1]) * _UNIT_SECONDS[match[2]]
