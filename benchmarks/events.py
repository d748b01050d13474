"""Cost of events: of a record at several rates of them, and of an event.

An engine for each rate takes batches of the same records in turn, so that the load of the machine
falls on all. In some of the records three channels leave their usual range.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from benchmarks.engine_bench import Bench
from benchmarks.fleet import Block, Fleet
from benchmarks.frame import log_progress
from benchmarks.markdown import table

RATES: Final[Mapping[str, float]] = {
    "none": 0.0,
    "1 in 1,000": 0.001,
    "10 in 1,000": 0.01,
    "a storm": 1.0,
}
"""Share of the records that are made improbable."""
_CHANNELS: Final = 3
_DEVIATIONS: Final = (8.0, 16.0)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The size of the measurement."""
    parser.add_argument("--keys", type=int, default=4_096, help="records a batch, one of each key")
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--kinds", type=int, default=64, help="kinds of keys in the fleet")
    parser.add_argument("--rows", type=int, default=2_000, help="of training history, each kind")
    parser.add_argument("--turns", type=int, default=12, help="batches of each rate, in turn")
    parser.add_argument("--warm-rounds", type=int, default=140, help="records of each key before")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure.

    Returns:
        `microseconds_per_record` and `events_per_1000` by rate, and `microseconds_per_event`: the
        cost of a step in a storm over one without, by the events that it has more.
    """
    fleet = Fleet(options.keys, options.channels, kinds=options.kinds)
    log_progress("training")
    model = fleet.model(rows=options.rows)
    benches = {rate: Bench(model, fleet) for rate in RATES}
    log_progress("filling the windows")
    feeds = {
        rate: _disturbed(fleet, bench.warm(options.warm_rounds), RATES[rate])
        for rate, bench in benches.items()
    }
    log_progress("measuring")
    seconds: dict[str, list[float]] = {rate: [] for rate in RATES}
    for _ in range(options.turns):
        for rate, bench in benches.items():
            seconds[rate].append(bench.step(*next(feeds[rate])))
    records = options.keys * options.turns
    events = {rate: bench.events / records for rate, bench in benches.items()}
    per_record = {rate: 1e6 * float(np.median(s)) / options.keys for rate, s in seconds.items()}
    quiet, storm = "none", "a storm"
    more_events = events[storm] - events[quiet]
    return {
        "microseconds_per_record": {rate: round(cost, 3) for rate, cost in per_record.items()},
        "events_per_1000": {rate: round(1000 * share, 1) for rate, share in events.items()},
        "microseconds_per_event": round(
            (per_record[storm] - per_record[quiet]) / max(more_events, 1e-9), 1
        ),
    }


def page(result: Mapping[str, Any]) -> str:
    """The figures as Markdown."""
    per_record, events = result["microseconds_per_record"], result["events_per_1000"]
    rows = [(rate, f"{events[rate]:g}", f"{cost:.2f}") for rate, cost in per_record.items()]
    rows.append(("an event of a storm", "", f"{result['microseconds_per_event']:.1f}"))
    return table(("improbable records", "events in 1,000 records", "us a record"), rows)


def _disturbed(fleet: Fleet, blocks: Iterator[Block], share: float) -> Iterator[Block]:
    """Yield blocks with a share of their records far from the usual."""
    rng = np.random.default_rng(5)
    for block in blocks:
        hit = np.flatnonzero(rng.random(len(block.key)) < share)
        values = block.values.copy()
        deviations = rng.uniform(*_DEVIATIONS, (hit.size, 1))
        values[hit, :_CHANNELS] += deviations * fleet.spread[block.key[hit], :_CHANNELS]
        yield block._replace(values=values)
