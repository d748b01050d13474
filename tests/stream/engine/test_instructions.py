"""Scores, events and rows have the same bits whatever vector instructions a processor has.

NumPy and OpenBLAS choose their loops by the processor when they are loaded, so that each choice is
a process of its own: `python -m tests.stream.engine.test_instructions BUNDLE`.
"""

from __future__ import annotations

import json
import os
import pickle
import platform
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

from ember_core.pipeline import FleetModel, MotorNeuron
from ember_core.pipeline.evidence.transforms import ASINH
from tests.conftest import lacking
from tests.core.pipeline.evidence import fleet

from .conftest import CHANNELS, KNOWN, Sent, eventful, fit, interleaved, run, sent

ROOT = Path(__file__).resolve().parents[3]


def digests(bundle: Path) -> dict[str, str]:
    """Scores, events and rows of the eventful feed, each as a digest; and the loops in use."""
    model = FleetModel.load(bundle, backend="numpy")
    if model.pipeline.config.evidence == "joint":
        model.pipeline.motor = MotorNeuron(on=1.3, off=1.0, time_constant_rows=3.0)
    feed = pickle.loads((bundle.parent / "feed").read_bytes())  # made once
    done = run(model, feed, range(0, len(feed), 41))
    kinds = {"scores": done.scores, "events": done.events, "rows": done.rows()}
    assert all(kinds.values())
    return {name: sha256(repr(value).encode()).hexdigest() for name, value in kinds.items()} | {
        "instructions": " ".join(name for name in __cpu_dispatch__ if __cpu_features__[name])
    }


def fleet_feed() -> list[Sent]:
    """Three keys of the fleet, one of them with a fault, and one that the model does not know."""
    next_row, count = fleet.DAYS * fleet.DAY_ROWS, 150
    feeds = []
    for key in (0, 1, 40):
        values = fleet.rows(key, next_row, count)
        if key == 1:
            values[60:80, 1] *= 3.0
        times = fleet.times(next_row, count)
        name = f"host-{key}".encode()
        feeds.append([sent(name, t, row) for t, row in zip(times, values, strict=True)])
    return interleaved(*feeds)


@pytest.mark.parametrize("evidence", ["joint", "channels+joint"])
def test_bits_do_not_depend_on_vector_instructions(evidence: str, tmp_path: Path) -> None:
    usable = [name for name in __cpu_dispatch__ if __cpu_features__[name]]
    if not usable:
        lacking("instructions", "NumPy has no loops beyond its baseline for this processor")
    if evidence == "joint":
        fit(KNOWN, CHANNELS, periods_seconds=(3600.0,)).save(tmp_path / "bundle")
        feed = list(eventful())
    else:
        fleet.model().save(tmp_path / "trained")
        model = FleetModel.load(tmp_path / "trained", backend="numpy")
        model.pipeline.channels.transforms.kind[1] = ASINH
        model.save(tmp_path / "bundle")
        feed = fleet_feed()
    (tmp_path / "feed").write_bytes(pickle.dumps(feed))
    results = []
    for disabled in ("", " ".join(usable)):
        environment = {**os.environ, "NPY_DISABLE_CPU_FEATURES": disabled}
        if disabled and platform.machine() == "x86_64":
            environment["OPENBLAS_CORETYPE"] = "Nehalem"
        printed = subprocess.run(
            [sys.executable, "-m", __name__, tmp_path / "bundle"],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not printed.returncode, printed.stderr[-3000:]
        results.append(json.loads(printed.stdout.splitlines()[-1]))
    with_all, without = results
    assert with_all.pop("instructions")
    assert not without.pop("instructions")
    assert with_all == without


if __name__ == "__main__":
    np.seterr(all="ignore")
    print(json.dumps(digests(Path(sys.argv[1]))))
