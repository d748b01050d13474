"""Time and memory from a topic to a file, and from a topic to a model.

The commands are the product's, each in a process of its own, on a real Kafka. Memory is that of the
process itself, without the files that the system may write out.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import psutil

from benchmarks.fleet import Fleet
from benchmarks.frame import BenchmarkError, log_progress
from benchmarks.kafka_server import RealKafka
from benchmarks.processes import Child
from benchmarks.topic import TOPIC, fill

_LOOK_SECONDS: Final = 0.05
_PART: Final = "part"
_END_SECONDS: Final = 10.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Size of the topic."""
    parser.add_argument("--keys", type=int, default=1_000)
    parser.add_argument("--rows", type=int, default=400_000, help="of all keys together")
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--partitions", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=1)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure.

    Returns:
        `record` and `train`: seconds, rows a second, MiB of memory at the peak; `record` of a part
        of the topic too (`record_part`), which shows the growth with it.

    Raises:
        BenchmarkError: If a command fails or loses a row.
    """
    figures: dict[str, Any] = {}
    with RealKafka() as kafka, tempfile.TemporaryDirectory(prefix="ember-learn-") as path:
        folder = Path(path)
        fleet = Fleet(options.keys, options.channels)
        address = ("--bootstrap-servers", kafka.bootstrap, "--json")
        for name, rows in ((_PART, options.rows // 4), (TOPIC, options.rows)):
            log_progress(f"writing {rows:,} rows")
            fill(kafka.bootstrap, fleet, rows, options.partitions, name)
        for name, rows in ((_PART, options.rows // 4), (TOPIC, options.rows)):
            log_progress(f"recording {rows:,} rows")
            words: tuple[str, ...] = ("record", f"kafka:{name}", "file.parquet", *address)
            figures["record" if name == TOPIC else "record_part"] = _measured(words, folder, rows)
        log_progress("training")
        epochs = ("--epochs", str(options.epochs))
        words = ("train", f"kafka:{TOPIC}", "--out", "model", *epochs, *address)
        figures["train"] = _measured(words, folder, options.rows)
    return figures


def _measured(words: tuple[str, ...], folder: Path, rows: int) -> dict[str, float]:
    start_seconds = time.monotonic()
    peak = 0
    with Child(("stream.cli", *words), folder, words[0]) as child:
        process = psutil.Process(child.pid)
        while process.status() != psutil.STATUS_ZOMBIE:  # until somebody asks for its exit code
            peak = max(peak, _anonymous_bytes(child.pid))
            time.sleep(_LOOK_SECONDS)
        child.finished(_END_SECONDS)
    seconds = time.monotonic() - start_seconds
    summary = json.loads(child.output().splitlines()[-1])
    if summary["rows"] != rows:
        raise BenchmarkError(f"{words[0]} has {summary['rows']:,} of {rows:,} rows")
    return {
        "rows": rows,
        "seconds": round(seconds, 1),
        "rows_per_second": round(rows / seconds),
        "peak_mib": round(peak / 2**20),
    }


def _anonymous_bytes(pid: int) -> int:
    """Return the memory of a process that is no file; 0 once it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))
