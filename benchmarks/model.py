"""Microseconds a record of `Engine.step` alone, and of each of its stages."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from benchmarks.engine_bench import Bench, decode_us, use_stages
from benchmarks.fleet import Fleet
from benchmarks.frame import log_progress
from ember_core.pipeline import FleetModel


def add_options(parser: argparse.ArgumentParser) -> None:
    """The size of the measurement."""
    parser.add_argument("--batches", default="1024,4096", help="batch sizes, with commas")
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--kinds", type=int, default=64, help="kinds of keys in the fleet")
    parser.add_argument("--rows", type=int, default=2_000, help="of training history, each kind")
    parser.add_argument("--plain", action="store_true", help="stages that are not compiled")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each batch size")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure.

    Returns:
        `microseconds_per_record` (median over batches) of the largest batch, `stages` that ran
        (compiled or plain; the compiled ones count to `observe: rest`), and by batch size the
        median, the fastest tenth, and the stages' means.
    """
    fleet = Fleet(options.keys, options.channels, kinds=options.kinds)
    log_progress("training")
    model = fleet.model(rows=options.rows)
    stages = use_stages(model, plain=options.plain)
    batches: dict[str, Any] = {}
    size = 0
    for size in sorted(map(int, options.batches.split(","))):
        log_progress(f"batches of {size}")
        batches[str(size)] = measure(model, fleet, min(size, options.keys), options.seconds)
    return {
        "microseconds_per_record": batches[str(size)]["microseconds_per_record"],
        "stages": stages,
        "row_bytes": Bench(model, fleet).engine.row_bytes,
        "batches": batches,
    }


def measure(model: FleetModel, fleet: Fleet, size: int, seconds: float) -> dict[str, Any]:
    """Figures of one batch size; half of the time without stages, half with them."""
    bench = Bench(model, fleet)
    blocks = bench.warm()
    elapsed = bench.run(blocks, size, seconds / 2)
    events = bench.events
    stages = bench.watched()
    timed = bench.run(blocks, size, seconds / 2)
    records = size * len(timed)
    decoded = decode_us(fleet, size, min(seconds / 4, 1.0))
    by_stage = {name: 1e6 * spent / records for name, spent in stages.seconds.items()}
    return {
        "microseconds_per_record": round(float(np.median(elapsed)), 3),
        "fastest_tenth": round(float(np.quantile(elapsed, 0.1)), 3),
        "steps": len(elapsed),
        "events_per_1000": round(1000 * events / max(size * len(elapsed), 1), 2),
        "decode": round(float(np.median(decoded)), 3),
        "stages": {
            name: round(value, 3)
            for name, value in sorted(by_stage.items(), key=lambda pair: -pair[1])
        },
    }
