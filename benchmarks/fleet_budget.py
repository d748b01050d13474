"""A month of ordinary telemetry under a budget of pages for the whole fleet: who is woken for what?

Hosts of `ordinary` run for a month with some three faults a day. The triggers of a backtest become
incidents, and the budget decides which of them page. The same triggers without a budget show what
the detection itself allows.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

import numpy as np

from benchmarks.frame import log_progress
from benchmarks.markdown import table
from benchmarks.ordinary.variants import make
from benchmarks.ordinary.write import dataset
from benchmarks.paging.fleet import MARGIN_ROWS, Fault, Fleet, KeySeries
from ember_core.pipeline import CivilCalendar
from stream.backtest import backtest
from stream.correlation import Rules, Told, replay
from stream.event_times import parse_time
from stream.training import train

PROMPT_SECONDS: Final = 600.0
"""Time from the first row of a fault within which a page is prompt."""
_DAY: Final = 86_400.0
_WEEK: Final = 7 * _DAY
OUTCOMES: Final = ("prompt", "late", "digest", "untold")
"""Of a fault: paged within ten minutes, paged later, told in the digest only, and not at all."""

Triggers = Sequence[tuple[float, bytes]]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The size of the measurement."""
    parser.add_argument("--seeds", default="11,21,31", help="of the fleets")
    parser.add_argument("--variant", default="month", help="fleet of the benchmark `ordinary`")
    parser.add_argument("--pages", type=float, default=2.0, help="pages a day of the whole fleet")
    parser.add_argument("--budget", type=float, default=1.0, help="triggers a key and week")
    parser.add_argument("--epochs", type=int, default=10)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure.

    Returns:
        `fleets`: for each seed the figures of both ways, and of the fleet.
    """
    fleets = []
    for seed in (int(seed) for seed in options.seeds.split(",")):
        log_progress(f"seed {seed}")
        fleet = make(options.variant, seed)
        triggers = triggers_of(fleet, seed, options)
        budgets = {"every incident": None, "budget": options.pages * 7}
        ways = {
            way: figures(fleet, replay(triggers, Rules(), per_week))
            for way, per_week in budgets.items()
        }
        fleets.append({"seed": seed, "keys": len(fleet.keys), "ways": ways})
    return {"fleets": fleets}


def triggers_of(fleet: Fleet, seed: int, options: argparse.Namespace) -> Triggers:
    """Train a model, and return the triggers of its backtest with their times, in order."""
    data = dataset(fleet)
    model = train(
        data,
        seed=seed,
        epochs=options.epochs,
        budget_per_week=options.budget,
        try_faults=False,
        calendar=CivilCalendar(fleet.zone, fleet.holidays),
    )
    events = [e for e in backtest(model, data).events if e.kind == "trigger"]
    return sorted(((e.time_us / 1e6, e.body) for e in events), key=itemgetter(0))


def figures(fleet: Fleet, messages: Sequence[Told]) -> dict[str, Any]:
    """Return the figures of the messages about a fleet's incidents.

    Returns:
        `pages_per_day`, `worst_week`: most pages within any seven days, `at_no_fault`: pages about
        keys without a fault, and the number of faults by outcome and in all.
    """
    first, last = _scored_span(fleet)
    paged_at: dict[str, float] = {}
    members_of: dict[str, list[tuple[str, float]]] = {}
    for time, body in messages:
        if body.page:
            paged_at.setdefault(body.id, time)
        members_of[body.id] = [(m.key, parse_time(m.since) / 1e6) for m in body.members]
    of_key: dict[str, list[tuple[float, float | None]]] = {}
    for incident, members in members_of.items():
        for key, begin in members:
            of_key.setdefault(key, []).append((begin, paged_at.get(incident)))
    outcomes = dict.fromkeys(OUTCOMES, 0)
    for series in fleet.keys:
        for fault in series.events:
            outcomes[_outcome(series, fault, of_key.get(series.key, []))] += 1
    spans = {series.key: [_span(series, fault) for fault in series.events] for series in fleet.keys}
    true_incidents = {
        incident
        for incident, members in members_of.items()
        if any(a <= begin <= b for key, begin in members for a, b in spans.get(key, []))
    }
    times = sorted(paged_at.values())
    return {
        "incidents": len(members_of),
        "pages": len(times),
        "pages_per_day": len(times) / ((last - first) / _DAY),
        "worst_week": max((_within_week(times, i) for i in range(len(times))), default=0),
        "at_no_fault": len(paged_at.keys() - true_incidents),
        "faults": sum(outcomes.values()),
        **outcomes,
    }


def _outcome(
    series: KeySeries, fault: Fault, incidents: Sequence[tuple[float, float | None]]
) -> str:
    begin, end = _span(series, fault)
    pages = [page for time, page in incidents if begin <= time <= end]
    if not pages:
        return "untold"
    earliest = min((page for page in pages if page is not None), default=None)
    if earliest is None:
        return "digest"
    is_prompt = earliest - series.times_us[fault.first] / 1e6 <= PROMPT_SECONDS
    return "prompt" if is_prompt else "late"


def _span(series: KeySeries, fault: Fault) -> tuple[float, float]:
    """Return the times within which a page is of a fault, as `ordinary` counts it."""
    before, after = MARGIN_ROWS
    rows = np.array([fault.first - before, fault.last + after])
    begin, end = series.times_us[np.clip(rows, 0, len(series.times_us) - 1)] / 1e6
    return float(begin), float(end)


def _scored_span(fleet: Fleet) -> tuple[float, float]:
    scored = [series.times_us[~series.train] for series in fleet.keys]
    return min(t[0] for t in scored) / 1e6, max(t[-1] for t in scored) / 1e6


def _within_week(times: Sequence[float], begin: int) -> int:
    return sum(times[begin] <= time < times[begin] + _WEEK for time in times)


def part(result: Mapping[str, Any] | None) -> str:
    """The figures of all fleets as Markdown, or that nothing was measured."""
    if result is None:
        return "Not measured yet: `python -m benchmarks pages --save` does it.\n"
    rows = []
    for way in result["fleets"][0]["ways"]:
        fleets = [fleet["ways"][way] for fleet in result["fleets"]]
        total = {
            name: sum(f[name] for f in fleets) for name in (*OUTCOMES, "faults", "at_no_fault")
        }
        rows.append(
            [
                way,
                f"{np.mean([f['pages_per_day'] for f in fleets]):.1f}",
                str(max(f["worst_week"] for f in fleets)),
                f"{total['prompt']} of {total['faults']}",
                *(str(total[name]) for name in ("late", "digest", "untold", "at_no_fault")),
            ]
        )
    head = ("pages", "a day", "most in seven days", "faults paged within 10 minutes", "later")
    return table((*head, "digest only", "not told", "pages at no fault"), rows)


def lines(result: Mapping[str, Any]) -> list[str]:
    """The figures as lines for a terminal."""
    return part(result).splitlines()
