"""Memory of an engine that holds many keys, against the bytes of their rows."""

from __future__ import annotations

import argparse
import gc
import os
from typing import Any, Final

import numpy as np
import psutil

from benchmarks.engine_bench import START_US, TP
from benchmarks.fleet import INTERVAL_US, Fleet
from benchmarks.frame import say
from stream.engine import Engine, Fetch, Limits
from stream.records import Decoded

_BATCH: Final = 8_192


def add_options(parser: argparse.ArgumentParser) -> None:
    """How many keys."""
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2, help="records of each key")
    parser.add_argument("--kinds", type=int, default=16, help="kinds of keys in the fleet")
    parser.add_argument("--rows", type=int, default=600, help="of training history, each kind")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure.

    Returns:
        `slab_mib`, what the rows are; `grown_mib`, what the process grew by from before the engine
        was made; `resident_mib`, all of it, interpreter and model included; both as a ratio to the
        rows; `bytes_per_key`.
    """
    fleet = Fleet(options.kinds, options.channels, kinds=options.kinds)
    say("training")
    model = fleet.model(rows=options.rows)
    before = _resident()
    engine = Engine(model, limits=Limits(max_keys=options.keys))
    engine.attach(TP)
    say(f"{options.keys:,} keys")
    rng = np.random.default_rng(1)
    offset = 0
    for turn in range(options.rounds):
        for begin in range(0, options.keys, _BATCH):
            number = np.arange(begin, min(begin + _BATCH, options.keys))
            n = len(number)
            time_us = START_US + turn * INTERVAL_US + number
            values = rng.normal(100.0, 5.0, (n, options.channels))
            names = [b"machine-%07d" % k for k in number.tolist()]
            batch = Decoded(names, time_us, values, np.arange(n, dtype=np.int32), [])
            fetch = Fetch(np.arange(offset, offset + n, dtype=np.int64), time_us // 1000)
            engine.step(TP, batch, fetch)
            offset += n
    after = _resident()
    slab = options.keys * engine.row_bytes
    return {
        "keys": engine.active_keys,
        "row_bytes": engine.row_bytes,
        "slab_mib": round(slab / 2**20, 1),
        "grown_mib": round((after - before) / 2**20, 1),
        "resident_mib": round(after / 2**20, 1),
        "bytes_per_key": round((after - before) / options.keys, 1),
        "ratios": {
            "grown_to_slab": round((after - before) / slab, 3),
            "resident_to_slab": round(after / slab, 3),
        },
    }


def _resident() -> int:
    gc.collect()
    return int(psutil.Process(os.getpid()).memory_info().rss)
