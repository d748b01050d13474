"""Search for the periods of a fleet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline.fit.series import Series

from .binned import Binned, binned_rows
from .candidates import DAY_US, SHORTEST_ROWS, WEEK_US, candidates, cycles_needed
from .folding import Fold, fold, profile
from .judgement import Period, is_large, judged
from .refinement import refined

MOST_KEYS: Final = 12
MOST_CHANNELS: Final = 8
MOST_BINS: Final = 1 << 17
MOST_CELLS: Final = 1_000_000  # bins of all keys and channels that are looked at
MOST_PERIODS: Final = 4
MOST_ATTEMPTS: Final = 10

WHOLE_CYCLES = 1.9  # from which on the shape of a longer period shows
SAME_LINE = 2.0  # cycles over the history by which two periods differ at least
HARMONIC = 1.05  # as much more does a period explain than its own part, or the part is the period
COMB = 2.5  # as much more than its neighbours a harmonic explains, or it is part of a shape
SHAPE = 1.4  # as much more a low multiple explains where a period is a harmonic of it
SMALLEST = 0.002  # share, as a mean over channels, from which a candidate is looked at
OVERTONES = 6  # multiples of a period that are no periods of their own unless they say much more
OVERTONE_SHARE = 0.2  # of what the longer one explains

FloatArray = NDArray[np.float64]


def find_periods(series: Sequence[Series]) -> tuple[Period, ...]:
    """Return the periods that most keys have, the clearest first; none where there is none.

    A candidate is folded in blocks of whole cycles, and each block foretold by the others. It is
    a period where that explains more than after each block was turned at random. What it explains
    is taken out before the next one is looked for, so that its harmonics and multiples are not
    told.

    Args:
        series: History of the fleet. The longest keys are looked at, and evenly spread channels.
    """
    longest = sorted(series, key=lambda s: -len(s.time_us))[:MOST_KEYS]
    if not longest or len(longest[0].time_us) < 2:
        return ()
    count = longest[0].values.shape[1]
    channels = np.unique(np.linspace(0, count - 1, MOST_CHANNELS).round().astype(np.int64))
    bins = min(MOST_BINS, len(longest[0].time_us))
    key_count = max(3, MOST_CELLS // (bins * len(channels)))
    binned = [binned_rows(s, channels, MOST_BINS) for s in longest[:key_count]]
    keys = [b for b in binned if b is not None]
    return tuple(_Search(keys, channels).run()) if keys else ()


class _Search:
    """One search, the strongest period first."""

    def __init__(self, keys: list[Binned], channels: NDArray[np.int64]) -> None:
        self._keys = keys  # less the periods found so far
        self._channels = channels
        self._span_us = max(b.span_us for b in keys)
        self._shortest_us = SHORTEST_ROWS * min(b.step_us for b in keys)
        self._folds: dict[float, list[Fold]] = {}
        self._original = keys
        self._of_original: dict[float, float] = {}
        self._left = candidates(keys)

    def run(self) -> list[Period]:
        """Return the periods."""
        periods: list[Period] = []
        for _ in range(MOST_ATTEMPTS):
            self._left = [p for p in self._left if self._strength(p) >= SMALLEST]
            if not self._left or len(periods) == MOST_PERIODS:
                break
            strongest = max(self._left, key=self._strength)
            period_us = self._shortest_alike(strongest)
            if period_us < self._shortest_us:
                self._take_out(period_us)  # and with it all of its multiples
                continue
            result = self._own_part(period_us, periods) or self._accepted(period_us, periods)
            if result is None:
                self._left = [
                    p for p in self._left if p != strongest and not self._same_line(p, period_us)
                ]
                continue
            periods.append(result)
            self._take_out(result.seconds * 1e6)
        return sorted(periods, key=lambda p: -p.share)

    def _accepted(self, period_us: float, known: Sequence[Period]) -> Period | None:
        """Return a candidate as a period that is told beside those known, or None."""
        keys = self._long_enough(period_us)
        if not is_large(self._folded(period_us), len(self._keys)) or self._is_harmonic(period_us):
            return None
        sharp_us = refined(period_us, keys)
        if sharp_us < self._shortest_us:
            return None
        result = judged(sharp_us, self._folded(sharp_us), len(self._keys), self._channels)
        return None if result is None or self._is_overtone(result, known) else result

    def _folded(self, period_us: float) -> list[Fold]:
        """Return the folds of the keys whose history is long enough."""
        if period_us not in self._folds:
            self._folds[period_us] = [fold(b, period_us) for b in self._long_enough(period_us)]
        return self._folds[period_us]

    def _long_enough(self, period_us: float) -> list[Binned]:
        needed_us = cycles_needed(period_us) * period_us
        return [b for b in self._keys if b.span_us >= needed_us and period_us >= 2 * b.step_us]

    def _strength(self, period_us: float) -> float:
        """Return the share that a period explains: median over keys, mean over channels."""
        folds = self._folded(period_us)
        if 2 * len(folds) < len(self._keys):
            return 0.0
        return float(np.median([_mean_share(f) for f in folds]))

    def _strength_of_all(self, period_us: float) -> float:
        """Return the share that a period explains of the whole history, from two cycles on."""
        if period_us not in self._of_original:
            keys = [
                b
                for b in self._original
                if b.span_us >= WHOLE_CYCLES * period_us and period_us >= 2 * b.step_us
            ]
            shares = [_mean_share(fold(b, period_us)) for b in keys]
            enough = 2 * len(keys) >= len(self._original)
            self._of_original[period_us] = float(np.median(shares)) if enough else 0.0
        return self._of_original[period_us]

    def _same_line(self, first_us: float, second_us: float) -> bool:
        return abs(1.0 / first_us - 1.0 / second_us) * self._span_us < SAME_LINE

    def _take_out(self, period_us: float) -> None:
        """Take a period out of the history."""
        self._keys = [b.less(profile(b, period_us)) for b in self._keys]
        self._folds = {}
        self._left = [p for p in self._left if not self._same_line(p, period_us)]

    def _shortest_alike(self, period_us: float) -> float:
        """Return the part of a period that explains as much: it may be a multiple."""
        strength, least_us = self._strength(period_us), 2 * self._keys[0].step_us
        for divisor in (2, 3, 5, 7):
            while period_us / divisor >= least_us:
                part = period_us / divisor
                # A cycle of few bins loses more of its shape in them.
                tolerance = HARMONIC + 1.0 / (part // self._keys[0].step_us)
                if tolerance * self._strength(part) < strength:
                    break
                period_us, strength = part, self._strength(part)
        return period_us

    def _own_part(self, period_us: float, known: Sequence[Period]) -> Period | None:
        """Return a shorter period that runs beside a longer one, if there is one.

        Ten minutes go into a day, and a day into a week. What shows at the shorter one is a
        harmonic of the longer one's shape, unless it stands out between its neighbours.
        """
        for shorter in sorted(self._left, key=self._strength, reverse=True):
            ratio = round(period_us / shorter)
            drift = abs(1.0 / shorter - ratio / period_us) * self._span_us
            if ratio < 3 or drift > 1.0 or shorter < self._shortest_us:
                continue
            if is_large(self._folded(shorter), len(self._keys)) and self._stands_out(
                shorter, ratio, period_us
            ):
                result = self._accepted(self._shortest_alike(shorter), known)
                if result is not None:
                    return result
        return None

    def _stands_out(self, shorter_us: float, ratio: int, period_us: float) -> bool:
        """Return True where a harmonic is more than its neighbours of the same shape."""
        strength = self._strength_of_all(shorter_us)
        ratios = [k for k in range(ratio - 2, ratio + 3) if k not in (0, 1, ratio)]
        if strength <= COMB * max(self._strength_of_all(period_us / k) for k in ratios):
            return False
        shape = self._strength_of_all(period_us)
        return ratio > OVERTONES or strength >= OVERTONE_SHARE * shape

    def _is_harmonic(self, period_us: float) -> bool:
        """Return True for a part of the shape of a longer period, told or too long to be told."""
        strength = self._strength_of_all(period_us)
        for ratio in {*range(2, OVERTONES + 1), *self._of_calendar(period_us)}:
            if self._strength_of_all(ratio * period_us) <= SHAPE * strength:
                continue
            if ratio == 2 or not self._stands_out(period_us, ratio, ratio * period_us):
                return True
        return False

    def _of_calendar(self, period_us: float) -> list[int]:
        """Return how often a period goes into a day and a week, where it does."""
        ratios = [(whole_us, round(whole_us / period_us)) for whole_us in (DAY_US, WEEK_US)]
        return [
            ratio
            for whole_us, ratio in ratios
            if ratio > 1 and abs(1.0 / period_us - ratio / whole_us) * self._span_us < 0.5
        ]

    def _is_overtone(self, period: Period, known: Sequence[Period]) -> bool:
        """Return True for a low multiple of a known period that explains little beside it."""
        for known_period in known:
            ratio = round(period.seconds / known_period.seconds)
            drift = abs(ratio / period.seconds - 1.0 / known_period.seconds) * self._span_us * 1e-6
            if 2 <= ratio <= OVERTONES and drift < 1.0:
                return period.share < OVERTONE_SHARE * known_period.share
        return False


def _mean_share(folded: Fold) -> float:
    moving = folded.moving
    return float(np.maximum(folded.of_slow, 0.0)[moving].mean()) if moving.any() else 0.0
