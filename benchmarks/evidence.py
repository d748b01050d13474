"""Cost of a record and size of a key with channel evidence, over those with joint evidence.

Both engines take the same batches in turn, so that the load of the machine falls on both.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from benchmarks.engine_bench import Bench, batches
from benchmarks.fleet import INTERVAL_US, Block, Fleet
from benchmarks.frame import log_progress
from benchmarks.markdown import table

MUST: Final = 1.5
"""Largest ratio of the cost of a record, whatever the rows a key has in a batch."""
MUST_ROW_BYTES: Final = 4096
"""Largest state row of a key of 8 channels."""
KINDS: Final = ("joint", "channels+joint")
_FEW: Final = 16
SHAPES: Final[Mapping[str, str]] = {
    "many": "one row each of many keys",
    "few": f"rows of {_FEW} keys",
    "hot": "rows of one key",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The size of the measurement."""
    parser.add_argument("--batch", type=int, default=4_096, help="records, each of another key")
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--kinds", type=int, default=64, help="kinds of keys in the fleet")
    parser.add_argument("--rows", type=int, default=2_000, help="of training history, each kind")
    parser.add_argument("--turns", type=int, default=12, help="batches of each, in turn")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure.

    Returns:
        `microseconds_per_record` by shape of the batch and evidence, their `ratios`, and
        `row_bytes` by evidence.
    """
    fleet = Fleet(options.batch, options.channels, kinds=options.kinds)
    models = {}
    for kind in KINDS:
        log_progress(f"training: {kind}")
        models[kind] = fleet.model(rows=options.rows, evidence=kind)
    row_bytes = {}
    microseconds: dict[str, dict[str, float]] = {}
    for shape in SHAPES:
        log_progress(SHAPES[shape])
        benches = {kind: Bench(models[kind], fleet) for kind in KINDS}
        feeds = {kind: bench.warm() for kind, bench in benches.items()}
        times: dict[str, list[float]] = {kind: [] for kind in KINDS}
        if shape != "many":
            feeds = {kind: _drawn(fleet, shape, benches[kind].now_us) for kind in KINDS}
        for _ in range(options.turns):
            for kind, bench in benches.items():
                part = next(batches(next(feeds[kind]), options.batch))
                times[kind].append(1e6 * bench.step(*part) / len(part.key))
        microseconds[shape] = {kind: round(float(np.median(times[kind][1:])), 3) for kind in KINDS}
        row_bytes = {kind: bench.engine.row_bytes for kind, bench in benches.items()}
    joint, channels = KINDS
    return {
        "microseconds_per_record": microseconds,
        "ratios": {shape: round(us[channels] / us[joint], 2) for shape, us in microseconds.items()},
        "row_bytes": row_bytes,
        "must": {"ratio": MUST, "row_bytes": MUST_ROW_BYTES},
    }


def page(result: Mapping[str, Any]) -> str:
    """The figures as Markdown."""
    must = result["must"]
    rows = [
        (
            SHAPES[shape],
            *(f"{microseconds[kind]:.2f}" for kind in KINDS),
            f"{result['ratios'][shape]:.2f}",
            f"{must['ratio']:g}",
        )
        for shape, microseconds in result["microseconds_per_record"].items()
    ]
    sizes = (str(result["row_bytes"][kind]) for kind in KINDS)
    rows.append(("bytes of a state row", *sizes, "", str(must["row_bytes"])))
    return table(("a batch of", "joint, us", "channels+joint, us", "times", "must"), rows)


def _drawn(fleet: Fleet, shape: str, start_us: int) -> Iterator[Block]:
    """Yield batches of a few keys, or of one, that go on at their own pace."""
    keys = min(_FEW if shape == "few" else 1, len(fleet.keys))
    share = (np.arange(len(fleet.keys)) < keys) / keys
    size, step_us = len(fleet.keys), INTERVAL_US // keys
    for turn in itertools.count():
        yield fleet.drawn(share, size, start_us + turn * size * step_us, step_us, seed=turn)
