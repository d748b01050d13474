"""Budget of pages for a whole fleet: the most improbable incidents page, the others wait.

A bucket of tokens keeps the budget: it fills at the rate of the budget and holds half a week's
worth, so that no week has more than one and a half times its budget. A threshold spends the tokens
on the most improbable incidents: it is the quantile of the incidents of the last four weeks above
which as many lie as the budget allows, lower where the bucket is full, higher where it runs empty.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque

_WEEK_SECONDS = 604_800.0
_MEMORY_SECONDS = 4 * _WEEK_SECONDS
_MAX_MEMORY = 20_000
_FULL_FACTOR = 2.0
"""Rate of pages, in budgets, that a full bucket aims at; an empty one aims at none."""


class PageBudget:
    """Decision on each incident: a page at once, or the digest.

    Args:
        per_week: Pages accepted in a week.

    Examples:
        >>> budget = PageBudget(7.0)
        >>> budget.decide(0.0, 2.5)
        True
    """

    def __init__(self, per_week: float) -> None:
        self._rate = per_week / _WEEK_SECONDS
        self._capacity = max(1.0, per_week / 2)
        self._tokens = self._capacity
        self._filled_at: float | None = None
        self._began: float | None = None
        self._memory: deque[tuple[float, float]] = deque()
        self._sorted: list[float] = []

    def decide(self, now: float, severity: float, *, is_limit: bool = False) -> bool:
        """Decide on a new incident, and remember it.

        Args:
            now: Time, in seconds.
            severity: Improbability of the incident.
            is_limit: A hard limit was crossed: it always pages.
        """
        self._remember(now, severity)
        pages = is_limit or (self._tokens >= 1.0 and severity >= self._threshold(now))
        if pages:
            self._spend()
        return pages

    def reconsider(self, now: float, severity: float, *, is_limit: bool = False) -> bool:
        """Decide again on an incident in the digest, which has grown."""
        self._fill(now)
        pages = is_limit or (self._tokens >= 1.0 and severity >= self._threshold(now))
        if pages:
            self._spend()
        return pages

    def restore(self, now: float, severity: float, *, paged: bool) -> None:
        """Take over an incident that was decided on before a restart, in order of time."""
        self._remember(now, severity)
        if paged:
            self._spend()

    def _threshold(self, now: float) -> float:
        """Return the improbability from which an incident pages."""
        start = now if self._began is None else self._began
        seconds = min(max(now - start, _WEEK_SECONDS / 7), _MEMORY_SECONDS)
        # Incidents of the remembered time that may page, if all of it went as now.
        allowed = self._rate * seconds * _FULL_FACTOR * self._tokens / self._capacity
        index = len(self._sorted) - max(1, round(allowed))
        return self._sorted[index] if index > 0 else float("-inf")

    def _remember(self, now: float, severity: float) -> None:
        self._fill(now)
        if self._began is None:
            self._began = now
        self._memory.append((now, severity))
        insort(self._sorted, severity)
        while self._memory[0][0] < now - _MEMORY_SECONDS or len(self._memory) > _MAX_MEMORY:
            _, forgotten = self._memory.popleft()
            del self._sorted[bisect_left(self._sorted, forgotten)]

    def _fill(self, now: float) -> None:
        if self._filled_at is not None:
            seconds = max(0.0, now - self._filled_at)
            self._tokens = min(self._capacity, self._tokens + seconds * self._rate)
        self._filled_at = now if self._filled_at is None else max(now, self._filled_at)

    def _spend(self) -> None:
        # A hard limit may page with an empty bucket. It is no debt of the others.
        self._tokens = max(0.0, self._tokens - 1.0)
