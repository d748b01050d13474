"""Marks of false alarms on generated telemetry: do repeats fall silent, and nothing else?

Each host of `ordinary` has one kind of fault again and again, every day, and others in between.
An operator marks the first three pages in repeats as false alarms. Then the repeats and the other
faults after the third mark are counted, in a replay with these marks and in one without. A key
that falls silent after one or two marks is not counted.
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
from stream.feedback import feedback_of
from stream.records import Event
from stream.training import train

MARKS: Final = 3
REPEATED: Final = ("busy_loop", "latency_doubles", "error_burst", "traffic_lost", "queue_grows")
_LEADS: Final = {
    "busy_loop": {"cpu_percent"},
    "latency_doubles": {"latency_ms"},
    "error_burst": {"errors"},
    "traffic_lost": {"requests", "rx_mbit", "cpu_percent"},
    "queue_grows": {"queue_length"},
}
_EVERY_HOURS: Final = 12.0
"""Hours from a repeat to a fault of another kind, and from that to the next repeat."""

Bodies = Sequence[dict[str, Any]]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The size of the measurement."""
    parser.add_argument("--seeds", default="1,2,3", help="of the fleets")
    parser.add_argument("--keys", type=int, default=5)
    parser.add_argument("--history", type=float, default=14.0, help="days of training")
    parser.add_argument("--days", type=float, default=14.0, help="days with faults")
    parser.add_argument("--step", type=float, default=300.0, help="seconds between rows")
    parser.add_argument("--budget", type=float, default=1.0, help="pages per key and week")
    parser.add_argument("--epochs", type=int, default=10)


@dataclass
class Count:
    """Faults after the third mark, and those of them with a page; pages at no fault."""

    repeats: int = 0
    repeats_unmarked: int = 0
    repeats_marked: int = 0
    others: int = 0
    others_unmarked: int = 0
    others_marked: int = 0
    false_unmarked: int = 0
    false_marked: int = 0


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure.

    Returns:
        `kinds`: counts by the kind that is repeated, over all seeds; `total`: their sums, and
        `keys_marked` of `keys`, those with three pages to mark.
    """
    counts = {kind: Count() for kind in REPEATED}
    marked_keys = keys = 0
    seeds = [int(seed) for seed in options.seeds.split(",")]
    for seed in seeds:
        log_progress(f"seed {seed}")
        fleet = make(seed, options)
        keys += len(fleet.keys)
        marked_keys += _measure(fleet, counts, seed, options)
    total = {
        name: sum(getattr(count, name) for count in counts.values())
        for name in msgspec.to_builtins(Count())
    }
    by_kind = {kind: msgspec.to_builtins(count) for kind, count in counts.items()}
    return {"kinds": by_kind, "total": {**total, "keys": keys, "keys_marked": marked_keys}}


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
    fleet: Fleet, counts: Mapping[str, Count], seed: int, options: argparse.Namespace
) -> int:
    """Add the counts of a fleet; return the number of keys with three marks.

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
    control, marks = ControlSet(), dict[str, list[Document]]()
    unmarked = bodies = _bodies(backtest(model, data).events)
    for _ in range(MARKS):
        for place, series in enumerate(fleet.keys):
            own = marks.setdefault(series.key, [])
            repeats = [f for f in series.events if f.kind == _repeated(place, seed)]
            own += _next_mark(series, repeats, bodies[series.key], own)
        control = ControlSet.of(document for own in marks.values() for document in own)
        bodies = _bodies(backtest(model, data, control=control).events)
    full = 0
    for place, series in enumerate(fleet.keys):
        own, kind = marks[series.key], _repeated(place, seed)
        if len(own) == MARKS:
            full += 1
            since = max(parse_time(document.time) for document in own)
            _count(counts[kind], kind, series, since, unmarked[series.key], bodies[series.key])
    return full


def _bodies(events: Sequence[Event]) -> dict[str, list[dict[str, Any]]]:
    """Triggers of each key in order, with the ids of their events."""
    out: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        if event.kind == "trigger":
            body = {**msgspec.json.decode(event.body), "event": event.id}
            out.setdefault(event.key.decode(), []).append(body)
    return _Absent(out)


class _Absent(dict[str, list[dict[str, Any]]]):
    """A key without triggers has none."""

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
                continue
            if _time(body) > last_mark_us and _is_in(series, fault, body):
                alert = body["fingerprint"], body["startsAt"]
                same_alert = [b for b in bodies if (b["fingerprint"], b["startsAt"]) == alert]
                feedback = feedback_of(body["event"], [body, *same_alert], "false-alarm")
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
    for name, bodies in (("unmarked", unmarked), ("marked", marked)):
        pages = [b for b in bodies if b["status"] != "resolved" and _time(b) > since]
        paged = [f for f in later if any(_is_in(series, f, page) for page in pages)]
        false = [p for p in pages if not any(_is_in(series, f, p) for f in series.events)]
        repeats = sum(f.kind == kind for f in paged)
        for field, number in (
            (f"repeats_{name}", repeats),
            (f"others_{name}", len(paged) - repeats),
            (f"false_{name}", len(false)),
        ):
            setattr(count, field, getattr(count, field) + number)
    repeats = sum(f.kind == kind for f in later)
    count.repeats += repeats
    count.others += len(later) - repeats


def page(result: Mapping[str, Any]) -> str:
    """The figures as Markdown."""
    rows = []
    for name, count in [*result["kinds"].items(), ("all", result["total"])]:
        cells = [f"`{name}`" if name != "all" else "all"]
        for what in ("repeats", "others"):
            of = count[what]
            cells += [f"{count[f'{what}_{side}']} of {of}" for side in ("unmarked", "marked")]
        rows.append([*cells, str(count["false_unmarked"]), str(count["false_marked"])])
    head = ("repeated kind", "repeats paged", "with marks", "other faults paged", "with marks")
    return table((*head, "pages at no fault", "with marks"), rows)


def part(result: Mapping[str, Any] | None) -> str:
    """The figures as Markdown, or that nothing was measured."""
    if result is None:
        return "Not measured yet: `python -m benchmarks feedback --save` does it.\n"
    total = result["total"]
    return (
        f"{page(result)}\n{total['keys_marked']} of {total['keys']} keys had {MARKS} pages in "
        "repeats to mark, each in spite of the marks before; the others are not counted. "
        f"{_fall(total)}\n"
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
