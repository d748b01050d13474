"""Comparison of a candidate with the live model: the same records, but no events.

A candidate begins with the measurements in the live rows of each key, keeps its own state in
memory only, and begins anew after a restart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline import FleetModel
from stream.keys import key_text

from .result import ScoreColumns

EDGES = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Upper edges of the histogram of the distance of two severities; the last bin is open."""
_FURTHEST_ROWS = 10


@dataclass
class Comparison:
    """Scores and decisions of two models on the same rows, as sums that add up over workers.

    Attributes:
        rows: Rows both scored.
        only_live: Rows only the live model scored: the candidate still warms up.
        only_candidate: Rows only the candidate scored.
        anomalies: Anomalies of `both`, or of `live` or `candidate` alone.
        firing: Rows within an episode of `both`, or of `live` or `candidate` alone.
        triggers: Firings of `live` and of `candidate`.
        sums: Sums of severities: live, candidate, their squares and their product.
        apart: Rows by distance of the two severities, one more than `EDGES`.
        furthest: The rows furthest apart: distance, key, event time (microseconds), severities.
        failed: Reason why the candidate was given up; empty while it runs.
    """

    rows: int = 0
    only_live: int = 0
    only_candidate: int = 0
    anomalies: dict[str, int] = field(default_factory=lambda: _zeros("both", "live", "candidate"))
    firing: dict[str, int] = field(default_factory=lambda: _zeros("both", "live", "candidate"))
    triggers: dict[str, int] = field(default_factory=lambda: _zeros("live", "candidate"))
    sums: list[float] = field(default_factory=lambda: [0.0] * 5)
    apart: list[int] = field(default_factory=lambda: [0] * (len(EDGES) + 1))
    furthest: list[tuple[float, str, int, float, float]] = field(default_factory=list)
    failed: str = ""

    def add(self, keys: list[bytes], live: ScoreColumns, candidate: ScoreColumns) -> None:
        """Compare the scored rows of one step.

        Args:
            keys: Key of each sample of the batch.
            live: Scored rows of the live model.
            candidate: Scored rows of the candidate.
        """
        a, b = _matched(live, candidate)
        self.rows += a.size
        self.only_live += live.score.size - a.size
        self.only_candidate += candidate.score.size - b.size
        self.triggers["live"] += int((live.trigger > 0).sum())
        self.triggers["candidate"] += int((candidate.trigger > 0).sum())
        if not a.size:
            return
        _count(self.anomalies, live.anomaly[a], candidate.anomaly[b])
        _count(self.firing, live.firing[a], candidate.firing[b])
        x, y = live.severity[a].astype(np.float64), candidate.severity[b].astype(np.float64)
        for i, total in enumerate((x, y, x * x, y * y, x * y)):
            self.sums[i] += float(total.sum())
        distance = np.abs(x - y)
        # Bin `i` holds distances up to edge `i`; the last one those beyond all edges.
        bins = np.bincount(np.searchsorted(EDGES, distance, side="left"), minlength=len(self.apart))
        self.apart = [old + int(new) for old, new in zip(self.apart, bins, strict=True)]
        for i in np.argsort(-distance, kind="stable")[:_FURTHEST_ROWS].tolist():
            row = int(a[i])
            key = key_text(live.silent.get(row) or keys[int(live.sample[row])])
            time_us = int(live.time_us[a[i]])
            self.furthest.append((float(distance[i]), key, time_us, float(x[i]), float(y[i])))
        self.furthest = sorted(self.furthest, key=lambda row: -row[0])[:_FURTHEST_ROWS]

    def merge(self, other: Comparison) -> None:
        """Add the comparison of another worker."""
        self.rows += other.rows
        self.only_live += other.only_live
        self.only_candidate += other.only_candidate
        for total, counts in (
            (self.anomalies, other.anomalies),
            (self.firing, other.firing),
            (self.triggers, other.triggers),
        ):
            for name, number in counts.items():
                total[name] += number
        self.sums = [a + b for a, b in zip(self.sums, other.sums, strict=True)]
        self.apart = [a + b for a, b in zip(self.apart, other.apart, strict=True)]
        rows = [*self.furthest, *other.furthest]
        self.furthest = sorted(rows, key=lambda row: -row[0])[:_FURTHEST_ROWS]
        self.failed = self.failed or other.failed

    @property
    def correlation(self) -> float:
        """Pearson's correlation of the severities; NaN where one of them never changed."""
        x, y, xx, yy, xy = self.sums
        n = float(self.rows)
        variances = (n * xx - x * x) * (n * yy - y * y)
        return (n * xy - x * y) / variances**0.5 if variances > 0 else float("nan")

    def body(self) -> dict[str, Any]:
        """Return the comparison as JSON values."""
        return asdict(self)


def check_candidate(candidate: FleetModel, channels: Sequence[str]) -> None:
    """Refuse a candidate that cannot read the records of the live model.

    Raises:
        ValueError: If it has other channels.
    """
    if tuple(candidate.sources) != tuple(channels):
        raise ValueError(
            "A candidate is shown the records of the live model. Expected its channels, "
            f"{list(channels)}. Received: channels={list(candidate.sources)}."
        )


def _zeros(*names: str) -> dict[str, int]:
    return dict.fromkeys(names, 0)


def _count(counts: dict[str, int], live: NDArray[np.bool_], candidate: NDArray[np.bool_]) -> None:
    counts["both"] += int((live & candidate).sum())
    counts["live"] += int((live & ~candidate).sum())
    counts["candidate"] += int((~live & candidate).sum())


def _matched(a: ScoreColumns, b: ScoreColumns) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the indices of the rows that both have, by sample, time and silent key."""
    sample = np.concatenate([a.sample, b.sample])
    time_us = np.concatenate([a.time_us, b.time_us])
    known = dict.fromkeys([*a.silent.values(), *b.silent.values()])
    number = {key: i for i, key in enumerate(known, start=1)}
    silent = np.zeros(sample.size, dtype=np.int64)
    for offset, columns in ((0, a), (a.sample.size, b)):
        for row, key in columns.silent.items():
            silent[offset + row] = number[key]
    # Stable: of equal rows the live one comes first.
    order = np.lexsort((time_us, silent, sample))
    first, second = order[:-1], order[1:]
    in_both = (sample[first] == sample[second]) & (time_us[first] == time_us[second])
    in_both &= silent[first] == silent[second]
    return first[in_both], second[in_both] - a.sample.size
