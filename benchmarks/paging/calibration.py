"""Pages of any detector: one threshold for a fleet, from the peaks of its training scores.

An episode begins where a score reaches the threshold and ends once it has stayed below for ten
rows. Scores of a key count in units of its own training scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .assessment import Page, assess, assessed
from .fleet import Fleet, Floats

BUDGETS: Final = {".5": 0.5, ".14": 1.0 / 7.0, ".03": 1.0 / 30.0}
"""False pages accepted per key and day: two days, a week and a month between them."""
MERGE_ROWS: Final = 10
_COUNTED: Final = 5.0  # pages in all of training; for a rarer one the tail is drawn on
_STEPS: Final = 400


@dataclass(frozen=True, eq=False)
class Scored:
    """Scores of a detector, per key in the fleet's order.

    Attributes:
        train: Of the training rows, out of sample where the detector has a way.
        test: Of the scored rows.
        named: Places of the three most suspicious channels at each scored row, `(n, 3)`.
    """

    train: Sequence[Floats]
    test: Sequence[Floats]
    named: Sequence[NDArray[np.int64]]

    def in_units(self) -> Scored:
        """The same with every key's scores from its median, over its own .999 quantile."""
        train, test = [], []
        for fitted, scored in zip(self.train, self.test, strict=True):
            low, high = np.quantile(fitted, [0.5, 0.999]) if len(fitted) else (0.0, 1.0)
            unit = max(float(high - low), 1e-9)
            train.append((fitted - low) / unit)
            test.append((scored - low) / unit)
        return Scored(train, test, self.named)


def spans(score: Floats, threshold: float) -> list[tuple[int, int]]:
    """First row of each episode, and the row that ends it."""
    rows = np.flatnonzero(score >= threshold)
    if not rows.size:
        return []
    breaks = np.flatnonzero(np.diff(rows) > MERGE_ROWS)
    firsts = rows[np.concatenate([[0], breaks + 1])]
    lasts = rows[np.concatenate([breaks, [rows.size - 1]])]
    return list(zip(firsts.tolist(), (lasts + MERGE_ROWS).tolist(), strict=True))


def threshold(train: Sequence[Floats], key_days: float, a_day: float) -> float:
    """Lowest threshold at which training pages at most so often per key and day.

    Where that is fewer than five pages in all, the number is taken to fall on exponentially, as
    it does from twenty pages to five.
    """
    levels = _levels(train)
    counts = np.array([sum(len(spans(s, level)) for s in train) for level in levels], dtype=float)
    # From the top down: below a bursty level there can be fewer episodes, merged to one.
    counts = np.maximum.accumulate(counts[::-1])[::-1]
    page_count = a_day * key_days
    least = max(page_count, _COUNTED)
    index = int(np.argmax(counts <= least))
    if page_count >= _COUNTED or counts[index] > least:
        return float(levels[index])
    earlier = int(np.argmax(counts <= 4 * _COUNTED))
    fall = np.log(max(counts[earlier], 1.0) / max(counts[index], 1.0))
    slope = (levels[index] - levels[earlier]) / max(float(fall), 0.1)
    rarer = np.log(max(counts[index], 1.0) / page_count)
    return float(levels[index] + max(slope, 0.0) * max(float(rarer), 0.0))


def figures(fleet: Fleet, scored: Scored) -> dict[str, dict[str, Any]]:
    """Operator's figures of a detector at each budget, and the most it could page.

    `true_rate` of a budget is the most faults paged at any threshold that keeps the false pages of
    the scored part within it: it looks at the faults, and says how good the order alone is.
    """
    units = scored.in_units()
    out: dict[str, dict[str, Any]] = {}
    results = []
    for level in _levels(units.test, 120):
        at_level = assess(fleet, pages(fleet, units, level))
        results.append((at_level.false_a_day, at_level.paged))
    for name, a_day in BUDGETS.items():
        level = threshold(units.train, fleet.key_days(train=True), a_day)
        row = assessed(fleet, pages(fleet, units, level))
        row["true_rate"] = most(results, a_day)
        out[name] = row
    return out


def most(results: Sequence[tuple[float, int]], a_day: float) -> int:
    """Most faults paged within a budget, among pairs of false pages a day and faults paged."""
    return max((paged for false_a_day, paged in results if false_a_day <= a_day), default=0)


def pages(fleet: Fleet, scored: Scored, level: float) -> list[Page]:
    """Pages of the scored part at a threshold; each names the channels of its first row."""
    out = []
    for series, score, channel_index in zip(fleet.keys, scored.test, scored.named, strict=True):
        times = series.times_us[~series.train]
        for first, last in spans(score, level):
            names = tuple(fleet.channels[i] for i in channel_index[first])
            out.append(Page(series.key, int(times[first]), "firing", names))
            if last < len(times):
                out.append(Page(series.key, int(times[last]), "resolved"))
    return out


def _levels(scores: Sequence[Floats], steps: int = _STEPS) -> Floats:
    """Thresholds to try, from a high quantile to beyond the largest score."""
    all_scores = np.concatenate(list(scores))
    top = float(all_scores.max())
    shares = np.geomspace(0.03, 0.5 / len(all_scores), steps)
    levels = np.unique(np.quantile(all_scores, 1.0 - shares))
    return np.append(levels, top + max(abs(top), 1.0) * 1e-6)
