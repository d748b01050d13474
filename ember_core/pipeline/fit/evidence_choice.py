"""Choice of the evidence that serves a fleet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from .channels.profiles import DAY_US, DAYS_FOR_WEEK
from .series import Series

MOST_CHANNELS: Final = 16
"""Channels above which single ones are not judged: some one of many moves to a new level on any
day, and its pages outweigh what they find (38 channels of SMD, 19 of ASD)."""


class EvidenceChoice(NamedTuple):
    """Evidence of a fleet, and why."""

    evidence: str
    reason: str


def choose_evidence(series: Sequence[Series], channels: int) -> EvidenceChoice:
    """Choose between the evidence of single channels too, and that of all of them together.

    Args:
        series: History of the keys.
        channels: Number of channels.
    """
    spans = [(s.time_us[-1] - s.time_us[0]) / DAY_US for s in series if len(s.time_us) > 1]
    days = float(np.median(spans)) if spans else 0.0
    if channels == 1:
        return EvidenceChoice("joint", "1 channel: it and all channels together are the same")
    if channels > MOST_CHANNELS:
        reason = f"{channels} channels, more than {MOST_CHANNELS}"
        return EvidenceChoice("joint", f"{reason}: some single one is always unusual")
    if days < DAYS_FOR_WEEK:
        reason = f"{days:.1f} days of history, fewer than {DAYS_FOR_WEEK}"
        return EvidenceChoice("joint", f"{reason}: no profile of the week")
    return EvidenceChoice("channels+joint", f"{channels} channels and {days:.1f} days of history")
