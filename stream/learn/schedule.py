"""Time of the next training. It follows from the model topic alone, so that a restart keeps it."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from stream.kafka.model_topic.catalogue import Catalogue

FIRST_AGAIN_SECONDS: Final = 3_600.0
"""Longest pause after a refused candidate where there is no model to go on with."""


def seconds_until_training(
    catalogue: Catalogue, every_seconds: float | None, now: float, *, has_model: bool
) -> float | None:
    """Return the seconds until a training is due.

    Args:
        catalogue: Contents of the model topic.
        every_seconds: Time between two trainings; None: only where there is no model.
        now: Time in seconds since the epoch.
        has_model: Whether a model is in service.

    Returns:
        The seconds, 0 for a training that is due; None where no training is due any more.
    """
    newest = [_seconds(d.decision.manifest.published_at) for d in catalogue.decisions()[:1]]
    if has_model:
        if every_seconds is None:
            return None
        newest += [_seconds(p.manifest.published_at) for p in catalogue.newest_first()[:1]]
        pause = every_seconds
    else:
        pause = min(every_seconds or FIRST_AGAIN_SECONDS, FIRST_AGAIN_SECONDS)
    # At most one pause: a clock that was ahead must not put training off for ever.
    return min(pause, max(0.0, max(newest, default=0.0) + pause - now))


def _seconds(text: str) -> float:
    """Convert a time of RFC 3339 to seconds since the epoch; 0 where it is none."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0


class Pauses:
    """Growing pauses between trainings that fail."""

    _SECONDS: Final = (5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0)

    def __init__(self) -> None:
        self._failures = 0

    def next(self) -> float:
        """Return the pause after one more failure."""
        pause = self._SECONDS[min(self._failures, len(self._SECONDS) - 1)]
        self._failures += 1
        return pause

    def reset(self) -> None:
        """Begin anew, after a training that came to an end."""
        self._failures = 0
