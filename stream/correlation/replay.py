"""Incidents of recorded triggers: the ones that `ember incidents` would have told of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from .body import IncidentBody
from .correlator import Correlator, Rules
from .page_budget import PageBudget
from .trigger import read_trigger

_DAY_SECONDS = 86_400.0
_STEP_SECONDS = 30.0
_TP = ("", 0)


class Told(NamedTuple):
    """A message and its time, in seconds since the epoch."""

    time: float
    body: IncidentBody


class Summary(NamedTuple):
    """Incidents of a period.

    Attributes:
        incidents: Number of incidents.
        pages: Number of those that page, at once or when they have grown.
        days: Length of the period.
    """

    incidents: int
    pages: int
    days: float

    @property
    def pages_per_day(self) -> float:
        """Pages of a day, on average."""
        return self.pages / self.days


def replay(
    triggers: Iterable[tuple[float, bytes]], rules: Rules, pages_per_week: float | None
) -> list[Told]:
    """Return the messages about the incidents of triggers that arrive at their event times.

    Args:
        triggers: Times in seconds since the epoch, in order, and bodies.
        rules: Rules of belonging together.
        pages_per_week: Budget of pages; None: every incident is a page.
    """
    budget = None if pages_per_week is None else PageBudget(pages_per_week)
    correlator = Correlator(rules, budget)
    messages: list[Told] = []

    def write(now: float) -> None:
        for message in correlator.due(now):
            messages.append(Told(now, message.body))
            correlator.written(message, now)

    now = float("-inf")
    for offset, (time, body) in enumerate(triggers):
        # In steps while anything may come due, and over quiet times at once.
        while now + _STEP_SECONDS < time and (correlator.open or correlator.firing):
            now += _STEP_SECONDS
            write(now)
        now = max(now, time)
        trigger = read_trigger(body)
        if trigger is not None:
            correlator.take(_TP, offset, trigger, now)
            write(now)
    for _ in range(3):  # to be gathered, to be told, and to end
        now += max(rules.gather, _STEP_SECONDS)
        write(now)
    return messages


def summarise(messages: Iterable[Told], first: float, last: float) -> Summary:
    """Count incidents and pages of a period.

    Args:
        messages: Messages of `replay`.
        first: Begin of the period, in seconds since the epoch.
        last: End of the period.
    """
    bodies = [message.body for message in messages]
    incidents = {body.id for body in bodies}
    pages = {body.id for body in bodies if body.page}
    return Summary(len(incidents), len(pages), max(last - first, 1.0) / _DAY_SECONDS)
