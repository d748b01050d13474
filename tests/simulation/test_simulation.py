"""The protocol holds in simulated clusters, and the simulation would find it if it did not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUGS = sorted((Path(__file__).parent / "bugs").glob("*.patch"))
LONG = {"load_without_merge"}  # two workers must write the same key, and the wrong one last
MOST = 10_000


def simulate(tree: Path, *arguments: str) -> dict[str, Any]:
    """Run schedules on the code of a tree, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation", *arguments],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.mark.parametrize("mode", ["plain", "transactions", "exactly_once"])
def test_nothing_is_violated(mode: str) -> None:
    result = simulate(ROOT, "--schedules", "40", "--seed", "1", "--mode", mode)
    assert result["found"] == []
    assert result["schedules"] == 40
    assert result["deaths"] > 10  # it was not all calm


def test_a_seed_gives_the_same_schedule_again() -> None:
    runs = [simulate(ROOT, "--schedules", "8", "--seed", "501") for _ in range(2)]
    assert runs[0]["digest"] == runs[1]["digest"]
    assert runs[0]["callbacks"] == runs[1]["callbacks"]
    other = simulate(ROOT, "--schedules", "8", "--seed", "502")
    assert other["digest"] != runs[0]["digest"]


@pytest.mark.parametrize(
    "bug",
    [
        pytest.param(bug, id=bug.stem, marks=[pytest.mark.slow] if bug.stem in LONG else [])
        for bug in BUGS
    ],
)
def test_a_known_bug_is_found(bug: Path, tmp_path: Path) -> None:
    """Each patch takes one precaution out of the production code."""
    git = shutil.which("git")
    if git is None:
        pytest.skip("git applies the patches, and there is none")
    for package in ("ember_core", "stream", "tests/simulation"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignored)
    subprocess.run([git, "apply", str(bug)], cwd=tmp_path, check=True)
    result = simulate(tmp_path, "--schedules", str(MOST))
    assert result["violations"] == 1, f"not found in {MOST} schedules"


def test_there_are_patches() -> None:
    assert len(BUGS) >= 6
