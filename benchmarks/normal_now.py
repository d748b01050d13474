"""Pages in the two weeks after a lasting change, with and without `ember feedback normal-now`.

Generated hosts change for good: a channel goes to another level, or its day gets a larger
amplitude. An operator says `normal-now` about the first page after that, or about each of the
first three. Then all pages of these keys are counted, and those of the same keys unchanged.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import msgspec
import numpy as np

from benchmarks.frame import log_progress
from benchmarks.markdown import table
from benchmarks.ordinary.hosts import CHANNELS, ROLES, host
from benchmarks.ordinary.life import life_of
from benchmarks.ordinary.placing import arrived
from benchmarks.ordinary.write import dataset
from benchmarks.paging.clock import made
from benchmarks.paging.fleet import Fleet, Floats, KeySeries
from ember_core.pipeline import CivilCalendar, FleetModel
from stream.backtest import backtest
from stream.control import ControlSet, Document, Feedback
from stream.event_times import parse_time
from stream.feedback import feedback_of
from stream.training import train

CHANGES: Final = {"level": 1.5, "amplitude": 1.6}
_CHANGED: Final = ("requests", "cpu_percent", "rx_mbit")
_MOST: Final = 3
_DAY_US: Final = 86_400e6
_LEAST_DAYS: Final = 1.0
"""Days after which a page is answered again: an operator looks once a day."""

Pages = Mapping[str, Sequence[dict[str, Any]]]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The size of the measurement."""
    parser.add_argument("--seeds", default="1,2", help="of the fleets")
    parser.add_argument("--keys", type=int, default=6)
    parser.add_argument("--history", type=float, default=14.0, help="days of training")
    parser.add_argument("--days", type=float, default=16.0, help="days after them")
    parser.add_argument("--step", type=float, default=300.0, help="seconds between rows")
    parser.add_argument("--budget", type=float, default=1.0, help="pages per key and week")
    parser.add_argument("--epochs", type=int, default=10)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure.

    Returns:
        `changes`: pages of each week after the change by change and number of `normal-now`, and
        those of the same keys without a change under `none`; `keys`: number of keys.
    """
    changes: dict[str, dict[str, list[int]]] = {
        name: {str(number): [0, 0] for number in (0, 1, _MOST)} for name in CHANGES
    }
    unchanged, keys = [0, 0], 0
    for seed in (int(seed) for seed in options.seeds.split(",")):
        log_progress(f"seed {seed}")
        fleet, begin = make(seed, options)
        keys += len(fleet.keys)
        model = train(
            dataset(fleet),
            seed=seed,
            epochs=options.epochs,
            budget_per_week=options.budget,
            try_faults=False,
            calendar=CivilCalendar(fleet.zone, fleet.holidays),
        )
        begin_us = int(fleet.keys[0].times_us[begin])
        _add(unchanged, _pages(model, fleet, ControlSet()), begin_us)
        for name, factor in CHANGES.items():
            changed_fleet = changed(fleet, name, factor, begin_us)
            pages, control = _pages(model, changed_fleet, ControlSet()), ControlSet()
            _add(changes[name]["0"], pages, begin_us)
            for number in range(_MOST):
                control = _answered(pages, control, begin_us)
                pages = _pages(model, changed_fleet, control)
                if str(number + 1) in changes[name]:
                    _add(changes[name][str(number + 1)], pages, begin_us)
    return {"keys": keys, "none": unchanged, "changes": changes}


def make(seed: int, options: argparse.Namespace) -> tuple[Fleet, int]:
    """Generate hosts without faults, and the first row of the changes: a day after training."""
    rng = np.random.default_rng([seed, 20])
    clock = made(rng, options.history + options.days, options.step)
    life, shapes = life_of(rng, clock, options.keys), dict[str, Floats]()
    begin = int(options.history * 86_400 / options.step)
    series = []
    for number in range(options.keys):
        role = list(ROLES)[number % len(ROLES)]
        normal = host(rng, clock, life, number, role, shapes)
        rows, values, _ = arrived(normal, [], CHANNELS, ())
        times_us = clock.times_us[rows]
        series.append(KeySeries(f"{role}-{number}", times_us, values, rows < begin, (), role))
    fleet = Fleet("normal", seed, options.step, CHANNELS, tuple(series), clock.zone, clock.holidays)
    return fleet, int(series[0].train.sum()) + clock.rows(86_400)


def changed(fleet: Fleet, change: str, factor: float, begin_us: int) -> Fleet:
    """Return the fleet with one channel of each key changed from a time on.

    Args:
        fleet: The fleet.
        change: A name of `CHANGES`.
        factor: Factor on the level, or on the distance from it.
        begin_us: First time of the change.
    """
    keys = []
    for number, series in enumerate(fleet.keys):
        values = series.values.copy()
        channel = fleet.channels.index(_CHANGED[number % len(_CHANGED)])
        middle = float(np.nanmean(values[series.train, channel]))
        part = values[series.times_us >= begin_us, channel]
        distance = middle if change == "level" else part - middle
        values[series.times_us >= begin_us, channel] = np.maximum(part + (factor - 1) * distance, 0)
        keys.append(replace(series, values=values))
    return replace(fleet, keys=tuple(keys))


def _pages(model: FleetModel, fleet: Fleet, control: ControlSet) -> Pages:
    """Pages of the model by key, in order, with the ids of their events."""
    pages: dict[str, list[dict[str, Any]]] = {series.key: [] for series in fleet.keys}
    for event in backtest(model, dataset(fleet), control=control).events:
        if event.kind == "trigger":
            body = {**msgspec.json.decode(event.body), "event": event.id}
            if body["labels"]["alertname"] == "EmberFiring" and body["status"] != "resolved":
                pages[event.key.decode()].append(body)
    return pages


def _time(body: Mapping[str, Any]) -> int:
    return parse_time(body["window"]["start"])


def _answered(pages: Pages, control: ControlSet, begin_us: int) -> ControlSet:
    """Return the documents with `normal-now` about the next page of each key."""
    documents, answered = list(control.documents), dict[str, list[int]]()
    for document in documents:
        if isinstance(document.body, Feedback):
            answered.setdefault(document.body.key, []).append(parse_time(document.body.time))
    for key, bodies in pages.items():
        times = answered.get(key, [])
        earliest = max(times) + _LEAST_DAYS * _DAY_US if times else begin_us
        body = next((body for body in bodies if _time(body) >= earliest), None)
        if body is not None:
            feedback = feedback_of(body["event"], [body], "normal-now")
            name = f"{key}.{len(times)}"
            documents.append(Document(name=name, author="me", time=feedback.time, body=feedback))
    return ControlSet.of(documents)


def _add(weeks: list[int], pages: Pages, begin_us: int) -> None:
    for bodies in pages.values():
        for body in bodies:
            week = int((_time(body) - begin_us) // (7 * _DAY_US))
            if 0 <= week < len(weeks):
                weeks[week] += 1


def part(result: Mapping[str, Any] | None) -> str:
    """The figures as Markdown, or that nothing was measured."""
    if result is None:
        return "Not measured yet: `python -m benchmarks normal-now --save` does it.\n"
    keys = result["keys"]
    none = [f"{pages / keys:.1f}" for pages in result["none"]]
    rows = [["none", "", *none]]
    for change, ways in result["changes"].items():
        for number, weeks in ways.items():
            cells = [f"{pages / keys:.1f}" for pages in weeks]
            rows.append([f"{change} ×{CHANGES[change]}", number, *cells])
    head = ("change", "`normal-now`", "pages a key, first week", "second week")
    return table(head, rows)


def lines(result: Mapping[str, Any]) -> list[str]:
    """The figures as lines for a terminal."""
    return part(result).splitlines()
