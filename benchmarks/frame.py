"""The frame of all benchmarks: their names, their options, and what a result looks like.

A benchmark is a module with `add_options(parser)` and `run(options) -> figures`. The frame adds
machine and settings, so that a figure never stands without them. One with `lines(result)` says
itself how its result is shown to people.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

from benchmarks.kafka_jars import KafkaUnavailableError
from benchmarks.kafka_server import KafkaFailedError
from benchmarks.machine import describe

RESULTS: Final = Path(__file__).parent / "results"


class Benchmark(NamedTuple):
    """Module of a benchmark, and the quantity it measures."""

    module: str
    help: str


BENCHMARKS: Final[Mapping[str, Benchmark]] = {
    "throughput": Benchmark(
        "benchmarks.throughput", "records/s of one worker from a real Kafka, beside its peers"
    ),
    "model": Benchmark(
        "benchmarks.model", "microseconds a record of the engine alone, stage by stage"
    ),
    "library": Benchmark(
        "benchmarks.library", "CfC step, RBM training and features beside ncps, sklearn and pandas"
    ),
    "gpu": Benchmark(
        "benchmarks.gpu", "PyTorch on an accelerator beside NumPy: speed by batch size, and scores"
    ),
    "skew": Benchmark(
        "benchmarks.skew", "microseconds a record of one hot key and of Zipf against even keys"
    ),
    "evidence": Benchmark(
        "benchmarks.evidence", "cost of channel evidence over that of joint evidence, by batch"
    ),
    "bands": Benchmark(
        "benchmarks.bands", "share of usual rows within the usual band of each channel"
    ),
    "scores": Benchmark(
        "benchmarks.scores", "cost of a record with every scored row written, over that without"
    ),
    "records": Benchmark(
        "benchmarks.records", "messages/s and samples/s of wide and of long formats, in one run"
    ),
    "latency": Benchmark(
        "benchmarks.latency", "seconds from a record's production to its alert, by load"
    ),
    "memory": Benchmark(
        "benchmarks.memory", "bytes that a million keys take, against those of their rows"
    ),
    "scale": Benchmark(
        "benchmarks.scale", "cost of a record as keys, channels, neurons and workers grow"
    ),
    "recovery": Benchmark(
        "benchmarks.recovery",
        "seconds until the state of all keys is back, and a checkpoint's pause",
    ),
    "eviction": Benchmark(
        "benchmarks.eviction", "memory and returning keys when there are more than memory holds"
    ),
    "learn": Benchmark(
        "benchmarks.learn", "time and memory from a topic to a file, and to a model"
    ),
    "retraining": Benchmark(
        "benchmarks.retraining", "pages and faults caught by week, retrained and not, in 60 days"
    ),
    "feedback": Benchmark(
        "benchmarks.feedback", "repeats and other faults paged after three marks of false alarms"
    ),
    "console": Benchmark(
        "benchmarks.console", "share of a core, memory and latency of the console, by keys and rows"
    ),
    "quality": Benchmark(
        "benchmarks.quality", "faults caught and false alarms on labelled telemetry, beside others"
    ),
    "cold_start": Benchmark(
        "benchmarks.cold_start", "keys that the model has never seen, from their first rows on"
    ),
    "ordinary": Benchmark(
        "benchmarks.ordinary", "an operator's figures on generated telemetry of ordinary weeks"
    ),
}


class BenchmarkError(Exception):
    """A measurement that could not be made; the text says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one benchmark, or list them.

    Args:
        arguments: Words after `python -m benchmarks`; None takes the process's own.

    Returns:
        0 done, 1 it could not be measured, 2 wrong use.
    """
    benchmark = pick("benchmark", "benchmarks", BENCHMARKS, arguments)
    if isinstance(benchmark, int):
        return benchmark
    name, module, parser, words = benchmark
    parser.add_argument("--json", action="store_true", help="one JSON object, the last line")
    parser.add_argument("--save", action="store_true", help="keep it in benchmarks/results/")
    module.add_options(parser)
    options = parser.parse_args(words)
    started = time.monotonic()
    try:
        figures = module.run(options)
    except (BenchmarkError, KafkaUnavailableError, KafkaFailedError) as error:
        print(f"{name} could not be measured: {error}", file=sys.stderr)
        return 1
    result = {
        "benchmark": name,
        **figures,
        "settings": settings(options),
        "machine": describe(),
        "seconds": round(time.monotonic() - started, 1),
    }
    if options.save:
        with_kept = getattr(module, "with_kept", None)
        stored = result if with_kept is None else with_kept(kept_result(name), result)
        print(f"kept in {save(name, stored)}", file=sys.stderr)
    print_lines = getattr(module, "lines", lines)
    print(json.dumps(result) if options.json else "\n".join(print_lines(result)))
    return 0


def pick(
    kind: str,
    program: str,
    known: Mapping[str, tuple[str, str]],
    arguments: Sequence[str] | None,
) -> tuple[str, ModuleType, argparse.ArgumentParser, list[str]] | int:
    """Choose a benchmark or a proof by the first word.

    Args:
        kind: Noun for the entries, such as "benchmark".
        program: Module name after `python -m`.
        known: Module and sentence by name.
        arguments: Words after the program; None takes the process's own.

    Returns:
        Name, module, a parser without options, and the other words; or the exit code, when the
        list was asked for or there is no such name.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help"):
        print(f"python -m {program} NAME [--help] [--save]")
        for name, (_, text) in known.items():
            print(f"  {name:<12}{text}")
        return 0
    name = words.pop(0)
    if name not in known:
        print(
            f"Unknown {kind}. Expected one of {', '.join(known)}. "
            f"Received: {name!r}. Call `python -m {program}` for the list.",
            file=sys.stderr,
        )
        return 2
    module, text = known[name]
    parser = argparse.ArgumentParser(
        prog=f"python -m {program} {name}",
        description=text,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    return name, importlib.import_module(module), parser, words


def settings(options: argparse.Namespace) -> dict[str, Any]:
    """The options that shape the measurement."""
    arguments = vars(options)
    return {name: arguments[name] for name in arguments if name not in ("json", "save")}


def save(name: str, result: Mapping[str, Any], folder: Path = RESULTS) -> Path:
    """Keep a result, in place of the last one of this name."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    return path


def kept_result(name: str, folder: Path = RESULTS) -> dict[str, Any] | None:
    """The result that is kept under a name, or None."""
    path = folder / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def lines(result: Mapping[str, Any], indent: str = "") -> list[str]:
    """A result for people: one line per figure."""
    out: list[str] = []
    for name, value in result.items():
        if isinstance(value, Mapping) and value:
            out += [f"{indent}{name}:", *lines(value, indent + "  ")]
        else:
            text = f"{value:,.4g}" if isinstance(value, float) and value < 1e4 else value
            text = f"{text:,.0f}" if isinstance(text, float) else text
            out.append(f"{indent}{name:<24} {text}")
    return out


def log_progress(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)
