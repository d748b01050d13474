"""Figures over alarm episodes: what an operator is paged for, and how soon."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._points import _as_flags, ratio
from ._ranges import as_label, runs


class EpisodeScores(NamedTuple):
    """Alarm episodes compared with labelled events."""

    events: int
    """Labelled events: maximal runs of label 1."""
    caught: int
    """Events with at least one flagged record."""
    episodes: int
    """Alarm episodes."""
    false_episodes: int
    """Episodes none of whose flagged records is labelled."""
    event_recall: float
    """`caught / events`; NaN without events."""
    episode_precision: float
    """Share of the episodes that are true; NaN without episodes."""
    ef1: float
    """Harmonic mean of the two; 0 if there are events or episodes but no hit, NaN without both."""
    false_episodes_per_1000: float
    """False episodes per 1,000 records."""
    delay_records: float
    """Mean `detection_delay` of the caught events; NaN if none is caught."""


def alarm_episodes(flags: ArrayLike, merge: int = 10) -> list[tuple[int, int]]:
    """Alarm episodes: flagged records at most `merge` records apart belong together.

    Args:
        flags: 0/1 per record, shape `(T,)`.
        merge: Largest distance between two flagged records of one episode, in records.

    Returns:
        `(start, end)` of every episode in order: first flagged record, one after the last.

    Raises:
        ValueError: If `flags` is not a 0/1 series or `merge` is less than 1.

    Examples:
        >>> alarm_episodes([0, 1, 1, 0, 1, 0, 0, 0, 1], merge=2)
        [(1, 5), (8, 9)]
    """
    if merge < 1:
        raise ValueError(
            f"Neighbours are 1 record apart. Expected merge >= 1. Received: merge={merge}."
        )
    positions = np.flatnonzero(as_label(flags))
    if not positions.size:
        return []
    new = np.flatnonzero(np.diff(positions) > merge)
    starts = positions[np.concatenate(([0], new + 1))]
    ends = positions[np.append(new, positions.size - 1)] + 1
    return [(int(start), int(end)) for start, end in zip(starts, ends, strict=True)]


def detection_delay(label: ArrayLike, flags: ArrayLike) -> NDArray[np.float64]:
    """Records from the start of each labelled event to its first flagged record.

    Args:
        label: 0/1 per record, shape `(T,)`.
        flags: 0/1 per record, shape `(T,)`.

    Returns:
        float64 array of shape `(events,)`, in records (0: flagged at once); NaN for an event that
        was not caught. A flag before the event does not count.

    Raises:
        ValueError: If the shapes differ.
    """
    events = runs(as_label(label))
    positions = np.append(np.flatnonzero(_as_flags(flags, label)), np.iinfo(np.int64).max)
    first = positions[np.searchsorted(positions, events[:, 0])]
    return np.where(first < events[:, 1], (first - events[:, 0]).astype(np.float64), np.nan)


def episode_scores(label: ArrayLike, flags: ArrayLike, merge: int = 10) -> EpisodeScores:
    """Event recall, episode precision and their F1 (EF1), false episodes and delay.

    Only a flagged record inside a labelled event is a hit: an episode that merely spans an event
    between two of its flags neither catches it nor is true.

    Args:
        label: 0/1 per record, shape `(T,)`.
        flags: 0/1 per record from a threshold that never saw the labels, shape `(T,)`.
        merge: See `alarm_episodes`.

    Returns:
        Counts and figures.

    Raises:
        ValueError: If the shapes differ or `merge` is less than 1.
    """
    truth, raised = as_label(label), _as_flags(flags, label)
    delays = detection_delay(truth, raised)
    detected = ~np.isnan(delays)
    episodes = alarm_episodes(raised, merge)
    hits = np.append(0, (truth & raised).cumsum(dtype=np.int64))
    true = sum(bool(hits[end] > hits[start]) for start, end in episodes)
    recall = ratio(int(detected.sum()), delays.size)
    precision = ratio(true, len(episodes))
    return EpisodeScores(
        events=delays.size,
        caught=int(detected.sum()),
        episodes=len(episodes),
        false_episodes=len(episodes) - true,
        event_recall=recall,
        episode_precision=precision,
        ef1=_harmonic(recall, precision),
        false_episodes_per_1000=ratio(1000.0 * (len(episodes) - true), truth.size),
        delay_records=float(delays[detected].mean()) if detected.any() else float("nan"),
    )


def _harmonic(recall: float, precision: float) -> float:
    """F1 of the two; where only one is defined there was no hit, which is 0."""
    if np.isnan(recall) and np.isnan(precision):
        return float("nan")
    if np.isnan(recall) or np.isnan(precision):
        return 0.0
    return ratio(2.0 * recall * precision, recall + precision) if recall + precision else 0.0
