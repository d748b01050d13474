"""Changes to the checkpoint code, each held against the simulation and the fast tests.

A change that both let pass is a survivor. It must be explained in `survivors.json`: why what it
does cannot be seen, or where it would be (a real Kafka, Faust). One that is not explained, and an
explanation of what does not survive any more, refute the claim.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.abc
import importlib.machinery
import json
import logging
import multiprocessing
import os
import random
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Final

import psutil

from .frame import FOLDER, ROOT, Refuted
from .mutate import Mutant, mutants

FILES: Final = (
    "kafka/protocol/checkpoint.py",
    "kafka/protocol/positions.py",
    "kafka/protocol/outbox.py",
    "kafka/protocol/changelog.py",
    "kafka/protocol/start_offset.py",
    "kafka/recovery/start.py",
    "kafka/runtime/fetch_loop.py",
    "kafka/protocol/membership.py",
    "kafka/client/producers.py",
    "engine/state/tombstones.py",
)
TESTS: Final = (
    "kafka/protocol/test_checkpoint.py",
    "kafka/protocol/test_positions.py",
    "kafka/protocol/test_outbox.py",
    "kafka/protocol/test_changelog.py",
    "kafka/runtime/test_fetch_loop.py",
    "kafka/client/test_producers.py",
    "kafka/recovery/test_start.py",
    "kafka/recovery/test_stable_offsets.py",
    "kafka/recovery/test_refused.py",
    "kafka/protocol/test_start_offset.py",
    "kafka/protocol/test_membership.py",
    "kafka/runtime/test_processor.py",
    "kafka/recovery/test_snapshots.py",
    "kafka/runtime/test_model_switch.py",
    "engine/state/test_tombstones.py",
    "engine/state/test_table.py",
)
SURVIVORS: Final = Path(__file__).with_name("survivors.json")
_QUICK: Final = 20
"""Schedules before the tests: they are soon done, and most changes do not get further."""
_MOST_CPU_SECONDS: Final = 60
_MOST_ASLEEP_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.02
_MEMORY_BYTES: Final = 20 * 2**30
"""Of addresses: every engine reserves a million rows that it does not touch."""
_NOTICED, _SURVIVED = 1, 0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which, and against what."""
    parser.add_argument("--files", default=",".join(FILES), help="of stream/, with commas")
    parser.add_argument("--schedules", type=int, default=200, help="simulated for each change")
    parser.add_argument(
        "--again",
        metavar="FILE",
        help="try only what survived in this kept result, and take the rest from it",
    )
    parser.add_argument("--processes", type=int, default=2, help="at a time")
    parser.add_argument("--sample", type=int, default=0, help="only so many, drawn; 0: all")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Try them all.

    Raises:
        Refuted: If something survives that nobody explains.
    """
    every = [(n, m) for n in options.files.split(",") for m in mutants(ROOT / "stream" / n)]
    asked, ends = every, Counter[str]()
    if options.again:
        every, ends = _again(options.again, every)
    if options.sample:
        every = asked = random.Random(options.seed).sample(every, options.sample)
    _preload()
    same = Mutant("unchanged", (ROOT / "stream" / FILES[0]).read_text())
    if (how := _try(options, (FILES[0], same))) != "survived":
        raise Refuted(f"The unchanged code does not pass: {how}.")
    explained: dict[str, str] = json.loads(SURVIVORS.read_text())
    survivors = []
    with multiprocessing.get_context("fork").Pool(options.processes) as pool:
        tried = zip(every, pool.imap(partial(_try, options), every), strict=True)
        for number, ((_, mutant), how) in enumerate(tried, 1):
            ends[how] += 1
            if how == "survived":
                survivors.append(mutant.name)
                print(mutant.name, file=sys.stderr, flush=True)
            if number % 25 == 0:
                print(f"{number} of {len(every)}: {dict(ends)}", file=sys.stderr, flush=True)
    figures = {
        "mutants": ends.total(),
        "noticed": ends.total() - len(survivors),
        "how": dict(ends),
        "survivors": {name: explained.get(name, "NOT EXPLAINED") for name in survivors},
    }
    if unexplained := [name for name in survivors if name not in explained]:
        raise Refuted(f"{len(unexplained)} survive unexplained: {unexplained[0]}", figures)
    known = {mutant.name for _, mutant in asked}
    if gone := [name for name in explained if name in known and name not in survivors]:
        raise Refuted(f"Explained, but noticed: {gone[0]}", figures)
    return figures


def _again(
    name: str, every: Sequence[tuple[str, Mutant]]
) -> tuple[list[tuple[str, Mutant]], Counter[str]]:
    """What survived before, and how the others ended then."""
    kept = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    left = [(file, mutant) for file, mutant in every if mutant.name in kept["survivors"]]
    if kept["mutants"] != len(every) or len(left) != len(kept["survivors"]):
        raise Refuted(f"{name}.json is of other code: try all of it.")
    return left, Counter({how: n for how, n in kept["how"].items() if how != "survived"})


def _preload() -> None:
    """Import what is slow to import and not under test; every child has it then."""
    import aiokafka.admin  # noqa: F401
    import confluent_kafka.admin  # noqa: F401
    import faust  # noqa: F401
    import msgspec  # noqa: F401
    import numpy as np  # noqa: F401
    import pydantic_settings  # noqa: F401
    import pytest  # noqa: F401
    import structlog  # noqa: F401

    import ember_core.pipeline.stage  # noqa: F401

    for name in [name for name in sys.modules if name.split(".")[0] == "stream"]:
        del sys.modules[name]


def _try(options: argparse.Namespace, change: tuple[str, Mutant]) -> str:
    """Run one change: in a few schedules, then in the tests and all schedules."""
    file, mutant = change
    last = options.seed + options.schedules
    quick = min(options.seed + _QUICK, last)
    how = _fork(file, mutant, range(options.seed, quick), tests=False)
    return how if how != "survived" else _fork(file, mutant, range(quick, last), tests=True)


def _fork(file: str, mutant: Mutant, seeds: Sequence[int], *, tests: bool) -> str:
    """Run one change in a process of its own; says how it ended."""
    pid = os.fork()
    if pid == 0:
        code = _NOTICED
        try:
            module = "stream." + file.removesuffix(".py").replace("/", ".")
            code = _child(module, mutant, seeds, tests)
        finally:
            os._exit(code)
    asleep = 0.0  # who waits for a processor, or is suspended, is not taken for stuck
    while not (found := os.waitpid(pid, os.WNOHANG))[0]:
        if asleep > _MOST_ASLEEP_SECONDS:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return "took too long"
        time.sleep(_LOOK_SECONDS)
        asleep += _LOOK_SECONDS * (psutil.Process(pid).status() == psutil.STATUS_SLEEPING)
    status = found[1]
    if os.WIFSIGNALED(status):
        return "took too long" if os.WTERMSIG(status) == signal.SIGXCPU else "died"
    return {0: "survived", 1: "broke", 2: "simulation", 3: "tests"}[os.WEXITSTATUS(status)]


def _child(module: str, mutant: Mutant, seeds: Sequence[int], tests: bool) -> int:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (_MOST_CPU_SECONDS, _MOST_CPU_SECONDS + 5))
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    logging.disable(logging.CRITICAL)
    sys.meta_path.insert(0, _Changed(module, compile(mutant.source, mutant.name, "exec")))
    if tests and not _tests():
        return 3
    logging.disable(logging.CRITICAL)
    return 0 if _schedules(seeds) else 2


def _schedules(seeds: Sequence[int]) -> bool:
    from tests.simulation.schedule import Schedule, quiet_unraisable

    quiet_unraisable()
    return all(not Schedule(seed).run().violation for seed in seeds)


def _tests() -> bool:
    import pytest

    logging.disable(logging.NOTSET)
    paths = [str(ROOT / "tests" / "stream" / name) for name in TESTS]
    quiet = ["-q", "-x", "-p", "no:randomly", "-p", "no:cacheprovider", "--tb=no", "--assert=plain"]
    with contextlib.suppress(SystemExit):
        return pytest.main([*quiet, "-m", "not kafka and not slow", *paths]) == 0
    return False


class _Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives one module with other code."""

    def __init__(self, name: str, code: CodeType) -> None:
        self._name, self._code = name, code

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name != self._name:
            return None
        return importlib.machinery.ModuleSpec(name, self)

    def exec_module(self, module: ModuleType) -> None:
        exec(self._code, module.__dict__)
