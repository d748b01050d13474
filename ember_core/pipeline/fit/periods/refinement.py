"""Sharpening of a period: to a phase that holds over the whole history, and to a round number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from .binned import Binned
from .candidates import CALENDAR_US, DAY_US, WEEK_US
from .folding import Fold, fold

_STEPS_A_CYCLE = 20  # phase that neighbours on the grid differ by over the history
_REACH = 8  # steps to each side
_ROUND_DRIFT = 0.05  # cycles over the history that rounding may cost
_CALENDAR_DRIFT = 0.7
_CIVIL_DRIFT = 0.15  # within which a day is a day: a change of clocks in between shifts it
_AS_MUCH = 0.02  # share of the explained variance that a rounder period may lose
_CALENDAR_AS_MUCH = 0.06
_NOISE = 3.0  # or as many deviations of the difference over the blocks
_UNITS_US = (3_600_000_000, 300_000_000, 60_000_000, None, 1_000_000)
"""Units of round periods; None: the usual interval of the rows."""


def refined(period_us: float, keys: Sequence[Binned]) -> float:
    """Return the period that explains most near one, or a rounder one that explains as much.

    Args:
        period_us: A period, right to half a cycle over the history.
        keys: Histories that are long enough for it.
    """
    span_us, interval_us = max(b.span_us for b in keys), min(b.step_us for b in keys)

    def folded(candidate_us: float) -> list[Fold]:
        return [fold(b, candidate_us) for b in keys]

    steps = np.arange(-_REACH, _REACH + 1) / (_STEPS_A_CYCLE * span_us)
    grid = [1.0 / (1.0 / period_us + step) for step in steps.tolist()]
    two_bins = 2 * max(b.step_us for b in keys)
    grid = [p for p in grid if p >= two_bins]
    totals = [_total(folded(p)) for p in grid]
    best_us = 1.0 / _vertex([1.0 / p for p in grid], totals)
    best = folded(best_us)
    for civil_us in (DAY_US, WEEK_US):
        if abs(1.0 / best_us - 1.0 / civil_us) * span_us <= _CIVIL_DRIFT:
            return float(civil_us)
    for option in _round_periods(best_us, span_us, interval_us):
        as_much = _CALENDAR_AS_MUCH if option in CALENDAR_US else _AS_MUCH
        if _explains_as_much(folded(option), best, as_much):
            return option
    return best_us


def _round_periods(period_us: float, span_us: float, interval_us: float) -> Iterator[float]:
    """Yield round periods near one, the ones preferred first."""
    for calendar_us in reversed(CALENDAR_US):
        if abs(1.0 / period_us - 1.0 / calendar_us) * span_us <= _CALENDAR_DRIFT:
            yield float(calendar_us)
    for unit in _UNITS_US:
        unit_us = unit or interval_us
        rounded = round(period_us / unit_us) * unit_us
        if rounded and abs(1.0 / period_us - 1.0 / rounded) * span_us <= _ROUND_DRIFT:
            yield float(rounded)


def _vertex(places: list[float], heights: list[float]) -> float:
    """Return the place of the largest height, between its neighbours on an even grid."""
    i = int(np.argmax(heights))
    if not 0 < i < len(heights) - 1:
        return places[i]
    left, top, right = heights[i - 1 : i + 2]
    bend = 2.0 * top - left - right
    return places[i] + (places[i + 1] - places[i]) * (right - left) / (2.0 * bend + 1e-12)


def _total(folds: Sequence[Fold]) -> float:
    return sum(float(_by_block(f).sum()) for f in folds)


def _by_block(folded: Fold) -> NDArray[np.float64]:
    """Return the share that is explained of each block, the sum over channels."""
    slow = np.where(folded.moving, folded.slow, np.inf)
    return np.asarray((folded.explained / slow[:, None]).sum(axis=0))


def _explains_as_much(folds: Sequence[Fold], best: Sequence[Fold], as_much: float) -> bool:
    """Return True where a period's loss against the best is small, or within its noise."""
    losses = []
    for rounder, optimum in zip(folds, best, strict=True):
        blocks = max(rounder.explained.shape[1], optimum.explained.shape[1])
        of_rounder, of_other = np.zeros((2, blocks))
        of_rounder[: rounder.explained.shape[1]] = _by_block(rounder)
        of_other[: optimum.explained.shape[1]] = _by_block(optimum)
        losses.append(of_other - of_rounder)
    block_losses = np.concatenate(losses)
    loss = float(block_losses.sum())
    noise = float(block_losses.std()) * np.sqrt(len(block_losses))
    return bool(loss <= max(as_much * _total(best), _NOISE * noise))
