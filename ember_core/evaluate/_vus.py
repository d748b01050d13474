"""Volume under the range-based precision-recall surface (VUS-PR)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._ranges import as_label, as_score, runs

_Ints = NDArray[np.int64]
_Floats = NDArray[np.float64]


def vus_pr(label: ArrayLike, score: ArrayLike, buffer: int, thresholds: int = 250) -> float:
    """VUS-PR: the area under the range-based precision-recall curve, mean over buffers 0..`buffer`.

    Each labelled range is widened on both sides by half the buffer, with a weight that falls from
    1 as `sqrt(1 - distance / buffer)`: an alarm a little before or after a fault counts in part.
    Recall is multiplied by the share of ranges that were touched at all. The figures are those of
    TSB-AD's `RangeAUC_volume_opt` (Paparrizos et al., VLDB 2022; Liu and Paparrizos, NeurIPS 2024);
    there every sample is visited for every threshold and buffer, here the samples are sorted into
    thresholds once and each buffer costs one weighted histogram.

    Args:
        label: 0/1 per record, shape `(T,)`.
        score: Score per record, higher is more anomalous, shape `(T,)`.
        buffer: Largest buffer, in records.
        thresholds: Number of thresholds, spread evenly over the ranks of the scores.

    Returns:
        VUS-PR; at most about 1. NaN if no record is labelled 1 (then it is not defined).

    Raises:
        ValueError: If shapes differ, a score is NaN, the series is empty, `buffer` is negative or
            `thresholds` is less than 1.

    Examples:
        >>> label = [0, 0, 1, 1, 0, 0]
        >>> vus_pr(label, [0.1, 0.2, 0.9, 0.8, 0.2, 0.1], buffer=0, thresholds=6)
        1.0
    """
    truth = as_label(label)
    values = as_score(score, truth.size)
    if truth.size == 0:
        raise ValueError("VUS-PR needs records. Expected at least 1. Received: records=0.")
    if buffer < 0 or not float(buffer).is_integer():
        raise ValueError(
            "A buffer is a number of records. Expected a whole buffer >= 0. "
            f"Received: buffer={buffer}."
        )
    buffer = int(buffer)
    if thresholds < 1:
        raise ValueError(
            f"A curve needs thresholds. Expected thresholds >= 1. "
            f"Received: thresholds={thresholds}."
        )
    ranges = runs(truth)
    if not len(ranges):
        return float("nan")

    ranked = -np.sort(-values)
    levels = ranked[np.linspace(0, truth.size - 1, thresholds).astype(np.int64)]
    # The first threshold (they fall) at which a record is predicted; it stays so at all later ones.
    first = np.searchsorted(-levels, -values, side="left")
    predicted = _up_to(first, None, thresholds)
    positives = float(truth.sum())
    event_hits = _up_to(first[truth], None, thresholds)

    areas = np.empty(buffer + 1)
    for window in range(buffer + 1):
        halo, weight = _halo(truth, ranges, window)
        partial = _up_to(first[halo], weight, thresholds)
        hits = event_hits + partial
        # Half of the widened mass that was not found is forgiven: TSB-AD's (P + N_labels) / 2.
        expected = (2.0 * positives + partial) / 2.0
        touched = _touched(first, ranges, window, thresholds)
        recall = np.minimum(hits / expected, 1.0) * touched
        areas[window] = np.diff(recall, prepend=0.0) @ (hits / predicted)
    return float(areas.mean())


def _halo(truth: NDArray[np.bool_], ranges: _Ints, window: int) -> tuple[_Ints, _Floats]:
    """Unlabelled records within half a window of a range, and their weights in (0, 1]."""
    half = window // 2
    if half == 0:
        return np.empty(0, np.int64), np.empty(0)
    distance = np.arange(1, half + 1)
    slope = np.sqrt(1.0 - distance / window)
    following = ranges[:, 1, None] - 1 + distance
    preceding = ranges[:, 0, None] - distance
    positions = np.concatenate([following, preceding], axis=None)
    weight = np.tile(slope, 2 * len(ranges))
    valid = (positions >= 0) & (positions < truth.size)
    positions, weight = positions[valid], weight[valid]
    outside = ~truth[positions]
    # Between two near ranges the weights of both add up, to at most 1.
    halo, index = np.unique(positions[outside], return_inverse=True)
    total = np.bincount(index, weights=weight[outside], minlength=halo.size)
    return halo, np.minimum(total, 1.0)


def _touched(first: _Ints, ranges: _Ints, window: int, thresholds: int) -> _Floats:
    """Share of the widened ranges with at least one predicted record, per threshold."""
    half = window // 2
    separate = ranges[:-1, 1] - 1 + half < ranges[1:, 0] - half
    starts = np.maximum(ranges[np.concatenate(([True], separate)), 0] - half, 0)
    ends = np.minimum(ranges[np.concatenate((separate, [True])), 1] + half, first.size)
    # reduceat takes [start, end) pairs from the even places; the sentinel allows end == T.
    padded = np.append(first, thresholds)
    # A range is touched at the first threshold that predicts any of its records.
    earliest = np.minimum.reduceat(padded, np.stack([starts, ends], axis=1).ravel())[::2]
    return _up_to(earliest, None, thresholds) / len(starts)


def _up_to(first: _Ints, weight: _Floats | None, thresholds: int) -> _Floats:
    """Weight of the records predicted at each threshold; `first == thresholds` never is."""
    histogram = np.bincount(first, weights=weight, minlength=thresholds)[:thresholds]
    total: _Floats = histogram.cumsum(dtype=np.float64)
    return total
