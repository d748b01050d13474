"""VUS-PR against the reference numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ember_core import ops
from ember_core.evaluate import vus_pr


def test_equals_the_reference_for_every_buffer(golden_data: Path, backend: str) -> None:
    """Labels and scores may be arrays of any backend."""
    with np.load(golden_data / "vus_pr.npz") as golden:
        label, score = (ops.from_numpy(golden[name]) for name in ("label", "score"))
        for buffer, expected in zip(golden["buffer"], golden["vus_pr"], strict=True):
            measured = vus_pr(label, score, int(buffer))
            assert measured == pytest.approx(float(expected), rel=0, abs=1e-12)
