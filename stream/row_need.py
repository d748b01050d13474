"""Rows that a training needs, in words and in time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ember_core.pipeline.fit import MIN_ROWS, Series
from stream.engine import WindowSpec

from .counts import plural
from .errors import UserError
from .history import KeySamples


def require_rows(series: Sequence[Series], keys: Sequence[KeySamples], window: WindowSpec) -> None:
    """Refuse a history in which no key has enough rows.

    Args:
        series: Rows of the keys.
        keys: The samples that they were made of.
        window: Windowing of samples into rows.

    Raises:
        UserError: If there is none; it says how long a history has to be.
    """
    longest = max((len(s.time_us) for s in series), default=0)
    if longest >= MIN_ROWS:
        return
    samples = sum(len(key.time_us) for key in keys)
    per_row = f", one every {window.interval_us * 1e-6:g} s" if window.mode == "time" else ""
    raise UserError(
        f"Too little history to train on. Expected a key with at least {MIN_ROWS} rows"
        f"{_in_time(series, keys, window)}. Received: {plural(len(keys), 'key')} with "
        f"{plural(samples, 'record')}, which make {plural(longest, 'row')} of a key at most"
        f"{per_row}. Record for longer, or read more of the history."
    )


def _in_time(series: Sequence[Series], keys: Sequence[KeySamples], window: WindowSpec) -> str:
    """Return how long so many rows take, where an interval is known."""
    if window.mode == "time":
        seconds = window.interval_us * 1e-6
    else:
        gaps = [np.diff(key.time_us) for key in keys if len(key.time_us) > 1]
        if not gaps:
            return ""
        seconds = float(np.median(np.concatenate(gaps))) * 1e-6
    hours = MIN_ROWS * seconds / 3600.0
    text = f"{hours:.1f} hours" if hours >= 1.0 else f"{60.0 * hours:.0f} minutes"
    return f", that is {text} of a key" if seconds > 0 else ""
