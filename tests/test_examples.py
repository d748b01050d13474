"""The examples run as they stand, and say what they claim."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import lacking

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
NEEDS = {"liquid_network": "autograd", "pictures": "matplotlib", "two_processes": "torch"}
SAYS = {
    "rbm": r"(3[6-9]|40) of 40, false alarms: \d of 460\nkinds: 2, .*: \[[14], [14]\]",
    "liquid_network": r"loss 0\.1\d+ -> 0\.0\d+\non other sequences: 0\.0\d+\n.*\(1, 22\)",
    "pipeline_on_a_dataframe": r"2026-01-03 10:2\d:00\+00:00 +150\.0 +\d",
    "pictures": r"fired at 2026-02-06 02:40 because of cpu\n.* calm: 9[3-7] %\nsaved: series\.png",
    "custom_step": r"kept \d\d%\nfree energy of rows that counted -?\d+\.\d+",
    "table_features": r"fan +boolean .*\nmean score: -1\d\.\d\d as a rule, -?\d\.\d\d while",
    "two_processes": r"process 0: differs .* by (0\.0e\+00|\d\.\de-0[789])\nprocess 1: ",
}


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs_and_says_what_it_claims(path: Path, tmp_path: Path) -> None:
    need = NEEDS.get(path.stem)
    if need is not None and find_spec(need) is None:
        lacking(need, f"{need} is not installed")
    done = subprocess.run(
        [sys.executable, "-W", "error", path],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(SAYS[path.stem], done.stdout), done.stdout


def test_every_example_is_checked() -> None:
    assert {path.stem for path in EXAMPLES} == set(SAYS)
