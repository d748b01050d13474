"""`python -m tests.simulation --schedules N --seed S`: run schedules, print one JSON line."""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import logging
import os
import sys
import time

from tests.compiled import compile_engines

from .schedule import MODES, Schedule, quiet_unraisable

COLLECT = 100
"""Schedules between two collections of what they left: every death leaves circles."""


def main() -> int:
    """Run schedules; exit code 1 when something was violated."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--schedules", type=int, default=1000, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of the first schedule")
    parser.add_argument("--mode", choices=MODES, help="default: as the seed says")
    parser.add_argument("--rated", action="store_true", help="rows are rates of intervals")
    parser.add_argument("--models", action="store_true", help="models are published meanwhile")
    parser.add_argument("--control", action="store_true", help="documents of operators change")
    parser.add_argument("--compiled", action="store_true", help="engines run compiled stages")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at a violation")
    asked = parser.parse_args()
    logging.disable(logging.CRITICAL)
    quiet_unraisable()
    if asked.compiled:
        compile_engines()
    gc.collect()
    gc.freeze()
    gc.disable()
    began = time.monotonic()
    digest = hashlib.sha256()
    violations, ran, deaths, turns = [], 0, 0, 0
    for seed in range(asked.seed, asked.seed + asked.schedules):
        if ran % COLLECT == 0:
            gc.collect()
        outcome = Schedule(
            seed, asked.mode, rated=asked.rated, models=asked.models, control=asked.control
        ).run()
        ran += 1
        deaths += outcome.deaths
        turns += outcome.turns
        digest.update(outcome.digest.encode())
        if outcome.violation:
            violations.append({"seed": seed, "mode": outcome.mode, "what": outcome.violation})
            again = f"--schedules 1 --seed {seed}" + (f" --mode {asked.mode}" if asked.mode else "")
            again += (" --rated" if asked.rated else "") + (" --models" if asked.models else "")
            again += " --control" if asked.control else ""
            print(f"seed {seed} ({outcome.mode}): {outcome.violation}", file=sys.stderr)
            print(f'again: make simulate ARGS="{again}"', file=sys.stderr)
            if not asked.keep_going:
                break
    seconds = time.monotonic() - began
    print(
        json.dumps(
            {
                "schedules": ran,
                "violations": len(violations),
                "schedules_per_second": round(ran / seconds, 1),
                "first_seed": asked.seed,
                "deaths": deaths,
                "callbacks": turns,
                "digest": digest.hexdigest()[:16],
                "found": violations[:10],
            }
        )
    )
    return 1 if violations else 0


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets belongs to the schedule too
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.simulation", *sys.argv[1:]],
            {**os.environ, "PYTHONHASHSEED": "0"},
        )
    sys.exit(main())
