"""Microseconds a record when keys are not even, or spread over partitions that bring little."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.engine_bench import Bench, use_stages
from benchmarks.fleet import INTERVAL_US, Block, Fleet
from benchmarks.frame import log_progress
from ember_core.pipeline import FleetModel


def add_options(parser: argparse.ArgumentParser) -> None:
    """The size of the measurement."""
    parser.add_argument("--batch", type=int, default=4_096)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--exponent", type=float, default=1.2, help="of Zipf's law")
    parser.add_argument("--kinds", type=int, default=64, help="kinds of keys in the fleet")
    parser.add_argument("--rows", type=int, default=2_000, help="of training history, each kind")
    parser.add_argument("--partitions", type=int, default=64, help="that bring little each")
    parser.add_argument("--few", type=int, default=4, help="records of such a partition, about")
    parser.add_argument("--plain", action="store_true", help="stages that are not compiled")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each order")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure.

    Returns:
        `stages` that ran (compiled or plain); `microseconds_per_record` and `ratios` to even keys,
        of `even`, `zipf` and `hot`; and in `partitions` the same of a few records from each of many
        partitions, `together` in a step and `one_by_one`, over as many of `one` partition.
    """
    fleet = Fleet(options.keys, options.channels, kinds=options.kinds)
    log_progress("training")
    model = fleet.model(rows=options.rows)
    stages = use_stages(model, plain=options.plain)
    rank = np.arange(1, options.keys + 1, dtype=np.float64)
    zipf = rank**-options.exponent
    hot = (rank == 1).astype(np.float64)
    durations: dict[str, float] = {}
    size = min(options.batch, options.keys)
    for name in ("even", "zipf", "hot"):
        log_progress(name)
        bench = Bench(model, fleet)
        blocks = bench.warm()
        if name == "zipf":
            # So slow that no rare key falls silent: those events are another measurement.
            blocks = _drawn(fleet, zipf / zipf.sum(), size, bench.now_us, 1)
        elif name == "hot":
            # From the last of the even rounds the clock goes on at the key's own pace; the others
            # fall silent once, before the measurement.
            blocks = _drawn(fleet, hot, size, bench.now_us, INTERVAL_US)
            bench.run(blocks, size, 0.0)
        times = bench.run(blocks, size, options.seconds)
        durations[name] = round(float(np.median(times)), 3)
    return {
        "microseconds_per_record": durations,
        "ratios": {name: round(durations[name] / durations["even"], 2) for name in ("zipf", "hot")},
        "stages": stages,
        "partitions": _partitions(model, fleet, options),
    }


def _partitions(model: FleetModel, fleet: Fleet, options: argparse.Namespace) -> dict[str, Any]:
    partitions, size = options.partitions, min(options.partitions * options.few, len(fleet.keys))
    durations: dict[str, float] = {}
    for name, bench in (
        ("one", Bench(model, fleet)),
        ("together", Bench(model, fleet, partitions)),
        ("one_by_one", Bench(model, fleet, partitions, one_by_one=True)),
    ):
        log_progress(f"{partitions} partitions: {name}")
        times = bench.run(bench.warm(), size, options.seconds)
        durations[name] = round(float(np.median(times)), 3)
    return {
        "records_per_partition": options.few,
        "partitions": partitions,
        "microseconds_per_record": durations,
        "ratios": {
            name: round(durations[name] / durations["one"], 2)
            for name in durations
            if name != "one"
        },
    }


def _drawn(fleet: Fleet, share: Any, size: int, start_us: int, step_us: int) -> Iterator[Block]:
    for turn in itertools.count():
        yield fleet.drawn(share, size, start_us + turn * size * step_us, step_us, seed=turn)
