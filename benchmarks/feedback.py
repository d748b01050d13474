"""Marks of false alarms on generated telemetry: do repeats fall silent, and nothing else?

Each host of `ordinary` has one kind of fault again and again, every day, and others in between: far
ones in other channels, and near ones that share a channel with the repeat. An operator marks pages
in repeats as false alarms, in one of two ways:

- *together*: three pages, the first one of each of three repeats.
- *one by one*: a page, then the next one that comes in spite of it, at most three. A key that falls
  silent sooner has fewer marks, and is counted too.

Then the faults after the last mark are counted, in a replay with these marks and in one without.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np

from benchmarks.frame import log_progress
from benchmarks.markdown import table
from benchmarks.ordinary.hosts import CHANNELS, ROLES, host
from benchmarks.ordinary.kinds import KINDS
from benchmarks.ordinary.life import life_of
from benchmarks.ordinary.placing import arrived
from benchmarks.ordinary.site import Site
from benchmarks.ordinary.write import dataset
from benchmarks.paging.clock import made
from benchmarks.paging.fleet import MARGIN_ROWS, Fault, Fleet, Floats, KeySeries
from ember_core.pipeline import CivilCalendar
from stream.backtest import backtest
from stream.control import ControlSet, Document
from stream.event_times import parse_time
from stream.feedback import feedback_of, with_episode
from stream.records import Event
from stream.training import train

MARKS: Final = 3
TOGETHER, ONE_BY_ONE = "together", "one by one"
_TITLES: Final = {
    TOGETHER: "Marks on the first pages of three repeats",
    ONE_BY_ONE: "Marks on one page after the other",
}
REPEATED: Final = ("busy_loop", "latency_doubles", "error_burst", "traffic_lost", "queue_grows")
_LEADS: Final = {
    "busy_loop": {"cpu_percent"},
    "latency_doubles": {"latency_ms"},
    "error_burst": {"errors"},
    "traffic_lost": {"requests", "rx_mbit", "cpu_percent"},
    "queue_grows": {"queue_length"},
}
_NEAR: Final = {
    "busy_loop": ("correlation_broken", "traffic_lost"),
    "traffic_lost": ("correlation_broken", "busy_loop"),
}
"""Other kinds that share a channel with a repeated one."""
_EVERY_HOURS: Final = 12.0
"""Hours from a repeat to a fault of another kind, and from that to the next repeat."""

Bodies = Sequence[dict[str, Any]]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The size of the measurement."""
    parser.add_argument("--seeds", default="1,2,3,4,5,6,7,8", help="of the fleets")
    parser.add_argument("--keys", type=int, default=5)
    parser.add_argument("--history", type=float, default=14.0, help="days of training")
    parser.add_argument("--days", type=float, default=14.0, help="days with faults")
    parser.add_argument("--step", type=float, default=300.0, help="seconds between rows")
    parser.add_argument("--budget", type=float, default=1.0, help="pages per key and week")
    parser.add_argument("--epochs", type=int, default=10)


