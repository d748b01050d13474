"""The score of the Numenta Anomaly Benchmark: early detections count more, false ones cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._ranges import as_score

_Floats = NDArray[np.float64]

PROBATION: Final = 0.15
"""Share of a series that is not scored, of at most `PROBATION_RECORDS` of it."""
PROBATION_RECORDS: Final = 5000


class NabCosts(NamedTuple):
    """Weights of the outcomes; the benchmark's profiles are in `NAB_PROFILES`."""

    true_positive: float = 1.0
    false_positive: float = 0.11
    false_negative: float = 1.0


NAB_PROFILES: Final = {
    "standard": NabCosts(),
    "reward_low_FP_rate": NabCosts(false_positive=0.22),
    "reward_low_FN_rate": NabCosts(false_negative=2.0),
}


class NabSeries(NamedTuple):
    """One series of the benchmark."""

    score: ArrayLike
    """Higher is more anomalous, shape `(T,)`."""
    windows: Sequence[tuple[int, int]]
    """First and last record of each labelled window, both counted in; rising, apart."""


class NabScore(NamedTuple):
    """A score over all series at one threshold."""

    score: float
    """100 for every window caught at its first record and nothing else, 0 for no detection."""
    threshold: float
    """Flag where `score >= threshold`; infinite if flagging nothing is best."""
    caught: int
    """Windows with a flagged record."""
    windows: int
    """Windows outside of probation."""
    false_positives: int
    """Flagged records outside of any window."""


def nab_score(
    series: Sequence[NabSeries],
    costs: NabCosts = NAB_PROFILES["standard"],
    threshold: float | None = None,
) -> NabScore:
    """Score of a detector on all series, with one threshold for all of them.

    A window is worth its best flagged record, `tp S(y) / S(-1)` with `S(y) = 2 / (1 + e^(5y)) - 1`
    and `y` rising from -1 at its first record towards 0; a missed one costs `fn`. Every flagged
    record outside costs up to `fp`, less shortly after a window. The sum is put on a scale from the
    detector that flags nothing (0) to the perfect one (100). Follows Lavin and Ahmad (ICMLA 2015)
    and the benchmark's own scorer; its threshold too is the best one for the sum.

    Args:
        series: Scores and windows.
        costs: Weights of the outcomes.
        threshold: Score from which a record is flagged; None takes the best one for the sum, as
            the benchmark does for every detector.

    Returns:
        The score and what it is made of; NaN if no window lies outside of probation.

    Raises:
        ValueError: If a score is NaN, or windows overlap, fall or reach beyond their series.

    Examples:
        >>> found = [0.0] * 60 + [1.0] + [0.0] * 39
        >>> nab_score([NabSeries(found, [(60, 79)])]).score
        100.0
    """
    parts = [_worth(item, costs) for item in series]
    first = np.cumsum([0, *(len(item.windows) for item in series)])
    score = np.concatenate([np.empty(0), *(p.score for p in parts)])
    worth = np.concatenate([np.empty(0), *(p.worth for p in parts)])
    window = np.concatenate(
        [
            np.empty(0, dtype=np.int64),
            *(
                np.where(p.window >= 0, p.window + start, -1)
                for p, start in zip(parts, first[:-1], strict=True)
            ),
        ]
    )
    order = np.argsort(-score, kind="stable")
    score, worth, window = score[order], worth[order], window[order]
    windows = np.unique(window[window >= 0])
    baseline = -costs.false_negative * len(windows)
    perfect = costs.true_positive * len(windows)
    change = np.where(window < 0, worth, 0.0)
    for number in windows:
        records = np.flatnonzero(window == number)
        best = np.maximum.accumulate(np.append(-costs.false_negative, worth[records]))
        # A window counts once: a later record adds only the gain over the best one so far.
        change[records] = np.diff(best)
    # The last record of each distinct score; in front the threshold that flags nothing.
    ends = np.flatnonzero(np.append(score[1:] != score[:-1], True)) if score.size else order
    sums = np.append(baseline, baseline + np.cumsum(change)[ends])
    levels = np.append(np.inf, score[ends])
    cut = int(sums.argmax())
    if threshold is not None:
        cut = int(np.count_nonzero(levels[1:] >= threshold))
    flagged = int(ends[cut - 1]) + 1 if cut else 0
    return NabScore(
        score=float(100.0 * (sums[cut] - baseline) / (perfect - baseline))
        if len(windows)
        else float("nan"),
        threshold=float(levels[cut]) if threshold is None else threshold,
        caught=len(np.unique(window[:flagged][window[:flagged] >= 0])),
        windows=len(windows),
        false_positives=int((window[:flagged] < 0).sum()),
    )


def nab_probation(records: int) -> int:
    """Records at the start of a series that are not scored."""
    return int(min(PROBATION * records, PROBATION * PROBATION_RECORDS))


class _Worth(NamedTuple):
    """Scored records of one series: what flagging each is worth, and its window or -1."""

    score: _Floats
    worth: _Floats
    window: NDArray[np.int64]


def _worth(series: NabSeries, costs: NabCosts) -> _Worth:
    size = np.size(series.score)
    score = as_score(series.score, size)
    worth = np.full(size, -costs.false_positive)
    window = np.full(size, -1, dtype=np.int64)
    next_free = 0
    for number, (start, last) in enumerate(series.windows):
        is_whole = float(start).is_integer() and float(last).is_integer()
        if not (is_whole and next_free <= start <= last < size):
            raise ValueError(
                "Windows must be record numbers, rise, lie apart and end within their series. "
                f"Expected {next_free} <= first <= last < {size}. "
                f"Received: window=({start}, {last})."
            )
        start, last = int(start), int(last)
        width = last - start + 1
        records = np.arange(start, last + 1)
        # -1 at the first record of the window, nearly 0 at its last.
        position = -(last - records + 1) / width
        worth[records] = costs.true_positive * _sigmoid(position) / _sigmoid(-1.0)
        window[records] = number
        # up to the next window, which overwrites its own records
        later = np.arange(last + 1, size)
        distance = (later - last) / (width - 1) if width > 1 else np.full(later.size, 3.0)
        worth[later] = costs.false_positive * np.where(distance >= 3.0, -1.0, _sigmoid(distance))
        next_free = last + 1
    begin = nab_probation(size)
    return _Worth(score[begin:], worth[begin:], window[begin:])


def _sigmoid(position: float | _Floats) -> _Floats:
    """The benchmark's scaled sigmoid: 0.987 at -1, 0 at 0, -0.987 at 1."""
    return np.asarray(2.0 / (1.0 + np.exp(5.0 * np.minimum(position, 3.0))) - 1.0)
