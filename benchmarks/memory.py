"""Memory of an engine that holds many keys, against the bytes of their rows."""

from __future__ import annotations

import argparse
import gc
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil

from benchmarks.engine_bench import START_US, TP
from benchmarks.fleet import INTERVAL_US, Fleet
from benchmarks.frame import log_progress
from ember_core.pipeline import FleetModel
from stream.engine import Engine, Limits, SliceOffsets
from stream.records import Decoded

_BATCH: Final = 8_192


def add_options(parser: argparse.ArgumentParser) -> None:
    """Number of keys of the measurement."""
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2, help="records of each key")
    parser.add_argument("--kinds", type=int, default=16, help="kinds of keys in the fleet")
    parser.add_argument(
        "--second",
        choices=("", "candidate", "change"),
        default="",
        help="a second model: beside the first, or in its place",
    )
    parser.add_argument("--rows", type=int, default=600, help="of training history, each kind")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure.

    Returns:
        `slab_mib`, what the rows are; `grown_mib`, what the process grew by from before the engine
        was made; `resident_mib`, all of it, interpreter and model included; both as a ratio to the
        rows; `bytes_per_key`. With `--second candidate` also `candidate_mib`, what that adds;
        with `--second change` `change_mib`, the memory added while the change lasts, and
        `after_change_mib`, the memory that stays.
    """
    fleet = Fleet(options.kinds, options.channels, kinds=options.kinds)
    log_progress("training")
    model = fleet.model(rows=options.rows)
    other_model = None
    if options.second:
        other_model = replace(fleet.model(rows=options.rows + 1), sha256="ab" * 32)
    bytes_before = _resident()
    engine = Engine(model, limits=Limits(max_keys=options.keys))
    engine.attach(TP)
    log_progress(f"{options.keys:,} keys")
    feed = _Feed(engine, options.keys, options.channels)
    for _ in range(options.rounds):
        feed.round()
    bytes_after = _resident()
    slab = options.keys * engine.row_bytes
    return {
        "keys": engine.active_keys,
        "row_bytes": engine.row_bytes,
        "slab_mib": round(slab / 2**20, 1),
        "grown_mib": round((bytes_after - bytes_before) / 2**20, 1),
        "resident_mib": round(bytes_after / 2**20, 1),
        "bytes_per_key": round((bytes_after - bytes_before) / options.keys, 1),
        "ratios": {
            "grown_to_slab": round((bytes_after - bytes_before) / slab, 3),
            "resident_to_slab": round(bytes_after / slab, 3),
        },
        **(_second(feed, other_model, options.second) if other_model else {}),
    }


class _Feed:
    """Records of an engine's keys, a round of them at a time."""

    def __init__(self, engine: Engine, keys: int, channels: int) -> None:
        self.engine = engine
        self._keys, self._channels = keys, channels
        self._rng = np.random.default_rng(1)
        self._turn = self._offset = 0

    def round(self) -> None:
        """One record of each key."""
        for begin in range(0, self._keys, _BATCH):
            number = np.arange(begin, min(begin + _BATCH, self._keys))
            n = len(number)
            time_us = START_US + self._turn * INTERVAL_US + number
            values = self._rng.normal(100.0, 5.0, (n, self._channels))
            names = [b"machine-%07d" % k for k in number.tolist()]
            batch = Decoded(names, time_us, values, np.arange(n, dtype=np.int32), [])
            offsets = np.arange(self._offset, self._offset + n, dtype=np.int64)
            self.engine.step(TP, batch, SliceOffsets(offsets, time_us // 1000))
            self._offset += n
        self._turn += 1


def _second(feed: _Feed, other: FleetModel, kind: str) -> dict[str, float]:
    """Measure the cost of a second model."""
    bytes_before = _resident()
    if kind == "candidate":
        feed.engine.shadow_by(other)
        feed.round()
        return {"candidate_mib": round((_resident() - bytes_before) / 2**20, 1)}
    Path("/proc/self/clear_refs").write_text("5")  # the peak is that from here on
    feed.engine.switch_model(other)
    peak = int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0]) * 1024
    feed.round()
    return {
        "change_mib": round((peak - bytes_before) / 2**20, 1),
        "after_change_mib": round((_resident() - bytes_before) / 2**20, 1),
    }


def _resident() -> int:
    gc.collect()
    return int(psutil.Process(os.getpid()).memory_info().rss)
