"""Pages of a history by the on-threshold of the motor neuron, and the threshold of a budget."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.floating[Any]]
COUNTED_PAGES: Final = 5
"""Fewer pages of all the history are no rate: beyond them it is extrapolated."""
SLOPES: Final = (0.3, 2.0)
"""Severity in which pages become 10 times rarer, least and most."""
USUAL_SLOPE: Final = 1.0
COMMON_PAGES: Final = 0.5
"""Pages per key and day up to which the history is taken at its word."""
CAUTION: Final = 1.75
"""Chosen on five fleets of the `ordinary` benchmark: with 1.5, budgets of .14 and .033 became .21
and .07 pages a key and day in the mean; with it .18 and .06; with 2 .14 and .03, and up to a tenth
of the faults fewer."""


@dataclass(frozen=True)
class PageRates:
    """Pages of the history by on-threshold, from severity 0 on: once per key and day.

    Attributes:
        levels: On-thresholds, rising, `(L,)`.
        pages_per_key_day: Pages per key and day at each, never rising, `(L,)`.
        days: Days of all keys together.
        reachable: Largest severity that evidence can have.
    """

    levels: Numbers
    pages_per_key_day: Numbers
    days: float
    reachable: float = inf

    def level(self, budget_per_key_day: float) -> float:
        """Return the on-threshold with at most as many pages per key and day.

        The history shows fewer rare pages than the weeks after it, though no row of it has made
        its own profile. So thresholds above that of `COMMON_PAGES` lie `CAUTION` times as far
        above it as the history says.
        """
        common, level = self._counted(COMMON_PAGES), self._counted(budget_per_key_day)
        return common + CAUTION * (level - common) if level > common else level

    def pages_at(self, level: float) -> float:
        """Return the pages per key and day to expect at an on-threshold."""
        common = self._counted(COMMON_PAGES)
        if level > common:
            level = common + (level - common) / CAUTION
        last, slope = self._tail()
        if level <= self.levels[last]:
            place = min(int(np.searchsorted(self.levels, level)), len(self.levels) - 1)
            return float(self.pages_per_key_day[place])
        return self._rare(last) * float(10.0 ** (-(level - float(self.levels[last])) / slope))

    def checked_level(self, budget_per_key_day: float) -> float:
        """Return the on-threshold of a budget.

        Raises:
            ValueError: If no evidence can reach it.
        """
        level = self.level(budget_per_key_day)
        if level > self.reachable:
            raise ValueError(
                f"A budget of {budget_per_key_day:.3g} pages per key and day can never fire: it "
                f"needs a severity of {level:.2f}, and the evidence reaches {self.reachable:.2f}. "
                "Expected a larger budget, or a longer history to train on."
            )
        return level

    def is_reachable(self, budget_per_key_day: float) -> bool:
        """Test that evidence can reach the on-threshold of a budget, so that pages are possible."""
        return self.level(budget_per_key_day) <= self.reachable

    def _counted(self, budget_per_key_day: float) -> float:
        """Return the lowest on-threshold with at most as many pages of the history.

        The last 5 pages of the history are no rate. Beyond them the level follows from the slope
        between as many pages and four times as many.
        """
        affordable = np.flatnonzero(self.pages_per_key_day <= budget_per_key_day)
        if affordable.size and budget_per_key_day >= COUNTED_PAGES / self.days:
            return float(self.levels[affordable[0]])
        last, slope = self._tail()
        return float(self.levels[last] + slope * np.log10(self._rare(last) / budget_per_key_day))

    def _rare(self, last: int) -> float:
        """Return the pages per key and day at the last level with enough of them for a rate."""
        return max(float(self.pages_per_key_day[last]), 1.0 / self.days)

    def _tail(self) -> tuple[int, float]:
        """Return the last level with enough pages for a rate, and the slope that leads to it."""
        counted = np.flatnonzero(self.pages_per_key_day >= COUNTED_PAGES / self.days)
        last = int(counted[-1]) if counted.size else 0
        pages = self.pages_per_key_day[last]
        rare_enough = np.flatnonzero(
            self.pages_per_key_day >= min(4.0 * pages, self.pages_per_key_day[0])
        )
        ratio = float(self.pages_per_key_day[rare_enough[-1]] / pages) if pages > 0 else 1.0
        if ratio <= 1.2:
            return last, USUAL_SLOPE
        slope = float(self.levels[last] - self.levels[rare_enough[-1]]) / float(np.log10(ratio))
        return last, min(max(slope, SLOPES[0]), SLOPES[1])

    def to_json(self) -> dict[str, Any]:
        """Return the values that `from_json` makes an equal object of."""
        return {
            "levels": [round(float(level), 4) for level in self.levels],
            "pages_per_key_day": [float(rate) for rate in self.pages_per_key_day],
            "days": self.days,
            "reachable": None if self.reachable == inf else self.reachable,
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> PageRates:
        """Return the object that `to_json` gave the values of."""
        return cls(
            np.array(values["levels"], dtype=np.float64),
            np.array(values["pages_per_key_day"], dtype=np.float64),
            float(values["days"]),
            inf if values["reachable"] is None else float(values["reachable"]),
        )
