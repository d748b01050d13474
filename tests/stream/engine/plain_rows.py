"""Rows of one key in plain Python, one sample after the other: what the engine is held to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from stream.engine.state.layout import WindowSpec

NAN = math.nan


class PlainSample(NamedTuple):
    """A sample: values by column, and what the format says of counters."""

    time_us: int
    values: Sequence[float]
    temporality: int = 0
    start_us: int = 0


@dataclass
class PlainCounter:
    """The increase of one counter, sample by sample.

    - The first sample has none; nor has one longer than the gap after the one before.
    - A fall, or a later start time, is a reset: the increase is the new value.
    - A sample that is not newer than the newest adds nothing.
    - A delta is the increase itself, over the time since its start.
    """

    resets: bool = True
    gap_us: float = math.inf
    value: float = NAN
    time_us: float = -math.inf
    start_us: int = 0

    def increase(self, sample: PlainSample, value: float) -> tuple[float, float]:
        """Return increase and seconds; NaN where the sample has none."""
        time_us, start_us = sample.time_us, sample.start_us
        newer = time_us > self.time_us
        known = not math.isinf(self.time_us) and time_us - self.time_us <= self.gap_us
        result = NAN, NAN
        if sample.temporality == 1:
            since = start_us or (self.time_us if known else math.inf)
            if since < time_us and time_us != self.time_us:
                result = value, (time_us - since) / 1e6
        elif newer and known:
            change = value - self.value
            if self.resets and (change < 0 or (start_us > self.start_us > 0)):
                change = value
            result = change, (time_us - self.time_us) / 1e6
        if newer:
            self.value, self.time_us, self.start_us = value, time_us, start_us
        return result


@dataclass
class _Interval:
    parts: dict[int, list[tuple[int, float, float]]] = field(default_factory=dict)


def aggregate(use: str, parts: list[tuple[int, float, float]]) -> float:
    """Aggregate (time, value, seconds) of one channel, in order of arrival."""
    if not parts:
        return NAN
    values = [value for _, value, _ in parts]
    direct: dict[str, Any] = {
        "last": lambda: sorted(parts, key=lambda part: part[0])[-1][1],
        "first": lambda: sorted(parts, key=lambda part: part[0])[0][1],
        "min": lambda: min(values),
        "max": lambda: max(values),
        "mean": lambda: math.fsum(values) / len(values),
        "sum": lambda: math.fsum(values),
        "delta": lambda: math.fsum(values),
        "count": lambda: float(len(values)),
        "std": lambda: float(np.std(values)),
        "rate": lambda: math.fsum(values) / math.fsum(seconds for _, _, seconds in parts),
    }
    return direct[use]() if use in direct else float(np.percentile(values, float(use[1:])))


def plain_rows(
    samples: Sequence[PlainSample],
    uses: Sequence[str],
    window: WindowSpec,
    gap_us: float = math.inf,
) -> tuple[list[tuple[int, list[float]]], int]:
    """Return the rows (time, values by column) of a key's samples, and the count of late ones."""
    counters = [PlainCounter(use == "rate", gap_us) for use in uses]
    interval_us, lateness_us = window.interval_us, window.lateness_us
    rows: list[tuple[int, list[float]]] = []
    open_intervals: dict[int, _Interval] = {}
    newest, late = -math.inf, 0
    for sample in samples:
        start = sample.time_us - sample.time_us % interval_us
        if window.mode == "time":
            is_late = start + interval_us + lateness_us <= newest
        else:
            is_late = sample.time_us <= newest
        if is_late:
            late += 1
            continue
        newest = max(newest, sample.time_us)
        parts: dict[int, tuple[int, float, float]] = {}
        for column, (use, counter) in enumerate(zip(uses, counters, strict=True)):
            value, seconds = sample.values[column], NAN
            if math.isnan(value):
                continue
            if use in ("rate", "delta"):
                value, seconds = counter.increase(sample, value)
            if not math.isnan(value):
                parts[column] = sample.time_us, value, seconds
        if window.mode == "count":
            row = [aggregate(use, [parts[i]] if i in parts else []) for i, use in enumerate(uses)]
            rows.append((sample.time_us, row))
            continue
        for begun in sorted(open_intervals):
            if begun + interval_us + lateness_us <= newest:
                inside = open_intervals.pop(begun).parts
                rows.append(
                    (begun, [aggregate(use, inside.get(i, [])) for i, use in enumerate(uses)])
                )
        held = open_intervals.setdefault(start, _Interval()).parts
        for column, part in parts.items():
            held.setdefault(column, []).append(part)
    return rows, late
