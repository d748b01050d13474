"""Times in the bodies of events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_time(text: Any) -> int:
    """Return the microseconds since the epoch of an RFC 3339 time; 0 for anything else."""
    try:
        time = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return 0
    time = time.replace(tzinfo=UTC) if time.tzinfo is None else time
    return (time - _EPOCH) // timedelta(microseconds=1)
