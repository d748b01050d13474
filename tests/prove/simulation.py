"""Many schedules of the simulation, and how soon it finds each of the known bugs."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from .frame import ROOT, Refuted

BUGS: Final = ROOT / "tests" / "simulation" / "bugs"
_PART: Final = 2_000
"""Schedules of one process."""
_SHARE: Final = 5
"""One schedule of so many has models that are published, and one has documents of operators."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """How many."""
    parser.add_argument("--schedules", type=int, default=100_000)
    parser.add_argument("--bug-schedules", type=int, default=10_000, help="for each bug at most")
    parser.add_argument("--processes", type=int, default=2, help="at a time")
    parser.add_argument("--bugs", help="only these, with commas; empty: none. Default: all")
    parser.add_argument("--compiled", action="store_true", help="engines run compiled stages")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Run them.

    Raises:
        Refuted: At a violation, or when a bug is not found.
    """
    figures: dict[str, Any] = {"schedules": 0, "deaths": 0, "callbacks": 0, "violations": 0}
    compiled = ["--compiled"] if options.compiled else []
    names = None if options.bugs is None else [name for name in options.bugs.split(",") if name]
    with ThreadPoolExecutor(options.processes) as pool:
        bugs = {
            patch.stem: pool.submit(found_after, patch, options.bug_schedules, options.seed)
            for patch in sorted(BUGS.glob("*.patch"))
            if names is None or patch.stem in names
        }
        parts = [
            pool.submit(simulate, ROOT, schedules, seed, *more, *compiled)
            for number, more in _kinds(options.schedules)
            for schedules, seed in _cut(number, options.seed)
        ]
        try:
            _add(figures, parts)
        except Refuted:
            pool.shutdown(cancel_futures=True)
            raise
    found = {name: after.result() for name, after in bugs.items()}
    figures["bugs_found_after_schedules"] = found
    if missed := [name for name, after in found.items() if after is None]:
        raise Refuted(f"Not found within {options.bug_schedules} schedules: {missed}.", figures)
    return figures


def _kinds(schedules: int) -> Iterator[tuple[int, list[str]]]:
    """Number of schedules of each kind, and the words that ask for it."""
    for word in ("--models", "--control"):
        yield schedules // _SHARE, [word]
    yield schedules - 2 * (schedules // _SHARE), []


def _cut(schedules: int, seed: int) -> Iterator[tuple[int, int]]:
    """Number and first seed of each part."""
    for begin in range(0, schedules, _PART):
        yield min(_PART, schedules - begin), seed + begin


def _add(figures: dict[str, Any], parts: list[Future[dict[str, Any]]]) -> None:
    """Add the parts up, in order: the seed that is told is the first that is wrong."""
    for future in parts:
        part = future.result()
        for name in figures:
            figures[name] += part[name]
        print(f"{figures}", file=sys.stderr, flush=True)
        if part["found"]:
            raise Refuted(f"{part['found'][0]}", figures)


def simulate(tree: Path, schedules: int, seed: int, *more: str) -> dict[str, Any]:
    """Run schedules on the code of a tree, in a process of its own; stops at a violation."""
    words = ["--schedules", str(schedules), "--seed", str(seed), *more]
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation", *words],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):
        raise RuntimeError(done.stderr)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def found_after(patch: Path, most: int, seed: int) -> int | None:
    """Schedules until a bug put into a copy of the tree is seen; None when it is not."""
    git = shutil.which("git")
    if git is None:
        raise RuntimeError("git applies the patches, and there is none.")
    with tempfile.TemporaryDirectory(prefix="ember-bug-") as scratch:
        for package in ("ember_core", "stream", "tests/simulation"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / package, Path(scratch) / package, ignore=ignored)
        subprocess.run([git, "apply", str(patch)], cwd=scratch, check=True)
        # Models and documents of operators change only in schedules that are asked for so.
        options = {"model_": "--models", "control_": "--control"}
        more = [words for start, words in options.items() if patch.stem.startswith(start)]
        result = simulate(Path(scratch), most, seed, *more)
    return result["schedules"] if result["violations"] else None
