"""Cost of the scores topic: microseconds a record with every row written, over those without.

Two engines take the same batches in turn, so that the load of the machine falls on both. Decoding
is added to both; encoding to the one whose rows are written. What a broker takes is left out.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from benchmarks.engine_bench import TP, Bench, batches, decode_us
from benchmarks.fleet import Fleet
from benchmarks.frame import log_progress
from benchmarks.markdown import table
from stream.engine import Limits
from stream.kafka.config import WorkerConfig
from stream.kafka.runtime.score_messages import ScoreMessages
from stream.settings import Settings

KINDS: Final = ("joint", "channels+joint")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The size of the measurement."""
    parser.add_argument("--batch", type=int, default=4_096, help="records, each of another key")
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--kinds", type=int, default=64, help="kinds of keys in the fleet")
    parser.add_argument("--rows", type=int, default=2_000, help="of training history, each kind")
    parser.add_argument("--turns", type=int, default=30, help="batches of each, in turn")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure.

    Returns:
        By evidence: microseconds a record of decoding, of the step without and with details, and
        of encoding; their `ratio`; `bytes_per_row`, and those of a state row.
    """
    fleet = Fleet(options.batch, options.channels, kinds=options.kinds)
    decoding = float(np.median(decode_us(fleet, options.batch, 2.0)))
    return {"evidence": {kind: _measured(kind, fleet, decoding, options) for kind in KINDS}}


def _measured(
    kind: str, fleet: Fleet, decoding: float, options: argparse.Namespace
) -> dict[str, float]:
    log_progress(f"training: {kind}")
    model = fleet.model(rows=options.rows, evidence=kind)
    limits = Limits()
    plain = Bench(model, fleet, limits=limits)
    detailed = Bench(model, fleet, limits=replace(limits, detailed=("*",)))
    messages = ScoreMessages(WorkerConfig.from_settings(Settings()))
    feeds = plain.warm(), detailed.warm()
    times: list[tuple[float, float, float]] = []
    size = rows = 0
    for _ in range(options.turns):
        blocks = [next(batches(next(feed), options.batch)) for feed in feeds]
        steps = [bench.step(*part) for bench, part in zip((plain, detailed), blocks, strict=True)]
        started = time.perf_counter()
        written = [message for part in detailed.details for message in messages.of(TP, part)]
        encoding = time.perf_counter() - started
        times.append((steps[0], steps[1], encoding))
        size += sum(len(message.message.value or b"") for message in written)
        rows += sum(message.rows for message in written)
    plain_step, step, encoding = 1e6 * np.median(times[1:], axis=0) / options.batch
    return {
        "decode": round(decoding, 3),
        "step_without": round(float(plain_step), 3),
        "step": round(float(step), 3),
        "encode": round(float(encoding), 3),
        "ratio": round(float((decoding + step + encoding) / (decoding + plain_step)), 3),
        "bytes_per_row": round(size / max(rows, 1), 1),
        "row_bytes_without": plain.engine.row_bytes,
        "row_bytes": detailed.engine.row_bytes,
    }


def page(result: Mapping[str, Any]) -> str:
    """The figures as Markdown."""
    names = ("decode", "step_without", "step", "encode", "ratio", "bytes_per_row")
    rows = [
        (kind, *(f"{figures[name]:g}" for name in names))
        for kind, figures in result["evidence"].items()
    ]
    heads = ("decode, us", "step off, us", "step on, us", "encode, us", "ratio", "bytes a row")
    return table(("evidence", *heads), rows)


def lines(result: Mapping[str, Any]) -> list[str]:
    """The figures as lines of a terminal."""
    return page(result).splitlines()
