"""More keys than memory holds: whether memory stays flat, and what a key that returns remembers.

Every key sends twice, in waves: all keys once, then all once more. Each comes back from the disk
before its second row; a sample of them is held against an engine that had room for all of them.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil

from benchmarks.fleet import Fleet
from benchmarks.frame import BenchmarkError, log_progress
from ember_core.pipeline import FleetModel
from stream.engine import TP, Engine, Limits, SliceOffsets
from stream.kafka.recovery.spill_files import SpillFiles
from stream.records import Decoded

_TP: Final[TP] = ("telemetry", 0)
_STEP: Final = 4096
_START_US: Final = 1_700_000_000_000_000
_KNOWN: Final = 1_000
"""Keys that the bundle knows; the others are new."""
_FLAT: Final = 1.15
"""Memory may grow by so much, over what it was when the slab had just become full."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Number of keys, and of those that memory holds."""
    parser.add_argument("--keys", type=int, default=2_000_000)
    parser.add_argument("--max-keys", type=int, default=1_000_000)
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--sample", type=int, default=5_000, help="keys whose rows are compared")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure.

    Returns:
        Rows a second of both waves, bytes in memory when the slab was full and at the end, rows
        moved out and back, and how many of the keys compared were found as they should be.

    Raises:
        BenchmarkError: If memory grew, or a key that returned did not go on where it left.
    """
    fleet = Fleet(options.keys, options.channels)
    log_progress("training")
    # A bundle's own copy of what it knows of two million keys would hide what the engine takes.
    model = Fleet(min(_KNOWN, options.keys), options.channels).model(rows=600, epochs=1)
    with tempfile.TemporaryDirectory(prefix="ember-eviction-") as folder:
        spill = SpillFiles(Path(folder), 1 << 40)
        engine = Engine(model, limits=Limits(max_keys=options.max_keys), spill=spill)
        engine.attach(_TP)
        waves, full = [], 0
        for wave in range(2):
            log_progress(f"wave {wave + 1}")
            started = time.perf_counter()
            for begin in range(0, options.keys, _STEP):
                _absorb(engine, fleet, wave, np.arange(begin, min(begin + _STEP, options.keys)))
                if not full and engine.moved.evicted:
                    full = _resident()
            waves.append(round(options.keys / (time.perf_counter() - started)))
        gc.collect()
        resident, evictions, disk = _resident(), engine.moved, spill.used()
        log_progress("comparing")
        equal_keys = _same(engine, model, fleet, options)
    figures = {
        "keys": options.keys,
        "max_keys": options.max_keys,
        "active_keys": engine.active_keys,
        "rows_per_second": waves,
        "resident_bytes_when_full": full,
        "resident_bytes": resident,
        "growth": round(resident / full, 3),
        "slab_bytes": options.max_keys * engine.row_bytes,
        "disk_bytes": disk,
        **evictions._asdict(),
        "keys_compared": options.sample,
        "keys_that_went_on": equal_keys,
    }
    if equal_keys != options.sample or resident > _FLAT * full or evictions.forgotten:
        raise BenchmarkError(f"Memory grew, or a key was forgotten: {figures}.")
    return figures


def _absorb(engine: Engine, fleet: Fleet, wave: int, keys: Any) -> None:
    """One row of each of these keys, and a checkpoint."""
    n = len(keys)
    rng = np.random.default_rng((wave, int(keys[0])))
    noise = rng.standard_normal((_STEP, len(fleet.channels)))[:n] + 50.0
    times = np.full(n, _START_US + wave * 10_000_000, dtype=np.int64)
    batch = Decoded(
        [fleet.keys[k] for k in keys.tolist()], times, noise, np.arange(n, dtype=np.int32), []
    )
    first = wave * len(fleet.keys) + int(keys[0])
    engine.step(
        _TP, batch, SliceOffsets(np.arange(first, first + n, dtype=np.int64), times // 1000)
    )
    engine.take_dirty(_TP)


def _same(engine: Engine, model: FleetModel, fleet: Fleet, options: argparse.Namespace) -> int:
    """Count the first keys whose rows equal those of a run without evictions."""
    free = Engine(model, limits=Limits(max_keys=options.keys))
    free.attach(_TP)
    last = min(-(-options.sample // _STEP) * _STEP, options.keys)
    for wave in range(2):
        for begin in range(0, last, _STEP):
            _absorb(free, fleet, wave, np.arange(begin, min(begin + _STEP, last)))
    keys = fleet.keys[: options.sample]
    return sum(engine.row(_TP, key) == free.row(_TP, key) for key in keys)


def _resident() -> int:
    return int(psutil.Process().memory_info().rss)
