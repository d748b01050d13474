"""Records as programs send them: wide and long formats, in one run."""

from __future__ import annotations

import argparse
from typing import Any

from benchmarks import record_formats, rekeying
from benchmarks.fleet import Fleet
from benchmarks.frame import log_progress


def add_options(parser: argparse.ArgumentParser) -> None:
    """The size of the measurement."""
    parser.add_argument("--keys", type=int, default=2_000)
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--kinds", type=int, default=64, help="kinds of keys in the fleet")
    parser.add_argument("--rows", type=int, default=2_000, help="of training history, each kind")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each format")
    parser.add_argument(
        "--rekeyed-records", type=int, default=300_000, help="on a real Kafka; 0: no re-keying"
    )
    parser.add_argument("--partitions", type=int, default=4, help="of that topic")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure.

    Returns:
        `formats`: messages and samples a second of codec and engine; `samples_to_json`: the ratios.
        `rekeying`: records a second of a worker with re-keying and without, and their ratio.
    """
    fleet = Fleet(options.keys, options.channels, kinds=options.kinds)
    log_progress("training")
    model = fleet.model(rows=options.rows)
    figures = record_formats.measure(model, fleet, options.seconds)
    if options.rekeyed_records:
        count, partitions = options.rekeyed_records, options.partitions
        figures["rekeying"] = rekeying.measure(model, fleet, count, partitions)
    return figures