@dataclass
class Count:
    """Faults after the last mark, and those of them with a page; pages at no fault."""

    keys: int = 0

    repeats: int = 0
    repeats_unmarked: int = 0
    repeats_marked: int = 0
    others: int = 0
    others_unmarked: int = 0
    others_marked: int = 0
    near: int = 0
    near_unmarked: int = 0
    near_marked: int = 0
    false_unmarked: int = 0
    false_marked: int = 0


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure.

    Returns:
        `keys`: number of keys; `together` and `one by one`: counts by the kind that is repeated,
        over all seeds, and their sums under `all`.
    """
    counts = {way: {kind: Count() for kind in REPEATED} for way in (TOGETHER, ONE_BY_ONE)}
    keys = 0
    for seed in (int(seed) for seed in options.seeds.split(",")):
        log_progress(f"seed {seed}")
        fleet = make(seed, options)
        keys += len(fleet.keys)
        _measure(fleet, counts, seed, options)
    return {"keys": keys, **{way: _with_sum(of_way) for way, of_way in counts.items()}}


def _with_sum(counts: Mapping[str, Count]) -> dict[str, dict[str, int]]:
    by_kind = {kind: msgspec.to_builtins(count) for kind, count in counts.items()}
    names = msgspec.to_builtins(Count())
    by_kind["all"] = {name: sum(getattr(c, name) for c in counts.values()) for name in names}
    return by_kind


def make(seed: int, options: argparse.Namespace) -> Fleet:
    """Generate hosts with a repeat at every second place of the grid, and others between."""
    rng = np.random.default_rng([seed, 19])
    clock = made(rng, options.history + options.days, options.step)
    life = life_of(rng, clock, options.keys)
    begin, shapes = int(options.history * 86_400 / options.step), dict[str, Floats]()
    series = []
    for number in range(options.keys):
        role, kind = list(ROLES)[number % len(ROLES)], _repeated(number, seed)
        key = f"{role}-{number}"
        normal = host(rng, clock, life, number, role, shapes)
        other_kinds = [name for name in REPEATED if not _LEADS[name] & _LEADS[kind]]
        other_kinds += _NEAR.get(kind, ())
        faults = []
        starts = range(begin, len(clock.times_us), clock.rows(3600 * _EVERY_HOURS))
        for i, start in enumerate(starts[1:-1]):
            name = kind if i % 2 == 0 else other_kinds[(i // 2) % len(other_kinds)]
            first = start + int(rng.integers(clock.rows(7200)))
            last = first + clock.rows(float(rng.uniform(*KINDS[name].seconds))) - 1
            channels = KINDS[name].change(Site(normal, clock, CHANNELS, first, last), rng)
            faults.append(Fault(name, key, first, last, channels))
        rows, values, arrived_faults = arrived(normal, faults, CHANNELS, ())
        train_rows = rows < begin
        series.append(
            KeySeries(key, clock.times_us[rows], values, train_rows, arrived_faults, role)
        )
    return Fleet(
        "feedback", seed, options.step, CHANNELS, tuple(series), clock.zone, clock.holidays
    )


def _repeated(place: int, seed: int) -> str:
    """Kind that a key repeats: each role has another one with each seed."""
    return REPEATED[(place + seed) % len(REPEATED)]


def _measure(
    fleet: Fleet,
    counts: Mapping[str, Mapping[str, Count]],
    seed: int,
    options: argparse.Namespace,
) -> None:
    """Add the counts of a fleet.

    A mark counts from the time of its event on, so a replay with a mark from the beginning is
    one in which it was made at once.
    """
    data = dataset(fleet)
    model = train(
        data,
        seed=seed,
        epochs=options.epochs,
        budget_per_week=options.budget,
        try_faults=False,
        calendar=CivilCalendar(fleet.zone, fleet.holidays),
    )
    unmarked = _bodies(backtest(model, data).events)

    def replayed(marks: Mapping[str, Sequence[Document]]) -> Mapping[str, Bodies]:
        control = ControlSet.of(document for documents in marks.values() for document in documents)
        return _bodies(backtest(model, data, control=control).events)

    kinds = {series.key: _repeated(number, seed) for number, series in enumerate(fleet.keys)}
    together = {s.key: _marks_together(s, kinds[s.key], unmarked[s.key]) for s in fleet.keys}
    one_by_one: dict[str, list[Document]] = {series.key: [] for series in fleet.keys}
    bodies: Mapping[str, Bodies] = unmarked
    for _ in range(MARKS):
        for series in fleet.keys:
            key_marks = one_by_one[series.key]
            repeats = [f for f in series.events if f.kind == kinds[series.key]]
            key_marks += _next_mark(series, repeats, bodies[series.key], key_marks)
        bodies = replayed(one_by_one)
    ways = {TOGETHER: (together, replayed(together)), ONE_BY_ONE: (one_by_one, bodies)}
    for way, (marks, marked) in ways.items():
        for series in fleet.keys:
            if key_marks := marks[series.key]:
                since = max(parse_time(document.time) for document in key_marks)
                kind = kinds[series.key]
                count = counts[way][kind]
                _count(count, kind, series, since, unmarked[series.key], marked[series.key])


def _marks_together(series: KeySeries, kind: str, bodies: Bodies) -> list[Document]:
    """False alarms of the first pages of three repeats; none where fewer have a page."""
    marks: list[Document] = []
    for fault in (fault for fault in series.events if fault.kind == kind):
        marks += _next_mark(series, [fault], bodies, marks)
        if len(marks) == MARKS:
            return marks
    return []


def _bodies(events: Sequence[Event]) -> dict[str, list[dict[str, Any]]]:
    """Events of each key in order, with their ids."""
    out: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        body = {**msgspec.json.decode(event.body), "event": event.id}
        out.setdefault(event.key.decode(), []).append(body)
    return _Absent(out)


def _is_page(body: Mapping[str, Any]) -> bool:
    return "reason" in body and body["status"] != "resolved"


class _Absent(dict[str, list[dict[str, Any]]]):
    """A key without events has none."""

    def __missing__(self, key: str) -> list[dict[str, Any]]:
        return []


def _next_mark(
    series: KeySeries, repeats: Sequence[Fault], bodies: Bodies, marks: Sequence[Document]
) -> list[Document]:
    """The first page of the model in a repeat that lies after all marks, as a false alarm."""
    last_mark_us = max((parse_time(mark.time) for mark in marks), default=0)
    for fault in repeats:
        for body in bodies:
            if body["labels"]["alertname"] != "EmberFiring" or body["status"] != "firing":
                continue  # an anomaly, or another kind of alert
            if _time(body) > last_mark_us and _is_in(series, fault, body):
                episode = with_episode(body, bodies)
                feedback = feedback_of(body["event"], episode, "false-alarm")
                name = f"{series.key}-{len(marks)}"
                return [Document(name=name, author="me", time=feedback.time, body=feedback)]
    return []


def _time(body: Mapping[str, Any]) -> int:
    return parse_time(body["window"]["start"])


def _is_in(series: KeySeries, fault: Fault, body: Mapping[str, Any]) -> bool:
    """Whether a page is of a fault, as `ordinary` counts it."""
    before, after = MARGIN_ROWS
    row = int(np.searchsorted(series.times_us, _time(body)))
    return fault.first - before <= row <= fault.last + after


def _count(
    count: Count, kind: str, series: KeySeries, since: int, unmarked: Bodies, marked: Bodies
) -> None:
    """Add the faults of a key that begin after its last mark."""
    later = [f for f in series.events if series.times_us[f.first] > since]
    groups = {
        "repeats": [f for f in later if f.kind == kind],
        "near": [f for f in later if f.kind in _NEAR.get(kind, ())],
    }
    groups["others"] = [f for f in later if f not in groups["repeats"] + groups["near"]]
    count.keys += 1
    for group, faults in groups.items():
        setattr(count, group, getattr(count, group) + len(faults))
    for name, bodies in (("unmarked", unmarked), ("marked", marked)):
        pages = [b for b in bodies if _is_page(b) and _time(b) > since]
        for group, faults in groups.items():
            paged = sum(any(_is_in(series, f, page) for page in pages) for f in faults)
            setattr(count, f"{group}_{name}", getattr(count, f"{group}_{name}") + paged)
        false = [p for p in pages if not any(_is_in(series, f, p) for f in series.events)]
        setattr(count, f"false_{name}", getattr(count, f"false_{name}") + len(false))


def page(counts: Mapping[str, Mapping[str, int]]) -> str:
    """The figures of one way of marking as Markdown."""
    rows = []
    for name, count in counts.items():
        cells = [f"`{name}`" if name != "all" else "all", str(count["keys"])]
        for what in ("repeats", "others", "near"):
            of = count[what]
            cells += [f"{count[f'{what}_{side}']} of {of}" for side in ("unmarked", "marked")]
        rows.append([*cells, str(count["false_unmarked"]), str(count["false_marked"])])
    head = ["repeated kind", "keys"]
    for figure in ("repeats paged", "far faults paged", "near faults paged", "pages at no fault"):
        head += [figure, "with marks"]
    return table(head, rows)


def part(result: Mapping[str, Any] | None) -> str:
    """The figures as Markdown, or that nothing was measured."""
    if result is None:
        return "Not measured yet: `python -m benchmarks feedback --save` does it.\n"
    return "\n".join(
        f"{title} ({result[way]['all']['keys']} of {result['keys']} keys):\n\n"
        f"{page(result[way])}\n{_fall(result[way]['all'])}\n"
        for way, title in _TITLES.items()
    )


def _fall(total: Mapping[str, int]) -> str:
    paged = total["repeats_unmarked"]
    if not paged:
        return "No repeat was paged without marks either."
    fall = 1.0 - total["repeats_marked"] / paged
    return f"Paged repeats fall by {fall:.0%}; the requirement is 80 %."


def lines(result: Mapping[str, Any]) -> list[str]:
    """The figures as lines for a terminal."""
    return part(result).splitlines()
