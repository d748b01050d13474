"""Checks of `ember doctor` on rows: which samples become one row of a key."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from .evidence import Evidence
from .findings import Check

DEFAULT_INTERVAL = 10.0
_SHARED = 0.1
"""Share of samples with the time of another one from which they are no accident."""


def shared_times(evidence: Evidence) -> Iterator[Check]:
    """Check that records of one time are put together into one row."""
    window = evidence.settings.window
    decoded = evidence.samples.decoded
    if window.mode == "time" or len(decoded) < 2:
        return
    moments: set[tuple[bytes, int]] = set()
    repeated = 0
    for key, time_us in zip(decoded.keys, decoded.time_us.tolist(), strict=True):
        repeated += (key, time_us) in moments
        moments.add((key, time_us))
    filled = np.count_nonzero(~np.isnan(decoded.values), axis=1)
    width = max(1, len(evidence.channels))
    name = f"rows of {evidence.topic}"
    if repeated > _SHARED * len(decoded):
        yield Check(
            name,
            "fail",
            f"{repeated} of {len(decoded)} samples have the key and the time of another one: of "
            "these only the first would count.",
            f'Set window.mode = "time" and window.interval_seconds = {usual_interval(evidence):g}.',
        )
    elif width > 3 and float(filled.mean()) < width / 3:
        yield Check(
            name,
            "warn",
            f"A record has {float(filled.mean()):.1f} of {width} channels on average: a row per "
            "record would mostly be missing values.",
            f'Set window.mode = "time" and window.interval_seconds = {usual_interval(evidence):g}.',
        )


def interval(evidence: Evidence) -> Iterator[Check]:
    """Check that an interval is long enough to hold each channel once."""
    window = evidence.settings.window
    if window.mode != "time":
        return
    usual = usual_interval(evidence)
    if usual > window.interval_seconds:
        yield Check(
            f"rows of {evidence.topic}",
            "warn",
            f"A channel comes every {usual:g} s, and a row closes every "
            f"{window.interval_seconds:g} s: most rows would lack values.",
            f"Set window.interval_seconds = {usual:g} or more.",
        )


def usual_interval(evidence: Evidence) -> float:
    """Return the usual time between two samples of a channel, else the default, in seconds."""
    return measured_interval(evidence) or DEFAULT_INTERVAL


def measured_interval(evidence: Evidence) -> float | None:
    """Return the usual time between two samples of one channel of a key, in seconds.

    Args:
        evidence: Records that were read.

    Returns:
        Whole seconds; None where no channel of a key has two samples.
    """
    decoded = evidence.samples.decoded
    times: dict[tuple[bytes, int], set[int]] = defaultdict(set)
    rows, columns = np.nonzero(~np.isnan(decoded.values))
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        times[decoded.keys[row], column].add(int(decoded.time_us[row]))
    gaps = [
        float(np.median(np.diff(sorted(moments)))) / 1e6
        for moments in times.values()
        if len(moments) > 1
    ]
    # Whole seconds: producers are asked for such, and their clocks jitter.
    return max(1.0, float(round(np.median(gaps)))) if gaps else None
